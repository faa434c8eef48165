//! Offline check of a stopped node's data directory: the identity file, then every shard's journal, and that the states in
//! its checkpoints are the fold of its entries.
//!
//! Invariants:
//! - Nothing is written. The caller holds the data directory's lock, so that no server writes either.
//! - Damage to a journal is a finding of its shard; what keeps the check from being made is an error.
//! - A damaged identity is a finding too; the shards are then checked against the one of the start before, if that is good.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use broker_rt::{Backend, CoreId, CoreMain, Options, Runtime, run_cores};
use log_io::{Disk, LocalFuture};
use log_journal::{Finding, Journal, JournalError, VerifyReport};
use log_types::{ClusterId, ShardId};

use crate::identity::{DirLock, FILE, IdentityError, NodeIdentity, shard_dir};
use crate::shard::ShardProof;

/// What was found in a data directory.
#[derive(Debug)]
pub struct Verification {
    /// What is wrong with the node's identity.
    pub identity: Option<IdentityError>,
    /// Empty without an identity to check them against.
    pub shards: Vec<ShardVerification>,
}

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
    /// No identity file, or no directory of a shard.
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

/// Whether a node has ever started in the directory, or something is there that only a node leaves.
#[must_use]
pub fn holds_data(dir: &Path) -> bool {
    !matches!(NodeIdentity::read(dir), Ok(None))
}

/// Checks the identity and every shard of `data_dir`, on a thread of its own.
///
/// # Errors
/// See [`VerifyError`]; damage is a finding in the result.
pub fn verify(data_dir: &Path) -> Result<Verification, VerifyError> {
    let failed = |error| VerifyError::DataDir { path: data_dir.to_owned(), error };
    let _lock = DirLock::take(data_dir).map_err(failed)?;
    let (identity, damage) = match NodeIdentity::read(data_dir) {
        Ok(Some(identity)) => (Some(identity), None),
        Ok(None) => {
            let path = data_dir.join(FILE);
            return Err(VerifyError::DataDir { path, error: ErrorKind::NotFound.into() });
        }
        Err(IdentityError::Io(error)) => return Err(failed(error)),
        Err(damage) => (NodeIdentity::read_other(data_dir), Some(damage)),
    };
    let shards = identity.map_or(Ok(Vec::new()), |identity| on_a_thread(data_dir, identity))?;
    Ok(Verification { identity: damage, shards })
}

fn on_a_thread(data_dir: &Path, identity: NodeIdentity) -> Verified {
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
    let mut proofs = Vec::new();
    for shard in (0..identity.shards).map(ShardId) {
        let dir = shard_dir(data_dir, shard);
        let failed = |error| VerifyError::DataDir { path: dir.clone(), error };
        // Opening it as a disk would create it.
        std::fs::metadata(&dir).map_err(failed)?;
        let disk = runtime.disk(&dir).map_err(failed)?;
        let one = verify_shard(&*disk, identity.cluster, shard).await;
        let (report, proof) =
            one.map_err(|error| VerifyError::Journal { dir: dir.clone(), error })?;
        verified.push(ShardVerification { shard, dir, report });
        proofs.push(proof);
    }
    let mut reports: Vec<_> = verified.iter_mut().map(|shard| &mut shard.report).collect();
    check_streams(&proofs, &mut reports);
    Ok(verified)
}

async fn verify_shard(
    disk: &dyn Disk,
    cluster: ClusterId,
    shard: ShardId,
) -> Result<(VerifyReport, ShardProof), JournalError> {
    let mut proof = ShardProof::new();
    let report = Journal::verify(disk, cluster, shard, &mut proof).await?;
    Ok((report, proof))
}

/// The journals of a node that does not run, shard by shard: how the simulator checks what a run left behind.
///
/// # Errors
/// What keeps a journal from being read.
pub async fn verify_disks(
    disks: &[Rc<dyn Disk>],
    cluster: ClusterId,
) -> Result<Vec<VerifyReport>, JournalError> {
    let (mut reports, mut proofs) = (Vec::new(), Vec::new());
    for (shard, disk) in (0..).map(ShardId).zip(disks) {
        let (report, proof) = verify_shard(&**disk, cluster, shard).await?;
        reports.push(report);
        proofs.push(proof);
    }
    check_streams(&proofs, &mut reports.iter_mut().collect::<Vec<_>>());
    Ok(reports)
}

/// A stream that has entries and that a checkpoint left out must be gone from the catalog, which only the first shard has.
fn check_streams(proofs: &[ShardProof], reports: &mut [&mut VerifyReport]) {
    let Some(catalog) = proofs.first().map(ShardProof::catalog) else { return };
    for (proof, report) in proofs.iter().zip(reports) {
        for stream in proof.lost(catalog) {
            report.findings.push(Finding {
                file: "checkpoint".to_owned(),
                offset: 0,
                what: "stream of a topic that exists is not in a checkpoint",
                expected: stream.0,
                found: 0,
            });
        }
    }
}
