//! SIGKILL at random moments while three kinds of clients produce: what was acknowledged is there exactly once, in
//! order, with its offset.
//!
//! The producers live through all crashes and come back by themselves. 20 rounds on io_uring, 3 on epoll; 200 each with
//! `SLOW=1`. The moments follow from a seed (`LUMADB_SEED`), which is printed; the interleaving with the kernel does not,
//! so a failure is evidence even when the same seed passes later. A crash says something only when records were on their
//! way: each kind must have been acknowledged something in half of the rounds at least.
//!
//! What each kind promises, and so what is checked:
//! - all: an acknowledged (sequence, offset) is in the log at that offset, once; values are undamaged; log offsets
//!   have no gaps; acknowledged records keep the order in which they were sent.
//! - idempotent: nothing at all is doubled or reordered, and every record sent up to the end is there.
//! - plain and kafka-python (one attempt per record): a record without an acknowledgement may be there or not.

use e2e_clients::{
    process,
    server::{self, Server},
    tools,
};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

const KINDS: [&str; 3] = ["plain", "idempotent", "python"];
const ROUNDS: u32 = 20;
/// Rounds on the reactor that is not the default.
const ROUNDS_OTHER: u32 = 3;
const ROUNDS_SLOW: u32 = 200;
const RUN_MS_MIN: u64 = 150;
const RUN_MS_SPAN: u64 = 600;

pub(super) struct Producer {
    pub(super) kind: &'static str,
    acks: PathBuf,
    child: Child,
}

impl Producer {
    pub(super) fn topic(&self) -> String {
        format!("crash-{}", self.kind)
    }

    /// Bytes of acknowledgements so far.
    pub(super) fn written(&self) -> u64 {
        fs::metadata(&self.acks).map_or(0, |file| file.len())
    }

    pub(super) fn acknowledged(&self) -> Vec<(u64, u64)> {
        pairs(&fs::read_to_string(&self.acks).unwrap())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

/// `sequence offset` lines; a last line that was cut is left out.
fn pairs(text: &str) -> Vec<(u64, u64)> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| {
            let (sequence, offset) = line.split_once(' ').unwrap();
            (sequence.parse().unwrap(), offset.parse().unwrap())
        })
        .collect()
}

