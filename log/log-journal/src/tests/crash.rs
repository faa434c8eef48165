//! Power cuts and device errors at every operation of a short run (L1, L2, F2 and F3 of docs/invariants.md).

use log_testkit::{CrashPolicy, Fault, SimDisk, SimDiskOptions};
use log_types::Position;

use super::rig::{Appended, Rig, Step, append, options, volatile};
use crate::JournalError;

/// Short, yet it crosses three segments, takes checkpoints, trims, frees and mixes durabilities.
fn script() -> Vec<Step> {
    let mut script = Vec::new();
    for round in 0..5 {
        script.extend([append(20, 2, 600), volatile(30, 1, 2000), append(21, 1, 5000), Step::Wait]);
        script.extend([
            volatile(30, 1, 900),
            append(20, 1, 9000),
            append(22, 3, 10),
            append(21, 1, 20_000),
        ]);
        script.push(Step::Note { stream: 5, bytes: 100 });
        script.extend([
            Step::Wait,
            append(20, 1, 9000),
            volatile(30, 2, 7000),
            Step::Settle,
            Step::Checkpoint,
        ]);
        if round == 3 {
            script.extend([
                Step::LogStart { stream: 20, offset: 5 },
                Step::LogStart { stream: 21, offset: 4 },
            ]);
            script.extend([
                Step::Remove { stream: 22 },
                Step::LogStart { stream: 30, offset: 8 },
                Step::Tick,
            ]);
        }
    }
    script.extend([Step::Sync, Step::Tick, Step::Close]);
    script
}

/// What one process left behind.
struct Left {
    appended: Vec<Appended>,
    acknowledged: usize,
    finished: bool,
    failed: bool,
    log_start: std::collections::BTreeMap<u64, i64>,
}

fn run(disk: &SimDisk, script: &[Step], seed: u64) -> Left {
    match Rig::open(disk.clone(), options(), seed, Vec::new()) {
        Some(Ok(mut rig)) => {
            let finished = rig.run(script);
            let failed = matches!(*rig.outcome.borrow(), Some(Err(_)));
            let acknowledged = rig.acknowledged();
            Left {
                appended: rig.appended.clone(),
                acknowledged,
                finished,
                failed,
                log_start: rig.log_start.clone(),
            }
        }
        other => Left {
            appended: Vec::new(),
            acknowledged: 0,
            finished: false,
            failed: other.is_some(),
            log_start: std::collections::BTreeMap::new(),
        },
    }
}

fn simulated(seed: u64, sector_bytes: usize) -> SimDisk {
    SimDisk::new(SimDiskOptions {
        seed,
        sector_bytes,
        latency_polls_max: 3,
        ..SimDiskOptions::default()
    })
}

/// Opens `disk`, checks it against what was left, writes on, and checks that too.
fn recovers(disk: SimDisk, left: &Left, what: &str) {
    let opened = Rig::open(disk, options(), 7, left.appended.clone());
    let opened = opened.unwrap_or_else(|| panic!("{what}: open hangs"));
    let mut rig = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    rig.log_start.clone_from(&left.log_start);
    rig.audit(left.acknowledged);
    assert!(
        rig.run(&[append(40, 1, 3000), append(20, 2, 100), Step::Wait]),
        "{what}: appends again"
    );
    let acknowledged = rig.acknowledged();
    // The second crash drops whatever the first recovery did not make durable.
    let disk = rig.disk.crash_image(CrashPolicy::DropAll);
    let appended = rig.appended.clone();
    let mut rig = Rig::open(disk, options(), 8, appended)
        .unwrap_or_else(|| panic!("{what}: second open hangs"))
        .unwrap_or_else(|error| panic!("{what}: second open: {error}"));
    rig.log_start.clone_from(&left.log_start);
    rig.audit(acknowledged);
}

/// Every prefix of the un-synced writes, torn ones included: of the write after the whole ones none, one, half of and all but
/// one of its sectors, and with `SLOW=1` every number of them. Then everything, nothing, and random subsets.
fn policies(disk: &SimDisk, op: u64) -> Vec<CrashPolicy> {
    let mut policies = vec![CrashPolicy::DropAll, CrashPolicy::KeepAll];
    let pending = disk.pending_sectors();
    for (writes, count) in (0..).zip(&pending) {
        let mut torn =
            if slow() { (0..*count).collect() } else { vec![0, 1, count / 2, count - 1] };
        torn.dedup();
        torn.retain(|sectors| sectors < count);
        policies.extend(torn.into_iter().map(|sectors| CrashPolicy::Prefix { writes, sectors }));
    }
    policies.push(CrashPolicy::Prefix { writes: pending.len() as u64, sectors: 0 });
    if !pending.is_empty() {
        policies.extend((0..3).map(|seed| CrashPolicy::Subset { seed: op * 100 + seed }));
    }
    policies
}

#[expect(clippy::disallowed_methods, reason = "a person asks for the long form of a test by it")]
fn slow() -> bool {
    std::env::var("SLOW").is_ok_and(|value| value == "1")
}

/// Crashes at every `stride`-th operation of `script`. Gives the most writes that were un-synced at one of them.
fn crash_everywhere(
    script: &[Step],
    disk: impl Fn() -> SimDisk,
    seed: u64,
    stride: usize,
) -> usize {
    let whole = disk();
    assert!(run(&whole, script, seed).finished, "the script runs to its end without faults");
    let total = whole.ops();
    assert!(total > 100, "{total} operations");
    let mut most = 0;
    for op in (0..total).step_by(stride) {
        let disk = disk();
        disk.halt_at(op);
        let left = run(&disk, script, seed);
        most = most.max(disk.pending_sectors().len());
        for policy in policies(&disk, op) {
            recovers(
                disk.crash_image(policy),
                &left,
                &format!("seed {seed}, operation {op}, {policy:?}"),
            );
        }
    }
    most
}

