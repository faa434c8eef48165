//! The clients: which script drives each, what it needs to run, which operations it must report.
//!
//! Adding a client is one entry of [`CLIENTS`] and one script that prints the JSON lines of
//! `e2e/clients/python/common.py`.

use crate::{
    process,
    report::{Outcome, Verdict},
    server::Server,
    tools,
};
use serde_json::Value;
use std::{path::PathBuf, process::Command, time::Duration};

/// One client must be done in this time, all its operations together.
const CLIENT_DEADLINE: Duration = Duration::from_secs(240);

/// Every operation over the Kafka protocol, in the order of the table's columns.
pub const KAFKA_OPERATIONS: &[&str] = &[
    "produce none",
    "produce gzip",
    "produce snappy",
    "produce lz4",
    "produce zstd",
    "idempotent",
    "group rebalance",
    "commit resume",
    "seek time",
    "topics",
    "configs",
    "partitions",
    "delete records",
    "groups",
];

/// Every measurement of the tools that measure a broker.
pub const PERF_OPERATIONS: &[&str] = &[
    "produce none",
    "produce gzip",
    "produce snappy",
    "produce lz4",
    "produce zstd",
    "idempotent",
    "consume",
    "end-to-end latency",
];

/// Every operation over the PostgreSQL protocol.
pub const SQL_OPERATIONS: &[&str] = &["select", "where", "system columns", "parameters", "errors"];

/// What a script is run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// The Python of `e2e/tools.sh`; the path is below `e2e/clients`.
    Python,
    Node,
    /// A program below the installed folder.
    Installed,
    /// A single-file Java program with the installed jars on its class path.
    Java,
}

/// A row of the client table.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// As in the table.
    pub name: &'static str,
    pub runner: Runner,
    pub script: &'static str,
    /// What the script is given before the addresses.
    pub arguments: &'static [&'static str],
    /// Programs that must be on `PATH`; with a slash in the name: files below the installed folder.
    pub needs: &'static [&'static str],
    pub operations: &'static [&'static str],
    /// Whether our own files pin the version. Debian's clients have the version of the Debian release.
    pub pinned: bool,
}

/// All clients, in the order of the table.
pub const CLIENTS: &[Client] = &[
    Client {
        name: "kcat",
        runner: Runner::Python,
        script: "python/kcat.py",
        arguments: &[],
        needs: &["kcat"],
        operations: KAFKA_OPERATIONS,
        pinned: false,
    },
    Client {
        name: "confluent-kafka",
        runner: Runner::Python,
        script: "python/confluent.py",
        arguments: &[],
        needs: &[],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "kafka-python",
        runner: Runner::Python,
        script: "python/kafka_py.py",
        arguments: &[],
        needs: &[],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "aiokafka",
        runner: Runner::Python,
        script: "python/aio.py",
        arguments: &[],
        needs: &[],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "kafkajs",
        runner: Runner::Node,
        script: "node/kafkajs.js",
        arguments: &[],
        needs: &[],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "@confluentinc/kafka-javascript",
        runner: Runner::Node,
        script: "node/confluent.js",
        arguments: &[],
        needs: &[
            "node/node_modules/@confluentinc/kafka-javascript/build/Release/confluent-kafka-javascript.node",
        ],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "rdkafka (Rust)",
        runner: Runner::Installed,
        script: "bin/rdkafka",
        arguments: &[],
        needs: &[],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "kafka-clients (Java)",
        runner: Runner::Java,
        script: "java/KafkaClients.java",
        arguments: &[],
        needs: &[],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "Kafka's console tools (Java)",
        runner: Runner::Python,
        script: "python/java_tools.py",
        arguments: &["console"],
        needs: &["java", "java/lib"],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "Kafka's perf tools (Java)",
        runner: Runner::Python,
        script: "python/java_tools.py",
        arguments: &["perf"],
        needs: &["java", "java/lib"],
        operations: PERF_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "franz-go",
        runner: Runner::Installed,
        script: "bin/franz",
        arguments: &[],
        needs: &[],
        operations: KAFKA_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "psql",
        runner: Runner::Python,
        script: "python/sql.py",
        arguments: &["psql"],
        needs: &["psql"],
        operations: SQL_OPERATIONS,
        pinned: false,
    },
    Client {
        name: "psycopg",
        runner: Runner::Python,
        script: "python/sql.py",
        arguments: &["psycopg"],
        needs: &[],
        operations: SQL_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "SQLAlchemy",
        runner: Runner::Python,
        script: "python/sql.py",
        arguments: &["sqlalchemy"],
        needs: &[],
        operations: SQL_OPERATIONS,
        pinned: true,
    },
    Client {
        name: "pgjdbc",
        runner: Runner::Java,
        script: "java/PgJdbc.java",
        arguments: &[],
        needs: &[],
        operations: SQL_OPERATIONS,
        pinned: true,
    },
];

