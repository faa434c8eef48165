//! Results as JSON lines and as a Markdown table.
//!
//! Invariants:
//! - Every raw figure of every round is in the JSON lines; the table holds medians and ratios only.
//! - A ratio is ours divided by theirs, paired by round.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::scenario::Figure;
use crate::stats::{median, paired};

/// The figures of one subject: name → one value per round.
pub(crate) type Series = BTreeMap<&'static str, (bool, Vec<f64>)>;

/// One workload's outcome.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) scenario: String,
    pub(crate) what: String,
    /// Subjects in the order of the command line; the first one is "ours".
    pub(crate) subjects: Vec<(String, Series)>,
    /// Why the workload ended early, when it did.
    pub(crate) failure: Option<String>,
}

/// Adds a round's figures.
pub(crate) fn record(series: &mut Series, figures: &[Figure]) {
    for figure in figures {
        let values = series.entry(figure.name).or_insert((figure.more_is_better, Vec::new()));
        values.1.push(figure.value);
    }
}

/// One JSON line for one subject's round.
pub(crate) fn json_line(
    scenario: &str,
    subject: &str,
    round: usize,
    calibration_ms: f64,
    figures: &[Figure],
) -> String {
    let mut line = format!(
        "{{\"scenario\":{},\"subject\":{},\"round\":{round},\"calibration_ms\":{}",
        quoted(scenario),
        quoted(subject),
        number(calibration_ms)
    );
    for figure in figures {
        write!(line, ",{}:{}", quoted(figure.name), number(figure.value))
            .expect("writing to a string does not fail");
    }
    line.push('}');
    line
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { "null".to_owned() }
}

/// A JSON string: the names here hold no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Three significant digits at least.
fn shown(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The table of one workload.
pub(crate) fn markdown(section: &Section) -> String {
    let mut out = format!("\n### {}\n\n{}\n", section.scenario, section.what);
    if let Some(failure) = &section.failure {
        write!(out, "\nStopped early: {failure}\n").expect("writing to a string does not fail");
    }
    let Some((ours, others)) = section.subjects.split_first() else { return out };
    out.push_str("\n| figure | ");
    out.push_str(&ours.0);
    out.push_str(" | other | its median | ratio (95 % CI) | verdict | pairs |\n|---|---|---|---|---|---|---|\n");
    for (name, (more_is_better, values)) in &ours.1 {
        let mut compared = false;
        for (other, series) in others {
            let Some((_, theirs)) = series.get(name) else { continue };
            compared = true;
            let ratio = paired(values, theirs, *more_is_better);
            writeln!(
                out,
                "| {name} | {} | {other} | {} | {} ({}–{}) | {} | {} |",
                shown(median(values)),
                shown(median(theirs)),
                shown(ratio.median),
                shown(ratio.low),
                shown(ratio.high),
                ratio.verdict.name(),
                values.len().min(theirs.len())
            )
            .expect("writing to a string does not fail");
        }
        if !compared {
            writeln!(
                out,
                "| {name} | {} | – | – | – | – | {} |",
                shown(median(values)),
                values.len()
            )
            .expect("writing to a string does not fail");
        }
    }
    for (other, series) in others {
        for (name, (_, values)) in series.iter().filter(|(name, _)| !ours.1.contains_key(*name)) {
            writeln!(
                out,
                "| {name} | – | {other} | {} | – | – | {} |",
                shown(median(values)),
                values.len()
            )
            .expect("writing to a string does not fail");
        }
    }
    out
}

#[cfg(test)]
mod tests;
