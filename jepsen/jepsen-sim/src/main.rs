//! `cargo sim --seed N [--count K] [--time S] [--bug B]`: runs seeds N..N+K, each twice, and compares the traces.
//!
//! The seed is printed before its run, so that a panic names it too. Exit code 1 when a seed fails, 2 for bad arguments.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use jepsen_sim::{Options, Outcome, SeededBug, repeat_command, run};

const USAGE: &str = "usage: cargo sim --seed N [--count K] [--time SECONDS] [--bug B]
  --seed N   first seed
  --count K  how many seeds, default 1
  --time S   virtual seconds of load and faults per run, default 2
  --bug B    with a defect put in: lying-disk, async-topic, forgotten-producer, wrong-codec, unasked-delete,
             greedy-member, skipping-session, kept-topic, forgetful-disk, secret-rot, forged-state
";

struct Arguments {
    seed: u64,
    count: u64,
    time: Duration,
    bug: Option<SeededBug>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments { seed: 0, count: 1, time: Duration::from_secs(2), bug: None };
    let mut seeded = false;
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--seed" => (arguments.seed, seeded) = (value.parse().ok()?, true),
            "--count" => arguments.count = value.parse().ok()?,
            "--time" => arguments.time = Duration::try_from_secs_f64(value.parse().ok()?).ok()?,
            "--bug" => arguments.bug = Some(SeededBug::named(&value)?),
            _ => return None,
        }
    }
    seeded.then_some(arguments)
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        // Nothing to do when even standard error is closed.
        let _ = std::io::stderr().write_all(USAGE.as_bytes());
        return ExitCode::from(2);
    };
    let faults_ms = u64::try_from(arguments.time.as_millis()).unwrap_or(u64::MAX);
    let options = Options { faults_ms, bug: arguments.bug, fail: None };
    let mut failed = Vec::new();
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.count) {
        say(&format!("seed {seed}"));
        let (first, second) = (run(seed, options), run(seed, options));
        if !report(&first, &second) {
            failed.push(seed);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    for seed in &failed {
        say(&format!("again: {}", repeat_command(*seed, &options)));
    }
    ExitCode::FAILURE
}

/// Prints a line; a closed standard output ends nothing.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Whether the seed passed.
fn report(first: &Outcome, second: &Outcome) -> bool {
    let counts = &first.counts;
    say(&format!(
        "  {:016x}  {} events, {} polls, {} ms, {} starts, {} disk errors; {} sent, {} acknowledged, {} read, {} commits, {} generations",
        first.hash,
        first.events,
        first.polls,
        first.now_ns / 1_000_000,
        first.starts,
        first.disk_errors,
        counts.sent,
        counts.acked,
        counts.read,
        counts.commits,
        counts.rebalances
    ));
    let same = first.hash == second.hash;
    if !same {
        say(&format!("  NOT DETERMINISTIC: the second run gave {:016x}", second.hash));
        let differs = first.notes.iter().zip(&second.notes).find(|(a, b)| a != b);
        say(&format!("  first different note: {differs:?}"));
    }
    if !first.violations.is_empty() {
        for note in &first.notes {
            say(&format!("    {note}"));
        }
        for violation in &first.violations {
            say(&format!("  VIOLATION {violation}"));
        }
    }
    same && first.violations.is_empty()
}
