//! librdkafka's own integration suite against our broker: the tests of `e2e/librdkafka/allow.txt` pass, and every other
//! test of the suite has a reason in `excluded.txt`.
//!
//! One test of the suite is many: of `0081`, the admin API, the parts that need no access control are listed each, as
//! `0081/NAME`, where NAME is what the runner takes to choose among sub-tests.
//!
//! Each test runs in a process of its own (`TESTS=nnnn ./test-runner -p1`), with a deadline, against one server with
//! automatic topic creation of four partitions, which the suite presumes. The suite's source is never edited.

use crate::lists;
use e2e_clients::{process, server::Server, tools};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::Path,
    process::Command,
    time::Duration,
};

const ALLOWED: &str = "librdkafka/allow.txt";
const EXCLUDED: &str = "librdkafka/excluded.txt";

/// Longer than the slowest allowed test needs; a test that hangs costs no more than this.
const TEST_DEADLINE: Duration = Duration::from_secs(120);

/// Tests that make topics with Kafka's own command, `$KAFKA_PATH/bin/kafka-topics.sh`. Others read the variable as a
/// sign that they run beside a Java broker.
const TOPICS_BY_COMMAND: [&str; 2] = ["0052", "0077"];

/// A test that takes longer is left to runs with `SLOW=1`, so that the suite costs an ordinary run a few minutes.
const FAST_MAX: Duration = Duration::from_secs(6);

#[test]
fn every_test_of_the_suite_is_allowed_or_excluded_with_a_reason() {
    let allowed = allowed();
    let excluded = excluded();
    assert!(
        lists::entries(ALLOWED).is_sorted(),
        "allow.txt is sorted, so that its changes read well"
    );
    for test in allowed.keys() {
        assert!(!excluded.contains_key(test), "librdkafka test {test} is in both lists");
    }
    let Some(suite) = suite() else { return };
    for entry in fs::read_dir(&suite).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_test = name.ends_with(".c") || name.ends_with(".cpp");
        let Some(number) =
            name.get(..4).filter(|n| is_test && n.bytes().all(|b| b.is_ascii_digit()))
        else {
            continue;
        };
        let listed = allowed.contains_key(number) || excluded.contains_key(number);
        assert!(listed, "{name} is in neither allow.txt nor excluded.txt of e2e/librdkafka");
    }
}

/// Tests of the suite that pass, a test of several parts counted once: with `SLOW=1`, and of them in every run. A test that
/// is added to the list raises them, and none is ever taken off.
const PASSING: (usize, usize) = (82, 53);

#[test]
fn the_allowed_tests_of_librdkafka_only_become_more() {
    let allowed = allowed();
    let number = |test: &str| test.split('/').next().unwrap_or_default().to_owned();
    let all: BTreeSet<String> = allowed.keys().map(|test| number(test)).collect();
    let fast = allowed.iter().filter(|(_, pace)| **pace == Pace::Fast);
    let fast: BTreeSet<String> = fast.map(|(test, _)| number(test)).collect();
    assert_eq!(
        (all.len(), fast.len()),
        PASSING,
        "fewer: allow.txt only grows; more: raise PASSING"
    );
}

#[test]
fn the_allowed_tests_of_librdkafka_pass() {
    let say = |text: String| io::stderr().lock().write_all(text.as_bytes()).unwrap();
    let Some(suite) = suite() else {
        assert!(
            !tools::all_required(),
            "librdkafka's suite is missing: run e2e/tools.sh librdkafka"
        );
        return say("\nlibrdkafka suite | skipped because its test runner is missing\n".to_owned());
    };
    let _alone = crate::alone();
    let server = Server::start(
        "librdkafka",
        &["kafka.num_partitions=4", "kafka.group_initial_rebalance_delay_ms=0"],
    )
    .unwrap();
    // The runner reads test.conf from the directory that it runs in; the tests read fixtures beside their source.
    let config = format!("bootstrap.servers={}\n", server.addresses.kafka);
    let config_path = server.dir().join("test.conf");
    fs::write(&config_path, config).unwrap();
    let mut lists = (allowed(), excluded());
    let (mut passed, mut left_out, mut failed) = (0, 0, Vec::new());
    for (test, pace) in &lists.0 {
        if *pace == Pace::Slow && !slow_too() {
            left_out += 1;
            continue;
        }
        let result = run_twice(&suite, &server, &config_path, test);
        say(format!("\nlibrdkafka | {test} | {}", result.as_ref().unwrap_or_else(|e| e)));
        match result {
            Ok(_) => passed += 1,
            Err(_) => failed.push(test.clone()),
        }
    }
    let count = lists.0.len();
    say(format!(
        "\nlibrdkafka suite | {passed} of {count} allowed tests passed, {left_out} run with SLOW=1 only\n"
    ));
    if tools::updating() && server.is_luma() {
        promote(&mut lists, |test| run(&suite, &server, &config_path, test));
    }
    assert!(failed.is_empty(), "these must pass: {failed:?}\n{}", server.log_tail());
}

