//! `cargo run --release -p jepsen-fuzz -- [--target T] [--executions N] [--seed S] [--out DIR] [--list]`
//!
//! Runs one target or all of them and ends with 1 when a promise was broken: each such input is printed as hex and
//! written to `DIR/crash-<target>-<n>.bin`. Append its hex to `corpus/<target>.txt` as `crash-… hex` once it is fixed.

use std::io::{self, Write};
use std::process::ExitCode;

use jepsen_fuzz::run::{inputs, note_panics};
use jepsen_fuzz::{Report, TARGETS, Target, corpus, run};

const USAGE: &str =
    "usage: jepsen-fuzz [--target NAME] [--executions N] [--seed N] [--out DIR] [--list]";

struct Arguments {
    target: Option<String>,
    executions: u64,
    seed: u64,
    out: std::path::PathBuf,
    list: bool,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        target: None,
        executions: 1_000_000,
        seed: 1,
        out: "target".into(),
        list: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value; {USAGE}"));
        let number = |text: String| text.parse().map_err(|_| format!("not a number: {text}"));
        match word.as_str() {
            "--target" => parsed.target = Some(value()?),
            "--executions" => parsed.executions = number(value()?)?,
            "--seed" => parsed.seed = number(value()?)?,
            "--out" => parsed.out = value()?.into(),
            "--list" => parsed.list = true,
            _ => return Err(format!("unknown argument {word}; {USAGE}")),
        }
    }
    Ok(parsed)
}

fn print(out: &mut impl Write, target: &Target, report: &Report) -> io::Result<()> {
    let per_second = u128::from(report.executions) * 1000 / report.elapsed.as_millis().max(1);
    writeln!(
        out,
        "{:16} {:>8} executions {per_second:>8}/s, {:>7} accepted, pool {:>4}, peak {} bytes at {}, {} steps at {}, {} findings",
        target.name,
        report.executions,
        report.accepted,
        report.pool,
        report.peak.0,
        report.peak.1,
        report.steps.0,
        report.steps.1,
        report.findings.len()
    )
}

fn main() -> ExitCode {
    match try_main() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing else can be done about a closed standard error.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

/// The number of findings.
fn try_main() -> Result<usize, String> {
    let arguments = arguments(std::env::args().skip(1))?;
    let text = |error: io::Error| error.to_string();
    let mut out = io::stdout().lock();
    let wanted =
        |target: &&Target| arguments.target.as_ref().is_none_or(|name| name == target.name);
    let chosen: Vec<&Target> = TARGETS.iter().filter(wanted).collect();
    if arguments.list || chosen.is_empty() {
        for target in TARGETS {
            let count = inputs(target)?.len();
            writeln!(out, "{} ({count} seeds and corpus entries)", target.name).map_err(text)?;
        }
        return if arguments.list { Ok(0) } else { Err("no such target".to_owned()) };
    }
    writeln!(out, "seed {}", arguments.seed).map_err(text)?;
    note_panics();
    let mut findings = 0;
    for target in chosen {
        let report = run(target, arguments.executions, arguments.seed)?;
        print(&mut out, target, &report).map_err(text)?;
        for (number, finding) in report.findings.iter().enumerate() {
            let path = arguments.out.join(format!("crash-{}-{number}.bin", target.name));
            std::fs::create_dir_all(&arguments.out).map_err(text)?;
            std::fs::write(&path, &finding.input).map_err(text)?;
            writeln!(out, "  {} at execution {}", finding.what, finding.execution).map_err(text)?;
            writeln!(out, "  {} {}", path.display(), corpus::to_hex(&finding.input))
                .map_err(text)?;
        }
        findings += report.findings.len();
        out.flush().map_err(text)?;
    }
    Ok(findings)
}