fn next_random(state: &mut u64) -> u64 {
    // SplitMix64 (Steele, Lea, Flood 2014).
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn acknowledged_records_survive_kill_9() {
    survive("io_uring");
}

#[test]
fn acknowledged_records_survive_kill_9_on_epoll() {
    survive("epoll");
}

#[test]
fn a_kernel_that_refuses_io_uring_is_noticed() {
    let python = tools::installed().join("python/bin/python");
    if !python.exists() {
        assert!(!tools::all_required(), "Python is missing: run e2e/tools.sh python");
        let skipped = "\nio_uring refused | skipped because Python is missing\n";
        return io::stderr().lock().write_all(skipped.as_bytes()).unwrap();
    }
    let wrapper = tools::repository().join("e2e/faults/without_io_uring.py");
    let wrapped = [python.to_str().unwrap(), wrapper.to_str().unwrap()];
    let why = server::io_uring_refusal(&wrapped, &env::temp_dir()).unwrap();
    let why = why.expect("the crash test must skip where this is refused");
    assert!(why.contains("not permitted") && why.contains("--reactor epoll"), "{why}");
}

/// The whole test on one reactor.
fn survive(reactor: &str) {
    let _alone = crate::alone();
    let python = tools::installed().join("python/bin/python");
    let say = |text: String| io::stderr().lock().write_all(text.as_bytes()).unwrap();
    if !python.exists() {
        assert!(!tools::all_required(), "the Python clients are missing: run e2e/tools.sh");
        return say(
            "\nkill -9 under load | skipped because the Python clients are missing\n".to_owned()
        );
    }
    if reactor == "io_uring"
        && let Some(why) = server::io_uring_refusal(&[], &env::temp_dir()).unwrap()
    {
        assert!(!tools::all_required(), "{why}");
        return say(format!("\nkill -9 under load | {reactor} | skipped because {why}\n"));
    }
    let setting = format!("node.reactor={reactor}");
    let mut server =
        Server::start(&format!("crash-{reactor}"), &[&setting, "node.cores=2"]).unwrap();
    if !server.is_luma() {
        return;
    }
    let seed: u64 = env::var("LUMADB_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let slow = env::var("SLOW").is_ok_and(|v| v == "1");
    let rounds = match (slow, reactor) {
        (true, _) => ROUNDS_SLOW,
        (false, "io_uring") => ROUNDS,
        (false, _) => ROUNDS_OTHER,
    };
    say(format!("\nkill -9 under load | {reactor} | {rounds} rounds | LUMADB_SEED={seed}\n"));

    let mut producers = producing(&server);
    let mut state = seed;
    let mut busy_rounds = vec![0; producers.len()];
    for round in 0..rounds {
        let before: Vec<u64> = producers.iter().map(Producer::written).collect();
        process::let_run(Duration::from_millis(RUN_MS_MIN + next_random(&mut state) % RUN_MS_SPAN));
        for (index, producer) in producers.iter().enumerate() {
            busy_rounds[index] += u32::from(producer.written() > before[index]);
        }
        server.crash_and_restart().unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    stop(&mut producers);
    for (producer, busy) in producers.iter().zip(busy_rounds) {
        let acknowledged = producer.acknowledged();
        let log = dump(&server, &producer.topic());
        say(format!(
            "{} | {} acknowledged, in {busy} of {rounds} rounds | {} in the log\n",
            producer.kind,
            acknowledged.len(),
            log.len()
        ));
        assert!(2 * busy >= rounds, "{}: hardly any crash met a producer at work", producer.kind);
        check(producer.kind, &acknowledged, &log);
    }
}

/// A producer of each kind, at work.
pub(super) fn producing(server: &Server) -> Vec<Producer> {
    let producers: Vec<Producer> = KINDS.iter().map(|kind| produce(server, kind)).collect();
    process::until("a first acknowledgement for each", Duration::from_secs(60), || {
        Ok(producers.iter().all(|producer| producer.written() > 0).then_some(()))
    })
    .unwrap();
    producers
}

/// Has the producers send no more and wait for what is on its way.
pub(super) fn stop(producers: &mut [Producer]) {
    for producer in producers {
        drop(producer.child.stdin.take());
        let status =
            process::wait(&mut producer.child, producer.kind, Duration::from_secs(180)).unwrap();
        let said = fs::read_to_string(producer.acks.with_extension("err")).unwrap();
        assert!(status.success(), "{}: {}", producer.kind, process::last_lines(&said, 5));
    }
}

fn produce(server: &Server, kind: &'static str) -> Producer {
    let acks = server.dir().join(format!("{kind}.acks"));
    let mut command = Command::new(tools::installed().join("python/bin/python"));
    command.arg(tools::repository().join("e2e/clients/crash/producer.py"));
    command.args([kind, &server.addresses.kafka, &format!("crash-{kind}")]).arg(&acks);
    let err = fs::File::create(acks.with_extension("err")).unwrap();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(err).spawn().unwrap();
    Producer { kind, acks, child }
}

pub(super) fn dump(server: &Server, topic: &str) -> Vec<(u64, u64)> {
    let mut command = Command::new(tools::installed().join("python/bin/python"));
    command.arg(tools::repository().join("e2e/clients/crash/dump.py"));
    command.args([&server.addresses.kafka, topic]);
    let (status, out, err) =
        process::run(&mut command, server.dir(), "dump", Duration::from_secs(180)).unwrap();
    assert!(status.success(), "{topic}: {err}\n{}", server.log_tail());
    pairs(&out)
}

pub(super) fn check(kind: &str, acknowledged: &[(u64, u64)], log: &[(u64, u64)]) {
    let mut at = BTreeMap::new();
    let mut times: BTreeMap<u64, u32> = BTreeMap::new();
    for (index, &(sequence, offset)) in log.iter().enumerate() {
        let first = log[0].1;
        assert_eq!(offset, first + index as u64, "{kind}: the log has a gap or a repeated offset");
        at.insert(offset, sequence);
        *times.entry(sequence).or_default() += 1;
    }
    let mut previous = None;
    for &(sequence, offset) in acknowledged {
        let found = at.get(&offset);
        assert_eq!(
            found,
            Some(&sequence),
            "{kind}: acknowledged record {sequence} is not at offset {offset}"
        );
        assert_eq!(
            times[&sequence], 1,
            "{kind}: acknowledged record {sequence} is in the log more than once"
        );
        if let Some((sent_before, offset_before)) = previous {
            let ordered = sequence > sent_before && offset > offset_before;
            assert!(
                ordered,
                "{kind}: {sequence}@{offset} was acknowledged after {sent_before}@{offset_before}"
            );
        }
        previous = Some((sequence, offset));
    }
    if kind == "idempotent" {
        for (index, &(sequence, _)) in log.iter().enumerate() {
            assert_eq!(
                sequence, index as u64,
                "{kind}: record {sequence} is lost, doubled or out of order"
            );
        }
    }
}
