//! One target, many executions: the pool, the budgets, and what is kept of a finding.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::alloc::measured;
use crate::corpus;
use crate::mutate::mutate;
use crate::rng::Rng;
use crate::target::{Steps, Target, Verdict};

/// Inputs kept to mutate from; a full pool forgets one at random for each that joins.
const POOL_MAX: usize = 4096;
/// Bytes all of them together may take.
const POOL_BYTES_MAX: usize = 16 << 20;
/// Only a guard against a decoder that hangs: no healthy one takes a thousandth of it.
const EXECUTION_MAX: Duration = Duration::from_secs(20);
/// Findings after which a run ends: the first few say it all.
const FINDINGS_MAX: usize = 20;

/// An input that broke a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The panic's message, or which budget was exceeded.
    pub what: String,
    pub input: Vec<u8>,
    /// 0-based number of the execution; with the seed it reproduces the input.
    pub execution: u64,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub executions: u64,
    pub accepted: u64,
    pub elapsed: Duration,
    /// Inputs in the pool at the end.
    pub pool: usize,
    /// Largest peak of live bytes, and the length of the input that needed it.
    pub peak: (usize, usize),
    /// Largest number of steps, and the length of the input that took them.
    pub steps: (u64, usize),
    pub findings: Vec<Finding>,
}

thread_local! {
    /// Where the last panic of this thread came from.
    static PANICKED_AT: Cell<Option<String>> = const { Cell::new(None) };
}

/// Panics are findings: notes where they come from instead of printing them. For the whole process.
pub fn note_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICKED_AT.set(panic.location().map(|location| format!(" at {location}")));
    }));
}

/// Executes one input. `Err` is the broken promise.
///
/// # Errors
/// The panic's message, or the exceeded budget.
pub fn execute(target: &Target, input: &[u8]) -> Result<(Verdict, usize, u64), String> {
    let counter = Steps::default();
    let started = Instant::now();
    let (usage, outcome) =
        measured(|| catch_unwind(AssertUnwindSafe(|| (target.run)(input, &counter))));
    let elapsed = started.elapsed();
    let verdict = outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without a message".to_owned());
        let text: String = text.chars().take(400).collect();
        format!("{text}{}", PANICKED_AT.take().unwrap_or_default())
    })?;
    let usage = counter.decoded().unwrap_or(usage);
    let steps = usage.allocations + counter.taken();
    let (memory_max, steps_max) = (target.memory.of(input.len()), target.steps.of(input.len()));
    if usage.peak_bytes > memory_max {
        return Err(format!(
            "{} bytes live for an input of {}, allowed are {memory_max}",
            usage.peak_bytes,
            input.len()
        ));
    }
    if usize::try_from(steps).map_or(true, |steps| steps > steps_max) {
        return Err(format!(
            "{steps} steps for an input of {} bytes, allowed are {steps_max}",
            input.len()
        ));
    }
    if elapsed > EXECUTION_MAX {
        return Err(format!("took {elapsed:?} for an input of {} bytes", input.len()));
    }
    Ok((verdict, usage.peak_bytes, steps))
}

/// The seeds and corpus of a target.
///
/// # Errors
/// A corpus file that is not one.
pub fn inputs(target: &Target) -> Result<Vec<Vec<u8>>, String> {
    let mut inputs = (target.seeds)();
    inputs.extend(corpus::parse(target.corpus)?.into_iter().map(|entry| entry.input));
    Ok(inputs)
}

/// Executes every seed and corpus entry as it is.
///
/// # Errors
/// A corpus file that is not one.
pub fn replay(target: &Target) -> Result<Report, String> {
    let mut report = Report::default();
    for input in inputs(target)? {
        note(target, &mut report, &input);
    }
    Ok(report)
}

/// Executes mutations of the corpus.
///
/// # Errors
/// A corpus file that is not one.
pub fn run(target: &Target, executions: u64, seed: u64) -> Result<Report, String> {
    let mut rng = Rng::new(seed);
    let mut pool = inputs(target)?;
    let keep = pool.len();
    if pool.is_empty() {
        pool.push(Vec::new());
    }
    let mut pool_bytes: usize = pool.iter().map(Vec::len).sum();
    let mut report = Report::default();
    let mut input = Vec::new();
    let started = Instant::now();
    while report.executions < executions && report.findings.len() < FINDINGS_MAX {
        input.clear();
        input.extend_from_slice(rng.pick(&pool).map_or(&[], Vec::as_slice));
        mutate(&mut rng, &mut input, &pool, target.dictionary, target.input_bytes_max);
        let accepted = note(target, &mut report, &input);
        // Not every accepted input: the corpus itself must stay a good part of the pool.
        if accepted && rng.below(8) == 0 {
            pool_bytes += input.len();
            pool.push(input.clone());
            while pool.len() > keep.max(POOL_MAX) || pool_bytes > POOL_BYTES_MAX {
                let Some(surplus) = pool.len().checked_sub(keep + 1) else { break };
                let forgotten = pool.swap_remove(keep + rng.below(surplus + 1));
                pool_bytes -= forgotten.len();
            }
        }
    }
    report.elapsed = started.elapsed();
    report.pool = pool.len();
    Ok(report)
}

/// Executes and books one input; whether it was accepted.
fn note(target: &Target, report: &mut Report, input: &[u8]) -> bool {
    let execution = report.executions;
    report.executions += 1;
    match execute(target, input) {
        Ok((verdict, peak, steps)) => {
            report.peak = report.peak.max((peak, input.len()));
            report.steps = report.steps.max((steps, input.len()));
            let accepted = verdict == Verdict::Accepted;
            report.accepted += u64::from(accepted);
            accepted
        }
        Err(what) => {
            // The same defect again is the same finding.
            let known = report.findings.iter().any(|found| same_defect(&found.what, &what));
            if !known {
                report.findings.push(Finding { what, input: input.to_vec(), execution });
            }
            false
        }
    }
}

/// Messages that differ in numbers only, and come from the same place.
fn same_defect(left: &str, right: &str) -> bool {
    let place = |text: &str| text.rsplit_once(" at ").map(|(_, place)| place.to_owned());
    let words =
        |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).take(40).collect::<String>();
    place(left) == place(right) && words(left) == words(right)
}
