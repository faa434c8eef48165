//! Instructions per kernel run against `baseline.txt`: more than 3 % above it fails, more than 1 % is printed.
//!
//! Each kernel is counted under callgrind with N and with 2N runs; the difference is free of start-up and preparation.
//! Without `SLOW=1` the kernels of produce and fetch stand for all. `UPDATE=1` writes the counts of this build as the new baseline.
//! Needs valgrind: without it the test prints that it was skipped, which `LUMADB_E2E_REQUIRE=all` turns into a failure.
//!
//! Counts belong to one compiler and one set of processor features that run-time dispatch sees under valgrind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench_count::{KERNELS, Kernel};

const FAIL_ABOVE: f64 = 1.03;
const WARN_ABOVE: f64 = 1.01;
/// What is counted without `SLOW=1`: the steps of a batch from its request to the log and back.
const SHORT: [&str; 7] = [
    "produce-check-64k",
    "produce-sliced-64k",
    "produce-open-lz4-64k",
    "produce-decode-64k",
    "journal-append-64k",
    "fetch-tail-1mib",
    "fetch-encode-1mib",
];

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.txt")
}

fn baseline() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(baseline_path()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, count) = line.split_once(' ').unwrap_or_else(|| panic!("bad line {line:?}"));
            (name.to_owned(), count.trim().parse().unwrap())
        })
        .collect()
}

/// Builds the counted program: optimised, and only of crates that take little time.
fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned();
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "bench-count",
            "--bin",
            "bench-count",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success(), "cannot build bench-count");
    target.join("release/bench-count")
}

fn collected(program: &Path, name: &str, runs: u32) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([name, &runs.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {text}");
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    line.unwrap_or_else(|| panic!("{name}: no count in {text}")).1.trim().parse().unwrap()
}

fn per_run(program: &Path, kernel: &Kernel) -> u64 {
    let (once, twice) = (
        collected(program, kernel.name, kernel.runs),
        collected(program, kernel.name, 2 * kernel.runs),
    );
    (twice - once) / u64::from(kernel.runs)
}

#[test]
fn instructions_stay_within_the_baseline() {
    if !config_testkit::has("valgrind", "valgrind") {
        return;
    }
    let (update, slow) = (is_set("UPDATE"), is_set("SLOW"));
    let program = program();
    let mut counts = BTreeMap::new();
    for kernel in KERNELS.iter().filter(|kernel| update || slow || SHORT.contains(&kernel.name)) {
        counts.insert(kernel.name.to_owned(), per_run(&program, kernel));
    }
    if update {
        let mut text = "# Instructions of one kernel run under callgrind; UPDATE=1 cargo test -p bench-count\n".to_owned();
        for (name, count) in &counts {
            writeln!(text, "{name} {count}").unwrap();
        }
        std::fs::write(baseline_path(), text).unwrap();
    }
    let baseline = baseline();
    let mut worse = String::new();
    for (name, count) in &counts {
        let base = baseline
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no baseline: UPDATE=1 writes one"));
        #[expect(clippy::cast_precision_loss, reason = "counts of single runs are far below 2^52")]
        let ratio = *count as f64 / *base as f64;
        println!("{name}: {count} instructions, {ratio:.4} of the baseline");
        if ratio > FAIL_ABOVE {
            writeln!(worse, "{name}: {count} instructions, {ratio:.3} of the baseline's {base}")
                .unwrap();
        } else if ratio > WARN_ABOVE {
            println!("warning: {name} is slower than its baseline");
        } else if ratio < 2.0 - FAIL_ABOVE {
            println!("{name} became faster: UPDATE=1 keeps it that way");
        }
    }
    assert!(worse.is_empty(), "more than 3 % above the baseline:\n{worse}");
}

#[test]
fn every_kernel_has_a_baseline_and_runs() {
    if is_set("UPDATE") {
        // The other test is writing the file.
        return;
    }
    let baseline = baseline();
    for kernel in &KERNELS {
        assert!(baseline.contains_key(kernel.name), "{} has no baseline", kernel.name);
        kernel.run(1);
    }
    assert_eq!(baseline.len(), KERNELS.len(), "the baseline names a kernel that does not exist");
}
