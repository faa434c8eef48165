//! Offline check of a stopped node's data directory: the identity file, then every shard's journal.
//!
//! Invariants:
//! - Nothing is written. The caller holds the data directory's lock, so that no server writes either.
//! - Damage to a journal is a finding of its shard; what keeps the check from being made is an error.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use broker_rt::{Backend, CoreId, CoreMain, Options, Runtime, run_cores};
use log_io::LocalFuture;
use log_journal::{Journal, JournalError, VerifyReport};
use log_types::{ClusterId, ShardId};

use crate::identity::{DirLock, NodeIdentity, shard_dir};

/// What was found in one shard.
#[derive(Clone, Debug)]
pub struct ShardVerification {
    pub shard: ShardId,
    pub dir: PathBuf,
    pub report: VerifyReport,
}

/// Why a data directory could not be checked.
#[derive(Debug)]
#[non_exhaustive]
pub enum VerifyError {
    /// The identity file, or the directory of a shard.
    DataDir {
        path: PathBuf,
        error: std::io::Error,
    },
    /// No thread to read with.
    Threads(std::io::Error),
    Journal {
        dir: PathBuf,
        error: JournalError,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataDir { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Threads(error) => write!(f, "cannot start a thread to read with: {error}"),
            Self::Journal { dir, error } => write!(f, "cannot read {}: {error}", dir.display()),
        }
    }
}

impl std::error::Error for VerifyError {}

type Verified = Result<Vec<ShardVerification>, VerifyError>;

/// Checks every shard of `data_dir`, on a thread of its own.
///
/// # Errors
/// See [`VerifyError`]; damage is a finding in the result.
pub fn verify(data_dir: &Path) -> Verified {
    let failed = |error| VerifyError::DataDir { path: data_dir.to_owned(), error };
    let _lock = DirLock::take(data_dir).map_err(failed)?;
    let identity = NodeIdentity::read(data_dir).map_err(failed)?;
    let verified: Arc<Mutex<Option<Verified>>> = Arc::default();
    let (slot, dir) = (Arc::clone(&verified), data_dir.to_owned());
    let main: CoreMain =
        Arc::new(move |_: CoreId, runtime: Rc<dyn Runtime>| -> LocalFuture<'static, ()> {
            let (slot, dir) = (Arc::clone(&slot), dir.clone());
            Box::pin(async move {
                let done = shards(&*runtime, &dir, identity).await;
                // The slot is written once and read after the thread has ended.
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            })
        });
    let cores = run_cores(&Options::new(Backend::Epoll, 1), main).map_err(VerifyError::Threads)?;
    cores.join().map_err(VerifyError::Threads)?;
    let done = verified.lock().unwrap_or_else(PoisonError::into_inner).take();
    done.unwrap_or_else(|| Err(VerifyError::Threads(std::io::Error::other("it ended early"))))
}

async fn shards(runtime: &dyn Runtime, data_dir: &Path, identity: NodeIdentity) -> Verified {
    let mut verified = Vec::new();
    for shard in (0..identity.shards).map(ShardId) {
        let dir = shard_dir(data_dir, shard);
        let report = one(runtime, &dir, identity.cluster, shard).await?;
        verified.push(ShardVerification { shard, dir, report });
    }
    Ok(verified)
}

async fn one(
    runtime: &dyn Runtime,
    dir: &Path,
    cluster: ClusterId,
    shard: ShardId,
) -> Result<VerifyReport, VerifyError> {
    let failed = |error| VerifyError::DataDir { path: dir.to_owned(), error };
    // Opening it as a disk would create it.
    std::fs::metadata(dir).map_err(failed)?;
    let disk = runtime.disk(dir).map_err(failed)?;
    Journal::verify(&*disk, cluster, shard)
        .await
        .map_err(|error| VerifyError::Journal { dir: dir.to_owned(), error })
}
