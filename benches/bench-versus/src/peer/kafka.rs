//! Apache Kafka in KRaft mode, one process, through `e2e/peers/kafka.sh`.
//!
//! The virtual machine gets the options of Kafka's own start scripts (G1, server mode) and a 1 GiB heap: without them
//! it would choose a serial collector on one processor, which Kafka does not ship with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::{Durability, Peer, SERVER_CPU};

const JVM: &str = "-server -Xms1g -Xmx1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
                   -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent";

pub(crate) struct Kafka {
    script: PathBuf,
    dir: PathBuf,
    running: Option<(u32, SocketAddr)>,
}

impl Kafka {
    pub(crate) fn new(script: PathBuf, dir: PathBuf) -> Self {
        Self { script, dir, running: None }
    }

    fn script(&self, verb: &str, settings: &[&str]) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &SERVER_CPU.to_string()]).arg(&self.script).arg(verb).arg(&self.dir);
        command.args(settings).env("KAFKA_HEAP_OPTS", JVM);
        command
    }
}

/// `server.properties` beyond what the script writes: deleted topics give their space back within a second.
const SETTINGS: [&str; 4] = [
    "log.segment.delete.delay.ms=1000",
    "auto.create.topics.enable=false",
    "log.retention.hours=-1",
    "log.cleaner.enable=false",
];

impl Peer for Kafka {
    fn name(&self) -> String {
        "kafka".to_owned()
    }

    fn start(&mut self) -> anyhow::Result<f64> {
        let started = Instant::now();
        let output = self.script("start", &SETTINGS).output().context("cannot run kafka.sh")?;
        let took = started.elapsed().as_secs_f64();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let addr = String::from_utf8_lossy(&output.stdout).trim().parse().context("address")?;
        let pid = std::fs::read_to_string(self.dir.join("pid"))?.trim().parse()?;
        self.running = Some((pid, addr));
        Ok(took)
    }

    fn addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.running.context("not running")?.1)
    }

    fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.running.context("not running")?.0)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        if self.running.take().is_some() {
            let status = self.script("stop", &[]).status()?;
            ensure!(status.success(), "kafka.sh stop: {status}");
        }
        Ok(())
    }

    fn topic_config(&self, durability: Durability) -> Vec<(String, String)> {
        match durability {
            Durability::D0 => Vec::new(),
            Durability::D2 => vec![("flush.messages".to_owned(), "1".to_owned())],
        }
    }

    fn data_dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self) -> String {
        format!(
            "taskset -c {SERVER_CPU} java {JVM} kafka.Kafka ({}; D2: flush.messages=1)",
            SETTINGS.join(", ")
        )
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // The run failed half-way; the node may be gone already.
        let _ = self.stop();
    }
}
