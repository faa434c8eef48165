//! The suite's runner as a process, and what it says of a test.
//!
//! It says PASSED also of a test whose every sub-test it left out: in quick mode it leaves out those that are not marked
//! quick, and with a choice of sub-tests all others. A run counts only when a sub-test passed where there are any.

use super::entry::{Entry, NO_AUTO_CREATE};
use e2e_clients::{process, server::Server, tools};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Longer than the slowest allowed test needs; a test that hangs costs no more than this.
const TEST_DEADLINE: Duration = Duration::from_secs(120);

/// Tests that make or delete topics with Kafka's own command, `$KAFKA_PATH/bin/kafka-topics.sh`. Others read the variable as a
/// sign that they run beside a Java broker.
const TOPICS_BY_COMMAND: [&str; 3] = ["0045", "0052", "0077"];

/// The tests of one number that ran to a good end, and those that were left out, by their names.
#[derive(Debug, Default, Clone)]
pub(super) struct Ran {
    pub(super) passed: BTreeSet<String>,
    pub(super) skipped: BTreeSet<String>,
}

/// The built suite and a server for each of its scenarios.
pub(super) struct Suite {
    dir: PathBuf,
    default: Server,
    no_auto_create: Server,
    /// Waits for more members before a group's first rebalance, as Kafka does by default.
    patient: Server,
}

impl Suite {
    /// # Errors
    /// When a server does not start.
    pub(super) fn start(dir: PathBuf) -> Result<Self, String> {
        let partitions = "kafka.num_partitions=4";
        let settings = [partitions, "kafka.group_initial_rebalance_delay_ms=0"];
        let start = |name: &str, settings: &[&str]| {
            let server = Server::start(name, settings)?;
            // The runner reads test.conf from the directory that it runs in; the tests read fixtures beside their source.
            let config = format!("bootstrap.servers={}\n", server.addresses.kafka);
            fs::write(server.dir().join("test.conf"), config).map_err(|e| e.to_string())?;
            Ok::<_, String>(server)
        };
        let default = start("librdkafka", &settings)?;
        let none = [settings.as_slice(), &["kafka.auto_create_topics=false"]].concat();
        let no_auto_create = start("librdkafka-noautocreate", &none)?;
        Ok(Self {
            dir,
            default,
            no_auto_create,
            patient: start("librdkafka-patient", &[partitions])?,
        })
    }

    pub(super) fn is_luma(&self) -> bool {
        self.default.is_luma()
    }

    /// The ends of the servers' logs, for messages.
    pub(super) fn log_tails(&self) -> String {
        let servers = [&self.default, &self.no_auto_create, &self.patient];
        servers.map(Server::log_tail).join("\n")
    }

    /// Runs one test.
    ///
    /// # Errors
    /// What the runner said, when it did not say that a part passed which it did not skip.
    pub(super) fn run(&self, entry: &Entry) -> Result<Ran, String> {
        let server = match entry.scenario() {
            NO_AUTO_CREATE => &self.no_auto_create,
            _ if entry.patient => &self.patient,
            _ => &self.default,
        };
        let mut command = Command::new(self.dir.join("test-runner"));
        command.current_dir(&self.dir).arg("-p1").args((!entry.full).then_some("-Q"));
        command
            .env("TESTS", entry.number())
            .envs(entry.part().map(|part| ("SUBTESTS", part)))
            .env("TEST_SCENARIO", entry.scenario())
            .env("RDKAFKA_TEST_CONF", server.dir().join("test.conf"))
            .env("TEST_KAFKA_VERSION", "4.3.1")
            .env("CI", "1");
        command.env("LD_LIBRARY_PATH", format!("{0}/../src:{0}/../src-cpp", self.dir.display()));
        if TOPICS_BY_COMMAND.contains(&entry.number()) {
            command.env("KAFKA_PATH", tools::repository().join("e2e/peers"));
            command.env("BROKERS", &server.addresses.kafka);
        }
        let name = format!("rdkafka-{}", entry.name.replace('/', "-"));
        let (status, out, err) = process::run(&mut command, server.dir(), &name, TEST_DEADLINE)?;
        let text = out + &err;
        if !status.success() {
            return Err(format!("{status}: {}", cause(&text)));
        }
        judge(&text, entry, self.has_sub_tests(entry.number()))
    }

