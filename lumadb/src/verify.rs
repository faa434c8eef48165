//! `lumadb verify`: the identity, every checksum and every index of a stopped server's data directory.
//!
//! Invariants:
//! - Refused while a server has the directory: it takes the same lock.
//! - One row per finding on standard output, the counts on standard error; exit 9 with findings.

use std::path::Path;

use broker_node::{IdentityError, ShardVerification, Verification, VerifyError};
use client_cli::{Exit, Failure, Format, Rows, Terminal, VerifyArgs, lock_data_dir};
use config_schema::{Sources, load};
use serde_json::json;

use crate::serve::data_dir;

pub(crate) fn run(
    args: &VerifyArgs,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => {
            let overrides = args.config.overrides().map_err(Failure::usage)?;
            data_dir(&load(&Sources::of_process(&args.config.config, overrides)?)?)?
        }
    };
    if dir.exists() && !dir.is_dir() {
        return Err(Failure::usage(format!("{} is not a directory", dir.display())));
    }
    if !dir.is_dir() {
        let message = format!("data directory {} does not exist", dir.display());
        return Err(Failure::new(Exit::NotFound, message));
    }
    if !broker_node::holds_data(&dir) {
        let message = format!("{} holds no data of a server", dir.display());
        return Err(Failure::new(Exit::NotFound, message).hint("name the server's with --data-dir"));
    }
    let _lock = lock_data_dir(&dir)?;
    let verified = broker_node::verify(&dir).map_err(|error| failure(&error))?;
    let rows = findings(&dir, &verified);
    let count = rows.count();
    if count > 0 || matches!(format, Format::Json) {
        rows.print(format, terminal)?;
    }
    terminal.note(&summary(&verified.shards));
    if count == 0 {
        return Ok(());
    }
    let hint = verified.identity.and_then(|error| error.hint()).unwrap_or_else(|| {
        "nothing was changed; keep a copy of the directory before anything else is done with it"
            .to_owned()
    });
    Err(Failure::new(Exit::Unhealthy, format!("{count} findings in {}", dir.display())).hint(hint))
}

fn findings(dir: &Path, verified: &Verification) -> Rows {
    let of_node = verified.identity.iter().filter_map(IdentityError::finding);
    let of_node = of_node.map(|finding| (dir, finding));
    let of_shards = verified.shards.iter().flat_map(|shard| {
        shard.report.findings.iter().map(|finding| (shard.dir.as_path(), finding.clone()))
    });
    let mut rows = Rows::new(&["file", "offset", "what", "expected", "found"]);
    for (dir, finding) in of_node.chain(of_shards) {
        rows.push(vec![
            json!(dir.join(&finding.file).display().to_string()),
            json!(finding.offset),
            json!(finding.what),
            json!(finding.expected),
            json!(finding.found),
        ]);
    }
    rows
}

fn failure(error: &VerifyError) -> Failure {
    let exit = match error {
        VerifyError::DataDir { error, .. } if error.kind() == std::io::ErrorKind::NotFound => {
            Exit::NotFound
        }
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}

fn summary(shards: &[ShardVerification]) -> String {
    let sum = |of: fn(&ShardVerification) -> u64| shards.iter().map(of).sum::<u64>();
    format!(
        "checked {} shards: {} segments, {} frames, {} batches, {} bytes, {} footers, {} checkpoints, {} of their states proven",
        shards.len(),
        sum(|shard| shard.report.segments),
        sum(|shard| shard.report.frames),
        sum(|shard| shard.report.batches),
        sum(|shard| shard.report.bytes),
        sum(|shard| shard.report.footers),
        sum(|shard| shard.report.checkpoints),
        sum(|shard| shard.report.states_proven),
    )
}
