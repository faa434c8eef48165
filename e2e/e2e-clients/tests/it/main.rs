//! Foreign clients, crashes under their load, and librdkafka's and kafka-python's own suites, against a `lumadb` process.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail where it stands; helpers of tests are tests"
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod clients;
mod crash;
mod disk_full;
mod failing_device;
mod kafka_python;
mod librdkafka;
mod lists;
mod sql_shell;

/// Held by each test that runs servers and clients: one at a time on a machine of two cores, so that the deadlines of
/// one never depend on the load that another makes.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed leaves nothing behind that the next could trip over.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
