//! Who runs when: rounds A B C, C B A, … over peers that stay up, with a calibration spin before each.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;

use crate::floor::calibration_ms;
use crate::options::{Options, Subject};
use crate::peer::Peer;
use crate::peer::kafka::Kafka;
use crate::peer::luma::Luma;
use crate::report::{Section, Series, json_line, markdown, record};
use crate::rest;
use crate::scenario::{Figure, Scenario, by_name};

/// What a run may hold on disk; data directories are emptied between workloads well before it.
pub(crate) const DISK_BYTES_MAX: u64 = 10 << 30;
/// A calibration spin above the best one by this factor means that somebody else is computing.
const DISTURBED: f64 = 1.25;
/// Discarded rounds: a virtual machine compiles its hot paths in them.
const WARM_UPS: usize = 2;
/// How often a disturbed round is put off.
const PATIENCE: usize = 10;

/// A column: a running peer, or the machine's limit.
enum Column {
    Peer(Box<dyn Peer>),
    Floor,
}

impl Column {
    fn name(&self) -> String {
        match self {
            Self::Peer(peer) => peer.name(),
            Self::Floor => "floor".to_owned(),
        }
    }
}

/// Runs everything that was asked for and writes the results as they come.
///
/// # Errors
/// When a peer cannot be started or the results cannot be written; a workload that fails is reported and the next one
/// runs.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.limits.dir)?;
    let mut columns = columns(options)?;
    let mut lines = File::create(options.out.with_extension("jsonl"))?;
    let mut table = File::create(options.out.with_extension("md"))?;
    write!(table, "{}", header(options, &columns))?;
    let mut best_ms = f64::INFINITY;
    for name in &options.scenarios {
        let mut scenario = by_name(name).with_context(|| format!("unknown workload {name:?}"))?;
        say(&format!("== {name}"))?;
        let section = workload(&mut *scenario, &mut columns, options, &mut lines, &mut best_ms)?;
        write!(table, "{}", markdown(&section))?;
        table.flush()?;
        for column in &mut columns {
            if let Column::Peer(peer) = column {
                fresh_when_large(&mut **peer)?;
            }
        }
    }
    for column in &mut columns {
        if let Column::Peer(peer) = column {
            peer.stop()?;
        }
    }
    Ok(std::fs::remove_dir_all(&options.limits.dir)?)
}

fn columns(options: &Options) -> anyhow::Result<Vec<Column>> {
    let mut columns = Vec::new();
    for (index, subject) in options.subjects.iter().enumerate() {
        let dir = options.limits.dir.join(format!("peer-{index}"));
        let mut peer: Box<dyn Peer> = match subject {
            Subject::Floor => {
                columns.push(Column::Floor);
                continue;
            }
            Subject::Kafka => Box::new(Kafka::new(options.kafka_script.clone(), dir)),
            Subject::Luma { reactor } => Box::new(Luma::new(options.lumadb.clone(), dir, reactor)?),
        };
        match peer.start() {
            Ok(_) => columns.push(Column::Peer(peer)),
            Err(error) if format!("{error:#}").contains("no Kafka jars") => {
                say("kafka: skipped: not installed (e2e/tools.sh java)")?;
            }
            Err(error) => return Err(error.context(format!("cannot start {}", peer.name()))),
        }
    }
    Ok(columns)
}

fn workload(
    scenario: &mut dyn Scenario,
    columns: &mut [Column],
    options: &Options,
    lines: &mut File,
    best_ms: &mut f64,
) -> anyhow::Result<Section> {
    let mut section = Section {
        scenario: scenario.name(),
        what: String::new(),
        subjects: Vec::new(),
        failure: None,
    };
    section.subjects = columns.iter().map(|column| (column.name(), Series::new())).collect();
    let mut failed = prepare(scenario, columns, options).err();
    section.what = scenario.describe();
    'rounds: for round in 0..options.rounds {
        if failed.is_some() {
            break;
        }
        let mut order: Vec<usize> = (0..columns.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            rest::wait(&options.limits.dir)?;
            let (calibration, figures) =
                (calm(best_ms), one(scenario, &mut columns[index], options, round + 1));
            let figures = match figures {
                Ok(figures) => figures,
                Err(error) => {
                    failed = Some(error.context(columns[index].name()));
                    break 'rounds;
                }
            };
            let name = &section.subjects[index].0;
            let line = json_line(&section.scenario, name, round, calibration, &figures);
            writeln!(lines, "{line}")?;
            say(&line)?;
            record(&mut section.subjects[index].1, &figures);
        }
    }
    if let Some(error) = failed {
        section.failure = Some(format!("{error:#}"));
        say(&format!("{}: stopped early: {error:#}", section.scenario))?;
    }
    Ok(section)
}

/// Prepares every peer and runs the discarded rounds; the floor needs none.
fn prepare(
    scenario: &mut dyn Scenario,
    columns: &mut [Column],
    options: &Options,
) -> anyhow::Result<()> {
    for column in columns.iter_mut() {
        let name = column.name();
        if let Column::Peer(peer) = column {
            scenario.prepare(&mut **peer, &options.limits).context(name)?;
        }
    }
    if scenario.warm_up() {
        for round in 0..WARM_UPS {
            for column in columns.iter_mut().filter(|column| matches!(column, Column::Peer(_))) {
                one(scenario, column, options, 1000 + round).with_context(|| column.name())?;
            }
        }
    }
    Ok(())
}

fn one(
    scenario: &mut dyn Scenario,
    column: &mut Column,
    options: &Options,
    round: usize,
) -> anyhow::Result<Vec<Figure>> {
    match column {
        Column::Peer(peer) => scenario.round(&mut **peer, &options.limits, round),
        Column::Floor => scenario.floor(&options.limits),
    }
}

/// Waits, within limits, until the machine computes as fast as it did at best.
fn calm(best_ms: &mut f64) -> f64 {
    let mut now = f64::INFINITY;
    for _ in 0..PATIENCE {
        now = calibration_ms();
        *best_ms = best_ms.min(now);
        if now <= *best_ms * DISTURBED {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    now
}

/// Starts a peer on an empty directory when its data takes a third of what the run may hold.
fn fresh_when_large(peer: &mut dyn Peer) -> anyhow::Result<()> {
    if rest::files(peer.data_dir()).values().sum::<u64>() < DISK_BYTES_MAX / 3 {
        return Ok(());
    }
    peer.stop()?;
    std::fs::remove_dir_all(peer.data_dir())?;
    peer.start()?;
    Ok(())
}

fn header(options: &Options, columns: &[Column]) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let mut out = format!(
        "# bench-versus\n\n- machine: {processors} × {}, kernel {}, load before {}\n- arguments: `{}`\n- build: {}\n",
        model.unwrap_or_default().trim_start_matches(['\t', ' ', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").trim(),
        options.words.join(" "),
        if cfg!(debug_assertions) { "debug: figures mean nothing" } else { "release" },
    );
    for column in columns {
        if let Column::Peer(peer) = column {
            out.push_str(&format!("- {}: `{}`\n", peer.name(), peer.command()));
        }
    }
    out
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stderr(), "{text}")?)
}
