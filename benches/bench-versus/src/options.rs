//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::scenario::{ALL, Limits};

pub(crate) const HELP: &str = "\
bench-versus: side-by-side measurements of Kafka-protocol servers

  --subjects A,B,...   the first is \"ours\"; default luma-io_uring,luma-epoll,kafka,floor
                       luma-REACTOR, kafka, floor
  --scenarios A,B,...  default all; see the README of this folder
  --rounds N           default 5
  --seconds S          length of a round, default 3
  --round-mib N        a round ends after so much data, default 768
  --rate N             records per second of the open loop; default half of the slowest peer's peak
  --partitions N       default 10000
  --log-mib N          log of the cold and start-up workloads, default 2048
  --dir DIR            data directories, default a new one under the system's temporary directory
  --out PREFIX         writes PREFIX.jsonl and PREFIX.md, default bench-versus
  --lumadb PATH        the full binary instead of bench-server
  --kafka-script PATH  default e2e/peers/kafka.sh";

/// One column of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Luma { reactor: String },
    Kafka,
    Floor,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) scenarios: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) limits: Limits,
    pub(crate) out: PathBuf,
    pub(crate) lumadb: Option<PathBuf>,
    pub(crate) kafka_script: PathBuf,
    /// As typed, for the report.
    pub(crate) words: Vec<String>,
}

const NAMES: [&str; 12] = [
    "subjects",
    "scenarios",
    "rounds",
    "seconds",
    "round-mib",
    "rate",
    "partitions",
    "log-mib",
    "dir",
    "out",
    "lumadb",
    "kafka-script",
];

impl Options {
    /// # Errors
    /// Unknown options, missing or bad values.
    pub(crate) fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        for pair in words.chunks(2) {
            let [name, value] = pair else { bail!("{} needs a value", pair[0]) };
            let known = name.strip_prefix("--").filter(|name| NAMES.contains(name));
            values.insert(known.with_context(|| format!("unknown option {name}"))?, value.as_str());
        }
        let text = |name, default| values.get(name).copied().unwrap_or(default);
        let path = |name| values.get(name).map(PathBuf::from);
        let number = |name: &str, default: u64| match values.get(name) {
            None => Ok(default),
            Some(text) => text.parse::<u64>().with_context(|| format!("--{name} {text}")),
        };
        let subjects = text("subjects", "luma-io_uring,luma-epoll,kafka,floor");
        let all = ALL.join(",");
        let limits = Limits {
            round: Duration::from_secs_f64(text("seconds", "3").parse().context("--seconds")?),
            round_bytes: number("round-mib", 768)? << 20,
            rate_per_s: values
                .get("rate")
                .map(|text| text.parse())
                .transpose()
                .context("--rate")?,
            partitions: i32::try_from(number("partitions", 10_000)?)?,
            log_bytes: number("log-mib", 2048)? << 20,
            dir: path("dir").unwrap_or_else(|| {
                std::env::temp_dir().join(format!("bench-versus-{}", std::process::id()))
            }),
        };
        ensure!(limits.round <= Duration::from_secs(60), "a round lasts at most 60 s");
        ensure!(
            limits.log_bytes <= 12 << 30 && limits.round_bytes <= 2 << 30,
            "more than the disk a run may use"
        );
        Ok(Self {
            subjects: subjects.split(',').map(subject).collect::<anyhow::Result<_>>()?,
            scenarios: text("scenarios", &all).split(',').map(str::to_owned).collect(),
            rounds: usize::try_from(number("rounds", 5)?)?,
            limits,
            out: path("out").unwrap_or_else(|| PathBuf::from("bench-versus")),
            lumadb: path("lumadb"),
            kafka_script: path("kafka-script")
                .unwrap_or_else(|| PathBuf::from("e2e/peers/kafka.sh")),
            words: words.to_vec(),
        })
    }
}

fn subject(text: &str) -> anyhow::Result<Subject> {
    match text {
        "kafka" => return Ok(Subject::Kafka),
        "floor" => return Ok(Subject::Floor),
        _ => {}
    }
    let reactor =
        text.strip_prefix("luma-").with_context(|| format!("unknown subject {text:?}"))?;
    Ok(Subject::Luma { reactor: reactor.to_owned() })
}

#[cfg(test)]
mod tests;
