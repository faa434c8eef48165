//! Replays every corpus and every crash that was ever found, then a small, seeded number of mutations per target.

mod limits;

use jepsen_fuzz::{Report, TARGETS, Target, corpus, replay, run};

/// Enough to notice a decoder that broke badly; the binary runs the million.
const EXECUTIONS: u64 = 2_000;
const SEED: u64 = 20_260_101;

#[track_caller]
fn check(target: &Target, report: &Report) {
    for finding in &report.findings {
        eprintln!("{}: {}: {}", target.name, finding.what, corpus::to_hex(&finding.input));
    }
    assert!(
        report.findings.is_empty(),
        "{}: {} promises broken",
        target.name,
        report.findings.len()
    );
}

#[test]
fn corpora_and_regressions_keep_their_promises() {
    for target in TARGETS {
        let report = replay(target).expect("a corpus file is text");
        check(target, &report);
        assert!(
            report.accepted > 0,
            "{}: no seed is accepted, so nothing deep is tested",
            target.name
        );
    }
}

fn mutate_all(chosen: impl Fn(&Target) -> bool) {
    for target in TARGETS.iter().filter(|target| chosen(target)) {
        check(target, &run(target, EXECUTIONS, SEED).expect("a corpus file is text"));
    }
}

#[test]
fn mutations_keep_their_promises() {
    mutate_all(|target| target.name != "journal");
}

/// By itself: an execution opens a whole journal.
#[test]
fn mutations_of_a_journal_keep_its_promises() {
    mutate_all(|target| target.name == "journal");
}

#[test]
fn a_seed_is_a_run() {
    let target = TARGETS.iter().find(|target| target.name == "kafka-request").expect("it exists");
    let outcome = |seed| {
        let report = run(target, 3_000, seed).expect("a corpus file is text");
        (report.accepted, report.pool, report.peak, report.steps)
    };
    assert_eq!(outcome(1), outcome(1), "the same seed gives the same inputs");
    assert_ne!(outcome(1), outcome(2), "another seed gives others");
}

#[test]
fn a_broken_promise_is_found() {
    let sound = TARGETS[0];
    let panics = Target {
        seeds: || vec![vec![0; 8]],
        run: |input, _| {
            assert!(!input.starts_with(b"\xff\xff"), "the input starts with ff ff");
            jepsen_fuzz::Verdict::Accepted
        },
        ..sound
    };
    let report = run(&panics, 200_000, 1).expect("a corpus file is text");
    assert_eq!(report.findings.len(), 1, "one defect, one finding");
    assert!(report.findings[0].input.starts_with(b"\xff\xff"));
    let greedy = Target {
        run: |input, _| {
            drop(vec![0u8; 65 * 1024 + 16 * input.len()]);
            jepsen_fuzz::Verdict::Refused
        },
        ..sound
    };
    let report = run(&greedy, 10, 1).expect("a corpus file is text");
    assert!(report.findings[0].what.contains("bytes live"), "{:?}", report.findings);
    let slow = Target {
        run: |input, steps| {
            (0..2_000 + 16 * input.len()).for_each(|_| steps.step());
            jepsen_fuzz::Verdict::Refused
        },
        ..sound
    };
    let report = run(&slow, 10, 1).expect("a corpus file is text");
    assert!(report.findings[0].what.contains("steps"), "{:?}", report.findings);
}

#[test]
fn corpus_files_are_text_and_small() {
    let mut all = 0;
    for target in TARGETS {
        let bytes = target.corpus.len();
        assert!(bytes <= 200 * 1024, "{}: {bytes} bytes", target.name);
        all += bytes;
    }
    assert!(all < 1 << 20, "{all} bytes in all");
    assert_eq!(corpus::parse("# a\nx 00ff\n\nempty\n").expect("valid").len(), 2);
    assert!(corpus::parse("x 0").is_err());
    assert!(corpus::parse("x 0g").is_err());
}
