//! librdkafka's own integration suite against our broker: the tests of `e2e/librdkafka/allow.txt` pass, and every other
//! test of the suite has a reason in `excluded.txt`.
//!
//! One test of the suite is many: of `0081`, the admin API, the parts that need no access control are listed each, as
//! `0081/NAME`, where NAME is what the runner takes to choose among sub-tests.
//!
//! Each test runs in a process of its own (`TESTS=nnnn ./test-runner -p1`), with a deadline, against a server of its
//! scenario: with automatic topic creation of four partitions, which the suite presumes, or without. They mostly wait, so
//! some run at a time; one that fails is tried again when all others have ended. The suite's source is never edited.

use crate::lists;
use e2e_clients::{process, tools};
use entry::{Entry, SLOW_FROM, allowed};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{self, Write as _},
    path::PathBuf,
    sync::Mutex,
    thread,
};
use suite::{Ran, Suite};

mod entry;
mod suite;

const ALLOWED: &str = "librdkafka/allow.txt";
const EXCLUDED: &str = "librdkafka/excluded.txt";
/// Every name that was ever in allow.txt.
const EVER_ALLOWED: &str = "librdkafka/ever.txt";

/// Tests of the suite that a run passes at least, one of several parts counted once: the first bar of the project.
const NUMBERS_MIN: usize = 70;

/// Tests at a time: they wait for time-outs that they provoke most of the time, so that this suits two cores.
const AT_A_TIME: usize = 6;

#[test]
fn every_test_of_the_suite_is_allowed_or_excluded_with_a_reason() {
    let allowed = allowed(ALLOWED);
    let excluded = lists::reasons(EXCLUDED);
    assert!(
        lists::entries(ALLOWED).is_sorted(),
        "allow.txt is sorted, so that its changes read well"
    );
    for test in &allowed {
        assert!(!excluded.contains_key(&test.name), "{} is in both lists", test.name);
    }
    let Some(suite) = built() else { return say(SKIPPED) };
    for name in suite::sources(&suite) {
        let number = &name[..4];
        let listed = excluded.contains_key(number) || allowed.iter().any(|t| t.number() == number);
        assert!(listed, "{name} is in neither allow.txt nor excluded.txt of e2e/librdkafka");
    }
}

/// By name: a test that comes does not make up for one that goes.
#[test]
fn the_allowed_tests_of_librdkafka_only_become_more() {
    let names: BTreeSet<String> = allowed(ALLOWED).into_iter().map(|test| test.name).collect();
    let ever: BTreeSet<String> = lists::entries(EVER_ALLOWED).into_iter().collect();
    let gone: Vec<_> = ever.difference(&names).collect();
    assert!(gone.is_empty(), "allow.txt only grows, and these are gone: {gone:?}");
    let new: Vec<_> = names.difference(&ever).collect();
    assert!(new.is_empty(), "add to e2e/{EVER_ALLOWED}: {new:?}");
    let taken = lists::taken_off(EVER_ALLOWED);
    assert!(taken.is_empty(), "a commit took off {EVER_ALLOWED}: {taken:?}");
}

#[test]
fn the_allowed_tests_of_librdkafka_pass() {
    let Some(dir) = built() else {
        assert!(
            !tools::all_required(),
            "librdkafka's suite is missing: run e2e/tools.sh librdkafka"
        );
        return say(SKIPPED);
    };
    let _alone = crate::alone();
    let suite = Suite::start(dir).unwrap();
    let (allowed, excluded) = (allowed(ALLOWED), lists::reasons(EXCLUDED));
    let (mut passed, mut left_out) = (BTreeSet::new(), BTreeSet::new());
    let (mut numbers, mut failed) = (BTreeSet::new(), Vec::new());
    for (test, result) in run_all(&suite, &allowed) {
        let result = result.or_else(|first| more_tries(&suite, &test, first));
        let Ok(ran) = result else {
            failed.push(test.name);
            continue;
        };
        numbers.insert(test.number().to_owned());
        passed.extend(ran.passed);
        left_out.extend(ran.skipped);
    }
    say(&format!(
        "\nlibrdkafka suite | {} of {} allowed entries passed, of {} tests of the suite\n",
        allowed.len() - failed.len(),
        allowed.len(),
        numbers.len()
    ));
    if tools::updating() && suite.is_luma() {
        promote(&suite, allowed, excluded.clone());
    }
    assert!(failed.is_empty(), "these must pass: {failed:?}\n{}", suite.log_tails());
    assert!(numbers.len() >= NUMBERS_MIN, "only {} tests of the suite ran", numbers.len());
    for name in left_out.difference(&passed).filter(|name| !suite::is_mocked(name)) {
        assert!(
            excluded.contains_key(name),
            "{name} is skipped, and excluded.txt does not say why"
        );
    }
}