impl Client {
    /// The command that runs this client's script, or what is missing.
    ///
    /// # Errors
    /// With the name of the missing tool.
    pub fn command(&self) -> Result<Command, String> {
        let script = tools::repository().join("e2e/clients").join(self.script);
        let installed = |path: &str| -> Result<PathBuf, String> {
            let file = tools::installed().join(path);
            if file.exists() { Ok(file) } else { Err(format!("{path} missing")) }
        };
        for needed in self.needs {
            let found = if needed.contains('/') {
                installed(needed).ok()
            } else {
                config_testkit::on_path(needed)
            };
            found.ok_or_else(|| format!("{needed} missing"))?;
        }
        match self.runner {
            Runner::Python => {
                let mut command = Command::new(installed("python/bin/python")?);
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command.env("LUMADB_E2E_INSTALLED", tools::installed()).arg(script);
                Ok(command)
            }
            Runner::Node => {
                let mut command =
                    Command::new(config_testkit::on_path("node").ok_or("node missing")?);
                command.env("NODE_PATH", installed("node/node_modules")?).arg(script);
                Ok(command)
            }
            Runner::Installed => Ok(Command::new(installed(self.script)?)),
            Runner::Java => {
                let mut command =
                    Command::new(config_testkit::on_path("java").ok_or("java missing")?);
                let jars = installed("java/lib")?.join("*");
                command.args(["-Xmx256m", "-XX:+UseSerialGC", "-cp"]).arg(jars).arg(script);
                Ok(command)
            }
        }
    }

    /// Runs every operation against `server` and gives one outcome for each; an operation that the script did not
    /// report has failed.
    #[must_use]
    pub fn run(&self, server: &Server) -> Vec<Outcome> {
        let outcome = |operation: &str, verdict, version: &str, ms| Outcome {
            client: self.name.to_owned(),
            version: version.to_owned(),
            operation: operation.to_owned(),
            verdict,
            ms,
        };
        let all = |verdict: Verdict| {
            self.operations.iter().map(|name| outcome(name, verdict.clone(), "", 0)).collect()
        };
        let mut command = match self.command() {
            Ok(command) => command,
            Err(missing) => return all(Verdict::Skipped(missing)),
        };
        command.args(self.arguments).args([
            "--bootstrap",
            &server.addresses.kafka,
            "--pg",
            &server.addresses.pg,
        ]);
        let (_, out, err) = match process::run(
            &mut command,
            server.dir(),
            &self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
            CLIENT_DEADLINE,
        ) {
            Ok(ran) => ran,
            Err(error) => return all(Verdict::Failed(error)),
        };
        let lines: Vec<Value> =
            out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let text = |value: &Value, key: &str| {
            value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let version = lines
            .iter()
            .map(|line| text(line, "version"))
            .find(|v| !v.is_empty())
            .unwrap_or_default();
        let reported = |name: &str| lines.iter().find(|line| text(line, "operation") == name);
        self.operations
            .iter()
            .map(|name| {
                let Some(line) = reported(name) else {
                    let end = process::last_lines(&err, 3);
                    return outcome(
                        name,
                        Verdict::Failed(format!("not reported: {end}")),
                        &version,
                        0,
                    );
                };
                let verdict = match text(line, "result").as_str() {
                    "ok" => Verdict::Ok,
                    "absent" => Verdict::Absent(text(line, "detail")),
                    _ => Verdict::Failed(text(line, "detail")),
                };
                outcome(
                    name,
                    verdict,
                    &version,
                    line.get("ms").and_then(Value::as_u64).unwrap_or_default(),
                )
            })
            .collect()
    }
}