/// Whether a test of the suite is part of every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Fast,
    /// Takes longer than [`FAST_MAX`]: run with `SLOW=1` only.
    Slow,
}

/// Whether the slow tests run too.
fn slow_too() -> bool {
    std::env::var("SLOW").is_ok_and(|value| value == "1")
}

/// A test of the suite judges by wall-clock deadlines made for an idle machine, so that a busy one may fail it: it has a
/// second try, and the run says that it needed one.
fn run_twice(suite: &Path, server: &Server, config: &Path, test: &str) -> Result<String, String> {
    let Err(first) = run(suite, server, config, test) else { return Ok("ok".to_owned()) };
    match run(suite, server, config, test) {
        Ok(()) => Ok(format!("ok at the second try; the first: {first}")),
        Err(second) => Err(format!("{first}; and again: {second}")),
    }
}

/// Runs one test. It has passed when the runner says so of at least one part that it did not skip.
fn run(suite: &Path, server: &Server, config: &Path, test: &str) -> Result<(), String> {
    let (number, part) = test.split_once('/').map_or((test, None), |(n, part)| (n, Some(part)));
    let mut command = Command::new(suite.join("test-runner"));
    command.current_dir(suite).args(["-p1", "-Q"]);
    command
        .env("TESTS", number)
        .envs(part.map(|part| ("SUBTESTS", part)))
        .env("RDKAFKA_TEST_CONF", config)
        .env("TEST_KAFKA_VERSION", "4.3.1")
        .env("CI", "1");
    command.env("LD_LIBRARY_PATH", format!("{0}/../src:{0}/../src-cpp", suite.display()));
    if TOPICS_BY_COMMAND.contains(&number) {
        command.env("KAFKA_PATH", tools::repository().join("e2e/peers"));
        command.env("BROKERS", &server.addresses.kafka);
    }
    let (status, out, err) =
        process::run(&mut command, server.dir(), &format!("rdkafka-{number}"), TEST_DEADLINE)?;
    let text = out + &err;
    let row_passed = |line: &str| {
        line.starts_with('|') && line.contains(&format!(" {number}_")) && line.contains("PASSED")
    };
    // A name that chooses no sub-test leaves a test that does nothing, and passes.
    let part_ran = part.is_none() || text.contains(": PASS (");
    if status.success() && part_ran && text.lines().any(row_passed) {
        return Ok(());
    }
    let said = text.lines().filter(|line| line.contains("FAIL") || line.contains("SKIPPING TEST:"));
    let cause = said.map(plain).next().unwrap_or_else(|| plain(&process::last_lines(&text, 1)));
    Err(format!("{status}: {cause}"))
}

/// One line without terminal colours, cut to what fits a list.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.trim().chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else if !character.is_control() {
            text.push(character);
        }
    }
    text.chars().take(200).collect()
}

/// Runs every untried or failing test and writes both lists anew.
fn promote(
    lists: &mut (BTreeMap<String, Pace>, BTreeMap<String, String>),
    run: impl Fn(&str) -> Result<(), String>,
) {
    let (allowed, excluded) = lists;
    let is_candidate = |reason: &str| reason.starts_with("untried") || reason.starts_with("bug");
    let candidates: Vec<String> = excluded
        .iter()
        .filter(|(_, reason)| is_candidate(reason))
        .map(|(test, _)| test.clone())
        .collect();
    for test in candidates {
        let (result, took) = process::timed(|| run(&test));
        match result {
            Ok(()) => {
                excluded.remove(&test);
                allowed.insert(test, if took > FAST_MAX { Pace::Slow } else { Pace::Fast });
            }
            Err(cause) => {
                excluded.insert(test, format!("bug: {cause}"));
            }
        }
    }
    let line = |(test, pace): (&String, &Pace)| match pace {
        Pace::Fast => test.clone(),
        Pace::Slow => format!("{test} slow"),
    };
    lists::rewrite(ALLOWED, allowed.iter().map(line));
    lists::rewrite(EXCLUDED, excluded.iter().map(|(test, reason)| format!("{test} {reason}")));
}

/// The suite's directory, when `e2e/tools.sh` has built it.
fn suite() -> Option<std::path::PathBuf> {
    let dir = tools::installed().join("librdkafka/tests");
    dir.join("test-runner").exists().then_some(dir)
}

/// Test → whether it is slow.
fn allowed() -> BTreeMap<String, Pace> {
    let pace = |line: String| match line.strip_suffix(" slow") {
        Some(test) => (test.to_owned(), Pace::Slow),
        None => (line, Pace::Fast),
    };
    lists::entries(ALLOWED).into_iter().map(pace).collect()
}

/// Test number → reason.
fn excluded() -> BTreeMap<String, String> {
    lists::reasons(EXCLUDED)
}
