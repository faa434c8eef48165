//! kafka-python's own integration suite against our broker: the tests of `e2e/kafka-python/allow.txt` pass, and every
//! other test of the suite has a reason in `excluded.txt`.
//!
//! The whole suite is one process of pytest. A test that is excluded because a feature is missing runs too and must
//! fail, so that the list shrinks when the feature arrives. The suite's source is never edited; what it lacks to run
//! against a broker that is already there is in `e2e/kafka-python/external_broker.py`.

use crate::lists;
use e2e_clients::{process, server::Server, tools};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const ALLOWED: &str = "kafka-python/allow.txt";
const EXCLUDED: &str = "kafka-python/excluded.txt";

/// The whole suite; most of it is waiting for time-outs that its tests provoke.
const SUITE_DEADLINE: Duration = Duration::from_secs(240);

/// What the suite is told of the broker: it decides which tests it skips and which versions it uses at most.
const KAFKA_VERSION: &str = "4.3";

/// What became of a test, and the last line of what it said.
#[derive(Debug, Clone)]
struct Outcome {
    result: String,
    cause: String,
}

#[test]
fn the_allowed_tests_of_kafka_python_pass() {
    let say = |text: String| io::stderr().lock().write_all(text.as_bytes()).unwrap();
    let Some(suite) = suite() else {
        assert!(!tools::all_required(), "kafka-python's suite is missing: run e2e/tools.sh suite");
        return say("\nkafka-python suite | skipped because it is not installed\n".to_owned());
    };
    let _alone = crate::alone();
    // The suite makes topics of four partitions by producing to them.
    let settings = ["kafka.num_partitions=4", "kafka.group_initial_rebalance_delay_ms=0"];
    let server = Server::start("kafka-python", &settings).unwrap();
    let (allowed, excluded) = (lists::entries(ALLOWED), lists::reasons(EXCLUDED));
    let baseline = excluded.iter().filter(|(_, reason)| reason.starts_with("baseline"));
    let left_out: Vec<String> =
        baseline.map(|(test, _)| format!("--deselect=test/integration/{test}")).collect();
    let mut seen = run(&suite, &server, &["test/integration".to_owned()], &left_out).unwrap();
    // Some tests judge by deadlines of half a second: what failed has a second try.
    let failed = |seen: &BTreeMap<String, Outcome>| -> Vec<String> {
        let did_not = |test: &&String| seen.get(*test).is_none_or(|o| o.result != "passed");
        allowed.iter().filter(did_not).cloned().collect()
    };
    let again = failed(&seen);
    if server.is_luma() && !again.is_empty() {
        say(format!("\nkafka-python suite | second try of {again:?}\n"));
        let named: Vec<String> = again.iter().map(|t| format!("test/integration/{t}")).collect();
        seen.extend(run(&suite, &server, &named, &[]).unwrap());
    }
    let ran = seen.values().filter(|o| o.result == "passed").count();
    say(format!("\nkafka-python suite | {ran} of {} tests passed\n", seen.len()));
    if tools::updating() && server.is_luma() {
        return promote(&allowed, &excluded, &seen);
    }
    let missing: Vec<_> = failed(&seen).iter().map(|t| (t.clone(), seen.get(t).cloned())).collect();
    assert!(missing.is_empty(), "these must pass: {missing:#?}\n{}", server.log_tail());
    for (test, outcome) in seen.iter().filter(|(test, _)| !allowed.contains(*test)) {
        let reason = excluded.get(test).unwrap_or_else(|| {
            panic!("{test} ({outcome:?}) is in neither list of e2e/kafka-python")
        });
        // Against Apache Kafka, what we lack passes.
        let moved = server.is_luma() && outcome.result == "passed";
        assert!(!moved, "{test} passes now: move it to allow.txt (it was: {reason})");
        let skips = reason.starts_with("skips itself");
        assert_eq!(skips, outcome.result == "skipped", "{test}: {outcome:?}, but: {reason}");
    }
}

#[test]
fn the_lists_of_kafka_python_are_in_order() {
    let allowed = lists::entries(ALLOWED);
    assert!(allowed.is_sorted(), "allow.txt is sorted, so that its changes read well");
    let kinds = ["bug", "later", "baseline", "skips itself"];
    for (test, reason) in lists::reasons(EXCLUDED) {
        assert!(!allowed.contains(&test), "{test} is in both lists");
        assert!(
            kinds.iter().any(|kind| reason.starts_with(kind)),
            "{test}: no known kind: {reason}"
        );
    }
}

/// Runs the tests that `selected` names; the outcome of each.
fn run(
    suite: &Path,
    server: &Server,
    selected: &[String],
    left_out: &[String],
) -> Result<BTreeMap<String, Outcome>, String> {
    let results = server.dir().join("kafka-python.jsonl");
    let _absent = fs::remove_file(&results);
    let mut command = Command::new(tools::installed().join("python/bin/python"));
    command.current_dir(suite).args(["-m", "pytest", "-p", "external_broker"]);
    // Without the suite's own settings: they log everything and need a plug-in more.
    command.args(["-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", "--tb=short"]);
    command.args(selected).args(left_out);
    command
        .env("KAFKA_URI", format!("kafka://{}", server.addresses.kafka))
        .env("KAFKA_VERSION", KAFKA_VERSION)
        // Where the suite would look for a Kafka to start: it must be a directory.
        .env("KAFKA_ROOT", server.dir())
        .env("KAFKA_PYTHON_SUITE", suite)
        .env("KAFKA_PYTHON_RESULTS", &results)
        .env("PYTHONPATH", tools::repository().join("e2e/kafka-python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let (_, out, err) = process::run(&mut command, server.dir(), "kafka-python", SUITE_DEADLINE)?;
    let text = fs::read_to_string(&results)
        .map_err(|e| format!("no results: {e}: {}", process::last_lines(&(out + &err), 5)))?;
    let mut seen = BTreeMap::<String, Outcome>::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let outcome = Outcome { result: field("outcome"), cause: field("cause") };
        // A test that passed may still fail when it is taken down: the later line counts.
        seen.insert(field("test"), outcome);
    }
    Ok(seen)
}

/// Writes both lists anew: what passed is allowed, what failed for no known reason is a bug.
fn promote(
    allowed: &[String],
    excluded: &BTreeMap<String, String>,
    seen: &BTreeMap<String, Outcome>,
) {
    let passed = |test: &str| seen.get(test).is_some_and(|o| o.result == "passed");
    let mut all: Vec<String> = allowed.to_vec();
    all.extend(seen.keys().filter(|test| passed(test)).cloned());
    all.sort();
    all.dedup();
    let mut rest = excluded.clone();
    rest.retain(|test, _| !all.contains(test));
    for (test, outcome) in seen.iter().filter(|(test, _)| !all.contains(test)) {
        let kind = if outcome.result == "skipped" { "skips itself" } else { "bug" };
        let cause: String = outcome.cause.chars().take(160).collect();
        rest.entry(test.clone()).or_insert_with(|| format!("{kind}: {cause}"));
    }
    lists::rewrite(ALLOWED, all.into_iter());
    lists::rewrite(EXCLUDED, rest.iter().map(|(test, reason)| format!("{test} {reason}")));
}

/// The suite's directory, when `e2e/tools.sh` has fetched it.
fn suite() -> Option<PathBuf> {
    let dir = tools::installed().join("kafka-python");
    let python = tools::installed().join("python/bin/python");
    (dir.join("test/integration").exists() && python.exists()).then_some(dir)
}