/// What a run says that has no suite.
const SKIPPED: &str = "\nlibrdkafka suite | skipped because its test runner is missing\n";

fn say(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).unwrap();
}

/// Runs the tests, [`AT_A_TIME`] at a time, the slow ones first.
fn run_all(suite: &Suite, tests: &[Entry]) -> Vec<(Entry, Result<Ran, String>)> {
    let (slow, fast): (Vec<_>, Vec<_>) = tests.iter().cloned().partition(|test| test.slow);
    let queue = Mutex::new(VecDeque::from([slow, fast].concat()));
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(test) = next else { return };
                    let (result, took) = process::timed(|| suite.run(&test));
                    say(&format!(
                        "\nlibrdkafka | {} | {} s | {}",
                        test.name,
                        took.as_secs(),
                        words(&result)
                    ));
                    results.lock().unwrap().push((test, result));
                }
            });
        }
    });
    results.into_inner().unwrap()
}

/// A test of the suite judges by wall-clock deadlines made for an idle machine, so that a busy one may fail it: it is tried
/// again, at most twice, when the suite has nothing else to do, and the run says that it needed that.
fn more_tries(suite: &Suite, test: &Entry, mut failed: String) -> Result<Ran, String> {
    for again in ["second", "third"] {
        let result = suite.run(test);
        let words = words(&result);
        say(&format!("\nlibrdkafka | {} | {again} try, after {failed}: {words}", test.name));
        match result {
            Ok(ran) => return Ok(ran),
            Err(cause) => failed = cause,
        }
    }
    Err(failed)
}

/// What ran and what was left out.
fn words(result: &Result<Ran, String>) -> String {
    let ran = match result {
        Ok(ran) => ran,
        Err(cause) => return format!("failed: {cause}"),
    };
    let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
    match ran.skipped.len() {
        0 => format!("ok: {}", names(&ran.passed)),
        _ => format!("ok: {}; skipped: {}", names(&ran.passed), names(&ran.skipped)),
    }
}

/// Runs every untried or failing test and writes the lists anew.
fn promote(suite: &Suite, mut allowed: Vec<Entry>, mut excluded: BTreeMap<String, String>) {
    let is_candidate = |reason: &str| reason.starts_with("untried") || reason.starts_with("bug");
    let candidates: Vec<String> = excluded
        .iter()
        .filter(|(_, reason)| is_candidate(reason))
        .map(|(test, _)| test.clone())
        .collect();
    for name in candidates {
        let test = Entry { name: name.clone(), full: true, slow: false, patient: false };
        let (result, took) = process::timed(|| suite.run(&test));
        match result {
            Ok(_) => {
                excluded.remove(&name);
                allowed.push(Entry { slow: took > SLOW_FROM, ..test });
            }
            Err(cause) => {
                excluded.insert(name, format!("bug: {cause}"));
            }
        }
    }
    let mut lines: Vec<String> = allowed.iter().map(Entry::line).collect();
    lines.sort();
    lists::rewrite(ALLOWED, lines.into_iter());
    let mut ever: BTreeSet<String> = lists::entries(EVER_ALLOWED).into_iter().collect();
    ever.extend(allowed.into_iter().map(|test| test.name));
    lists::rewrite(EVER_ALLOWED, ever.into_iter());
    lists::rewrite(EXCLUDED, excluded.iter().map(|(test, reason)| format!("{test} {reason}")));
}

/// The suite's directory, when `e2e/tools.sh` has built it.
fn built() -> Option<PathBuf> {
    let dir = tools::installed().join("librdkafka/tests");
    dir.join("test-runner").exists().then_some(dir)
}
