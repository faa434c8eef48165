//! `cargo sim --seed N [--count K] [--time S]`: runs seeds N..N+K, each twice, and compares the traces.
//!
//! The seed is printed before its run, so that a panic names it too. Exit code 1 when a seed fails, 2 for bad arguments.

use std::io::Write;
use std::process::ExitCode;

use jepsen_sim::{Options, Outcome, run};

const USAGE: &str = "usage: cargo sim --seed N [--count K] [--time SECONDS]
  --seed N   first seed
  --count K  how many seeds, default 1
  --time S   virtual seconds of load and faults per run, default 2
";

struct Arguments {
    seed: u64,
    count: u64,
    seconds: u64,
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let (mut seed, mut count, mut seconds) = (None, 1, 2);
    while let Some(word) = words.next() {
        let number = words.next()?.parse::<u64>().ok()?;
        match word.as_str() {
            "--seed" => seed = Some(number),
            "--count" => count = number,
            "--time" => seconds = number,
            _ => return None,
        }
    }
    Some(Arguments { seed: seed?, count, seconds })
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        // Nothing to do when even standard error is closed.
        let _ = std::io::stderr().write_all(USAGE.as_bytes());
        return ExitCode::from(2);
    };
    let options =
        Options { faults_ms: arguments.seconds.saturating_mul(1_000), ..Options::default() };
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
        say(&format!("again: cargo sim --seed {seed} --time {}", arguments.seconds));
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
        "  {:016x}  {} events, {} polls, {} ms, {} starts; {} sent, {} acknowledged, {} read, {} commits, {} generations",
        first.hash,
        first.events,
        first.polls,
        first.now_ns / 1_000_000,
        first.starts,
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