#[test]
fn a_power_cut_at_every_operation_loses_nothing_acknowledged() {
    crash_everywhere(&script(), || simulated(1, 512), 1, 1);
}

#[test]
fn a_power_cut_with_large_sectors_and_another_schedule() {
    crash_everywhere(&script(), || simulated(2, 4096), 2, 5);
}

/// Frames that nobody waits for are many at a time before one sync covers them.
#[test]
fn a_power_cut_among_many_unsynced_frames_leaves_a_prefix_of_them() {
    let mut script = Vec::new();
    for _ in 0..3 {
        for number in 0..12 {
            script.extend([volatile(30 + number % 3, 1, 900), Step::Settle]);
        }
        script.extend([append(20, 1, 900), Step::Settle, volatile(30, 1, 10), Step::Sync]);
    }
    script.push(Step::Close);
    let most = crash_everywhere(&script, || simulated(6, 512), 6, 1);
    assert!(most >= 12, "{most} un-synced writes");
}

#[test]
fn a_power_cut_during_recovery_is_recovered_from() {
    let disk = simulated(3, 512);
    run(&disk, &script(), 3);
    let total = disk.ops();
    for op in (total / 5..total).step_by(41) {
        let disk = simulated(3, 512);
        disk.halt_at(op);
        let left = run(&disk, &script(), 3);
        let crashed = disk.crash_image(CrashPolicy::Subset { seed: op });
        for inner in 0..40 {
            let disk = crashed.fork();
            disk.halt_at(inner);
            let opened = Rig::open(disk.clone(), options(), 3, Vec::new());
            let complete = opened.is_some();
            drop(opened);
            for policy in policies(&disk, inner) {
                recovers(
                    disk.crash_image(policy),
                    &left,
                    &format!("operation {op}, then {inner} of recovery, {policy:?}"),
                );
            }
            if complete {
                break;
            }
        }
    }
}

/// F3: no acknowledgement after a failed write or sync, and the flusher ends with the error.
#[test]
fn every_operation_failing_once_is_reported_and_loses_nothing_acknowledged() {
    let disk = simulated(4, 512);
    run(&disk, &script(), 4);
    let total = disk.ops();
    for fault in [Fault::Io, Fault::Torn] {
        let step = if fault == Fault::Torn { 3 } else { 1 };
        for op in (0..total).step_by(step) {
            let disk = simulated(4, 512);
            disk.fail_at(op, fault);
            let left = run(&disk, &script(), 4);
            assert!(left.failed || left.finished, "operation {op}: neither failed nor finished");
            assert!(left.failed, "operation {op}: the error surfaced");
            for policy in
                [CrashPolicy::DropAll, CrashPolicy::KeepAll, CrashPolicy::Subset { seed: op }]
            {
                recovers(
                    disk.crash_image(policy),
                    &left,
                    &format!("{fault:?} at {op}, {policy:?}"),
                );
            }
        }
    }
}

#[test]
fn a_failed_write_fails_waiters_and_later_appends() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&[append(20, 1, 100), Step::Wait, Step::Settle]));
    rig.disk.fail_at(rig.disk.ops(), Fault::Io);
    assert!(rig.run(&[append(20, 1, 100)]));
    let waited = rig.executor.block_on(rig.journal.wait_durable(rig.journal.appended()));
    assert!(matches!(waited, Some(Err(JournalError::Failed))), "{waited:?}");
    assert!(matches!(*rig.outcome.borrow(), Some(Err(JournalError::Io { .. }))));
    assert!(!rig.append(20, 1, 100, log_io::Durability::Synced));
    assert_eq!(rig.durable.get(), Position(1), "only the first frame was acknowledged");
}

/// Two frames in flight, only the second reaches the device. After recovery a frame just like the first is written, so
/// that the stale second one has the right segment, offset and position; only its generation is old.
#[test]
fn a_stale_frame_of_a_truncated_tail_never_follows_a_new_one() {
    let options = || crate::JournalOptions { frame_bytes_target: 1, ..options() };
    let slow = SimDiskOptions { latency_polls_max: 40, seed: 5, ..SimDiskOptions::default() };
    let mut rig = Rig::open(SimDisk::new(slow), options(), 1, Vec::new()).unwrap().unwrap();
    assert!(rig.run(&[Step::Settle, append(20, 1, 5000)]));
    let mut yielded = false;
    let once = std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut yielded, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    });
    rig.executor.block_on(once);
    assert!(rig.run(&[append(20, 1, 5000), Step::Wait]));
    let segment = crate::format::segment_name(log_types::SegmentId(1));
    let disk = rig.disk.crash_image(CrashPolicy::DropAll);
    disk.poke(&segment, crate::format::DATA_START, &[0; 4096]);

    let mut rig = Rig::open(disk, options(), 1, Vec::new()).unwrap().unwrap();
    assert_eq!(
        rig.recovery.position,
        Position(0),
        "nothing proves that the first frame was durable"
    );
    assert!(rig.run(&[append(20, 1, 5000), Step::Wait]));
    let disk = rig.disk.crash_image(CrashPolicy::DropAll);
    let appended = rig.appended.clone();
    let mut rig = Rig::open(disk, options(), 1, appended).unwrap().unwrap();
    assert_eq!(rig.recovery.position, Position(1), "the stale frame stays out");
    rig.audit(1);
}