    fn has_sub_tests(&self, number: &str) -> bool {
        let files = sources(&self.dir).into_iter().filter(|file| file.starts_with(number));
        let mut texts = files.map(|file| fs::read(self.dir.join(file)).unwrap_or_default());
        texts.any(|text| String::from_utf8_lossy(&text).contains("SUB_TEST"))
    }
}

/// What a runner that ended well says it ran.
///
/// # Errors
/// When that is nothing that a broker takes part in.
fn judge(text: &str, entry: &Entry, has_sub_tests: bool) -> Result<Ran, String> {
    let text: Vec<String> = text.lines().map(plain).collect();
    let mut ran = Ran::default();
    for row in text.iter().filter(|line| line.starts_with('|')) {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (Some(name), Some(result)) = (cells.next(), cells.next()) else { continue };
        match result.split_whitespace().next() {
            _ if !name.starts_with(&format!("{}_", entry.number())) => false,
            Some("PASSED") => ran.passed.insert(name.to_owned()),
            Some("SKIPPED") => ran.skipped.insert(name.to_owned()),
            _ => false,
        };
    }
    let with_sub_tests: BTreeSet<&str> = text
        .iter()
        .filter(|line| line.contains(": PASS ("))
        .filter_map(|line| speaker(line))
        .collect();
    if has_sub_tests && with_sub_tests.is_empty() {
        return Err("no sub-test ran: it is not quick, mark it full".to_owned());
    }
    if entry.part().is_some() {
        ran.passed.retain(|name| with_sub_tests.contains(name.as_str()));
    }
    if ran.passed.iter().all(|name| is_mocked(name)) {
        return Err(format!("no test of a broker passed: {}", cause(&text.join("\n"))));
    }
    Ok(ran)
}

/// Whether a test is one against the mock cluster of the suite, or without any: it says nothing about a broker.
pub(super) fn is_mocked(name: &str) -> bool {
    name.ends_with("_mock") || name.ends_with("_local")
}

/// The test that printed a line: `[NAME   / 1.234s] …`.
fn speaker(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.split(['/', ' ']).next()
}

/// The lines of a runner's output that say what went wrong.
fn cause(text: &str) -> String {
    let mut lines = text.lines().map(plain).filter(|line| !line.is_empty());
    let first = lines.find(|line| line.starts_with("### Test") || line.contains("SKIPPING TEST:"));
    let line = match first {
        Some(first) => first + " " + &lines.next().unwrap_or_default(),
        None => plain(&process::last_lines(text, 1)),
    };
    line.chars().take(400).collect()
}

/// One line without terminal colours.
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
    text
}

/// The files of the suite's tests.
pub(super) fn sources(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let numbered =
        |name: &String| name.get(..4).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    names.filter(|n| n.ends_with(".c") || n.ends_with(".cpp")).filter(numbered).collect()
}

/// What the runner prints of test 0045, as it was seen: without a choice in quick mode, and with one.
#[test]
fn a_run_that_left_everything_out_is_no_pass() {
    let row = |name: &str, result: &str| {
        format!("|\u{1b}[32m {name}  |     {result} |   0.000s \u{1b}[0m|")
    };
    let empty = row("0045_update", "PASSED") + "\n" + &row("0045_other", "SKIPPED");
    let whole = Entry::parse("0045");
    assert!(judge(&empty, &whole, true).is_err_and(|e| e.contains("no sub-test ran")));
    assert_eq!(judge(&empty, &whole, false).unwrap().skipped.len(), 1);
    let passed = "\u{1b}[0m[0045_update   / 15.508s] [ do_test_regex:286: PASS (15.51s) ]\n";
    let rows = passed.to_owned() + &empty + "\n" + &row("0045_many", "PASSED");
    assert_eq!(judge(&rows, &whole, true).unwrap().passed.len(), 2);
    let chosen = judge(&rows, &Entry::parse("0045/do_test_regex:"), true).unwrap();
    assert_eq!(chosen.passed.into_iter().collect::<Vec<_>>(), ["0045_update"]);
    let mocked = row("0055_latency", "SKIPPED") + "\n" + &row("0055_latency_mock", "PASSED");
    let result = judge(&mocked, &Entry::parse("0055"), false);
    assert!(result.is_err_and(|e| e.contains("no test of a broker passed")));
}
