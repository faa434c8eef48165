//! Every write, sync, allocation and name change of a short run fails once, the n-th for all n: the process ends, nothing
//! acknowledged is lost, and the next start goes on (F3 of docs/invariants.md).

use jepsen_sim::{FailNth, Options, Outcome, run};
use log_testkit::{Fault, OpKind};

/// A short run of one shard, and one of several.
const SEEDS: [u64; 2] = [3, 5];

fn fail(seed: u64, kind: OpKind, n: u64, fault: Fault) -> Outcome {
    run(seed, Options { faults_ms: 120, bug: None, fail: Some(FailNth { kind, n, fault }) })
}

/// Fails the n-th operation for n = 0, 1, … until the run has no n-th one; the first `all` one by one, the rest in steps
/// of `stride` (with SLOW=1 one by one as well). Gives how many failed.
fn sweep(kind: OpKind, fault: Fault, all: u64, stride: u64, holds: fn(&Outcome) -> bool) -> u64 {
    let stride = if std::env::var_os("SLOW").is_some() { 1 } else { stride };
    let mut failed = 0;
    for seed in SEEDS {
        let mut n = 0;
        loop {
            let outcome = fail(seed, kind, n, fault);
            let what = format!("seed {seed}, {fault:?} at {kind:?} number {n}");
            assert_eq!(outcome.violations, Vec::<String>::new(), "{what}: {:#?}", outcome.notes);
            assert!(outcome.counts.acked > 0, "{what}: nothing was acknowledged");
            if outcome.disk_errors == 0 {
                break;
            }
            assert!(holds(&outcome), "{what}: {} starts: {:#?}", outcome.starts, outcome.notes);
            failed += 1;
            n += if n < all { 1 } else { stride };
        }
    }
    failed
}

fn ends(outcome: &Outcome) -> bool {
    outcome.starts == 2
}

fn goes_on(outcome: &Outcome) -> bool {
    outcome.starts == 1
}

#[test]
fn a_failed_write_ends_the_process() {
    assert!(sweep(OpKind::Write, Fault::Io, 10, 29, ends) > 24);
}

#[test]
fn a_torn_write_ends_the_process() {
    assert!(sweep(OpKind::Write, Fault::Torn, 4, 47, ends) > 10);
}

#[test]
fn a_failed_sync_ends_the_process() {
    assert!(sweep(OpKind::Sync, Fault::Io, 20, 5, ends) > 2);
}

#[test]
fn a_failed_name_change_ends_the_process() {
    assert!(sweep(OpKind::Rename, Fault::Io, 20, 5, ends) > 2);
    assert!(sweep(OpKind::SyncDir, Fault::Io, 20, 5, ends) > 2);
    assert!(sweep(OpKind::Create, Fault::Io, 20, 5, ends) > 2);
}

#[test]
fn a_failed_allocation_ends_the_process_and_one_without_space_does_not() {
    assert!(sweep(OpKind::Allocate, Fault::Io, 20, 5, ends) > 2);
    assert!(
        sweep(OpKind::Allocate, Fault::StorageFull, 20, 5, |outcome| {
            // Without space for the first segment there is no journal to go on with.
            goes_on(outcome) || outcome.notes.iter().any(|note| note.contains("node failed"))
        }) > 2
    );
}
