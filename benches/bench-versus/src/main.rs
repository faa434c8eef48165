//! Side-by-side measurements of servers that speak the Kafka protocol, with the machine's own limits in the same run.
//!
//! ```text
//!  bench-versus (processor 1) ── same load generator ──► LumaDB    (processor 0)
//!                             └─────────────────────────► Kafka     (processor 0)
//!                             └── fio, loopback ────────► the floor (processor 0)
//!  rounds:  A B C · C B A · A B C …      a calibration spin before each; figures are paired by round
//! ```
//!
//! Invariants:
//! - Loopback only; only processes that it started are stopped; at most [`DISK_BYTES_MAX`] on disk at a time.
//! - A figure counts only after the data behind it was counted and compared with what was sent.
//!
//! Deliberately absent: dropping the machine's caches, absolute claims: quote the ratios.

mod data;
mod floor;
mod load;
mod options;
mod peer;
mod process;
mod report;
mod rest;
mod scenario;
mod schedule;
mod stats;

use std::io::Write as _;

use options::Options;
use peer::CLIENT_CPU;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(writeln!(std::io::stdout(), "{}", options::HELP)?);
    }
    let options = Options::parse(&words)?;
    process::pin(CLIENT_CPU)?;
    schedule::run(&options)
}
