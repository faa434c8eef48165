//! Rules over the text of source files. They presume rustfmt's layout, which CI checks first.

use std::ops::RangeInclusive;

use crate::tree::Source;

/// Lines of a function, at most.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a file that is not a test, at most.
pub const FILE_LINES_MAX: usize = 800;
/// Bytes of a file in the repository, at most: what is larger is generated or fetched, not committed.
pub const FILE_BYTES_MAX: u64 = 200 * 1024;

/// Files longer than the limit, with the lines they had when they were listed. The list only shrinks.
pub const LONG_FILES: &[(&str, usize)] = &[];
/// Functions longer than the limit: path, name, lines. The list only shrinks.
pub const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// Where process environment and arguments may be read.
const MAY_READ_ENVIRONMENT: &[&str] = &[
    "lumadb/",
    "config/",
    "e2e/",
    "benches/",
    "jepsen/",
    "log/log-testkit/",
    "fuzz/",
    // The arguments of the commands: clap shows in their help which variables stand in for them.
    "client/client-cli/src/args.rs",
];

fn is_test(path: &str) -> bool {
    path.contains("/tests/")
        || path.contains("/examples/")
        || path.ends_with("/tests.rs")
        || path.starts_with("fuzz/")
}

/// Files without a module comment.
#[must_use]
pub fn without_module_comment(sources: &[Source]) -> Vec<String> {
    let silent = sources.iter().filter(|source| !source.text.starts_with("//!"));
    silent
        .map(|source| {
            format!(
                "{} does not open with `//!`: say what the file is, its place and its invariants",
                source.path
            )
        })
        .collect()
}

/// Files over the limit, files that outgrew their exception, and exceptions that are no longer needed.
#[must_use]
pub fn long_files(sources: &[Source], exceptions: &[(&str, usize)]) -> Vec<String> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| !is_test(&source.path)) {
        let lines = source.text.lines().count();
        let excepted =
            exceptions.iter().find(|(path, _)| *path == source.path).map(|(_, lines)| *lines);
        if lines > excepted.unwrap_or(FILE_LINES_MAX) {
            violations
                .push(format!("{} has {lines} lines: a file is one idea, split it", source.path));
        } else if excepted.is_some() && lines <= FILE_LINES_MAX {
            violations.push(format!("{} has {lines} lines: take it off LONG_FILES", source.path));
        }
    }
    let known = |path: &str| sources.iter().any(|source| source.path == path);
    violations.extend(
        exceptions
            .iter()
            .filter(|(path, _)| !known(path))
            .map(|(path, _)| format!("LONG_FILES: {path} is gone")),
    );
    violations
}

/// Functions over the limit, as for files.
#[must_use]
pub fn long_functions(sources: &[Source], exceptions: &[(&str, &str, usize)]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut used = Vec::new();
    for source in sources.iter().filter(|source| !is_test(&source.path)) {
        for (name, lines) in functions(&source.text) {
            let exception = exceptions
                .iter()
                .find(|(path, function, _)| *path == source.path && *function == name);
            used.extend(exception.filter(|_| lines > FUNCTION_LINES_MAX));
            if lines > exception.map_or(FUNCTION_LINES_MAX, |(.., lines)| *lines) {
                violations.push(format!(
                    "{}: fn {name} has {lines} lines: parents branch, the functions they call compute",
                    source.path
                ));
            }
        }
    }
    let stale = exceptions.iter().filter(|exception| !used.contains(exception));
    violations.extend(
        stale.map(|(path, name, _)| {
            format!("LONG_FUNCTIONS: {path} fn {name} is not long any more")
        }),
    );
    violations
}

/// Name and number of code lines (without blank and comment lines) of each function with a body.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let is_end =
            |l: &&str| l.len() - l.trim_start().len() == indent && l.trim_start().starts_with('}');
        let body = &lines[start + 1..];
        // A signature without a body ends in `;` before any line closes at its indent.
        let declared = line.trim_end().ends_with(';') || line.trim_end().ends_with('}');
        let Some(end) = body.iter().position(is_end).filter(|_| !declared) else {
            continue;
        };
        let is_code = |l: &&&str| !l.trim().is_empty() && !l.trim_start().starts_with("//");
        found.push((name, body[..end].iter().filter(is_code).count()));
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let mut rest = line.trim_start();
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// Uses of the keyword without a reason in the comment above (or, for a function, in its documentation).
#[must_use]
pub fn unexplained_unsafe(sources: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for source in sources {
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_use = ["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern"]
                .iter()
                .any(|u| code.contains(u));
            if !is_use || code.contains('"') || code.contains("fn(") {
                continue;
            }
            let above = lines[..index].iter().rev().take_while(|l| {
                let l = l.trim_start();
                // Attributes and the beginning of a statement that the block ends may stand between.
                l.starts_with("//")
                    || l.starts_with("#[")
                    || !(l.is_empty() || l.ends_with(';') || l.ends_with('}'))
            });
            let mut explained = line.contains("SAFETY:");
            for line in above {
                explained |= line.contains("SAFETY:") || line.contains("# Safety");
            }
            if !explained {
                violations.push(format!(
                    "{}:{}: unsafe without `// SAFETY:` above it: name the invariant that makes it sound",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    violations
}

/// Words that promise work instead of doing it.
#[must_use]
pub fn promises(sources: &[Source]) -> Vec<String> {
    // Put together here so that this file does not find itself.
    let words = [["FIX", "ME"].concat(), ["to", "do!("].concat(), ["unimple", "mented!("].concat()];
    let mut violations = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(*word)) {
                violations.push(format!(
                    "{}:{}: {word}: finish it or file it",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    violations
}

/// Tests that say through the test runner that they were skipped: it shows what a test prints only when it fails.
#[must_use]
pub fn hidden_skips(sources: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| is_test(&source.path)) {
        for (at, macro_name) in source.text.match_indices("println!(") {
            let statement = source.text[at..].split(';').next().unwrap_or(macro_name);
            if statement.to_lowercase().contains("skip") {
                let line = 1 + source.text[..at].matches('\n').count();
                violations.push(format!(
                    "{}:{line}: a printed skip is hidden when the test passes: say it with config_testkit::skipped",
                    source.path
                ));
            }
        }
    }
    violations
}

/// Readers of environment or arguments outside the crates that own settings.
#[must_use]
pub fn environment_readers(sources: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for source in sources {
        if is_test(&source.path)
            || MAY_READ_ENVIRONMENT.iter().any(|prefix| source.path.starts_with(prefix))
        {
            continue;
        }
        let mut in_attribute = false;
        for (index, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // rustfmt puts the options of a long attribute on lines of their own.
            in_attribute |= ["#[arg(", "#[clap("].iter().any(|open| code.contains(open));
            let reads = reads_environment(code) || (in_attribute && asks_clap_to(code));
            in_attribute &= !code.contains(")]");
            if reads {
                violations.push(format!(
                    "{}:{}: reads the environment: only lumadb and config-schema do, so that tests are deterministic",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    violations
}

/// Parts of a name that say a unit which is no base unit: Prometheus counts in seconds and bytes.
const NOT_BASE_UNITS: &[&str] = &[
    "ms",
    "us",
    "ns",
    "millis",
    "micros",
    "nanos",
    "milliseconds",
    "minutes",
    "hours",
    "kb",
    "kib",
    "mb",
    "mib",
    "gb",
    "gib",
    "kilobytes",
    "megabytes",
    "percent",
];

/// Metric names that are not `lumadb_<area>_<what>` in lower case and base units. A name is a text literal with that prefix, or
/// almost that prefix where nothing but metrics is named.
#[must_use]
pub fn metric_names(sources: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    // Elsewhere a name with this prefix is a database, a file or a program.
    let has_metrics =
        |source: &&Source| source.path == METRICS_FILE || source.path.starts_with("broker/");
    for source in sources.iter().filter(has_metrics).filter(|source| !is_test(&source.path)) {
        for (index, line) in source.text.lines().enumerate() {
            let literals = line.split('"').skip(1).step_by(2);
            for literal in literals.filter(|literal| is_metric(&source.path, literal)) {
                // Counters are named without their suffix where prometheus-client adds it.
                let total = format!("{literal}_total");
                let counted = source.text.contains(&format!("\"{total}\""));
                let name = if counted { &total } else { literal };
                if let Some(wrong) = wrong_metric_name(name) {
                    violations.push(format!(
                        "{}:{}: metric {literal}: {wrong}; names are lumadb_<area>_<what>_<unit>",
                        source.path,
                        index + 1
                    ));
                }
            }
        }
    }
    violations
}

/// A call, or an import of several at once.
fn reads_environment(code: &str) -> bool {
    ["env::var", "env::args", "std::env::{"].iter().any(|call| code.contains(call))
}

/// Whether clap's attribute, of which `code` is a line, has it read a variable: `env` or `env = "NAME"`.
fn asks_clap_to(code: &str) -> bool {
    let code = code.trim();
    let options = code.strip_prefix("#[arg(").or_else(|| code.strip_prefix("#[clap("));
    let mut options = options.unwrap_or(code).trim_end_matches(")]").split(',').map(str::trim);
    options.any(|option| option == "env" || option.starts_with("env = "))
}

/// Where the names of all metrics stand.
const METRICS_FILE: &str = "protocols/proto-http/src/metrics.rs";

fn is_metric(path: &str, literal: &str) -> bool {
    literal.starts_with("lumadb_") || (path == METRICS_FILE && literal.starts_with("luma"))
}

fn wrong_metric_name(literal: &str) -> Option<&'static str> {
    let parts: Vec<&str> = literal.split('_').collect();
    let plain = |part: &&str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if parts[0] != "lumadb" {
        return Some("another prefix");
    }
    if !parts.iter().all(plain) {
        return Some("not in lower case");
    }
    if parts.len() < 3 {
        return Some("no area");
    }
    let unit = parts.iter().any(|part| NOT_BASE_UNITS.contains(part));
    unit.then_some("not a base unit")
}

/// Adapters that lack a file of the common shape.
#[must_use]
pub fn adapter_shape(paths: &[String]) -> Vec<String> {
    let mut adapters: Vec<&str> = paths
        .iter()
        .filter_map(|path| path.strip_prefix("protocols/")?.split('/').next())
        .filter(|name| name.starts_with("proto-") && !["proto-api", "proto-testkit"].contains(name))
        .collect();
    adapters.dedup();
    let mut violations = Vec::new();
    for adapter in adapters {
        for file in ["README.md", "src/lib.rs", "src/error.rs", "tests/it/main.rs"] {
            let path = format!("protocols/{adapter}/{file}");
            if !paths.contains(&path) {
                violations.push(format!(
                    "{path} is missing: every adapter has the same shape, so the second is familiar"
                ));
            }
        }
    }
    violations
}

/// Files too large for a repository.
#[must_use]
pub fn large_files(sizes: &[(String, u64)]) -> Vec<String> {
    let large = sizes.iter().filter(|(_, bytes)| *bytes > FILE_BYTES_MAX);
    large
        .map(|(path, bytes)| {
            format!("{path} has {bytes} bytes, over {FILE_BYTES_MAX}: every clone carries it")
        })
        .collect()
}

/// Rules of `docs/kafka-semantics.md` that hold: each has a row, and in it at least one test that exists.
pub const SEMANTICS: &[RangeInclusive<u32>] = &[1..=16, 24..=26, 29..=31, 34..=35];

/// Tests that a document names, in backquotes in its tables, and no source has; and rules of `rows` without a test.
#[must_use]
pub fn missing_tests(
    document: &str,
    rows: &[RangeInclusive<u32>],
    sources: &[Source],
) -> Vec<String> {
    let known = |name: &str| {
        let test = format!("fn {name}()");
        sources.iter().any(|source| is_test(&source.path) && has_test(&source.text, &test))
    };
    let mut violations = Vec::new();
    for row in document.lines().filter(|line| line.starts_with('|')) {
        let missing = quoted(row).filter(|name| !known(name));
        violations.extend(missing.map(|name| format!("there is no test {name}")));
    }
    let rules =
        document.split("\n## ").find(|part| part.starts_with("Rules\n")).unwrap_or_default();
    for number in rows.iter().cloned().flatten() {
        let row = rules.lines().find(|line| line.starts_with(&format!("| {number} |")));
        if !row.is_some_and(|row| quoted(row).any(known)) {
            violations.push(format!("rule {number} has no row with a test that exists"));
        }
    }
    violations
}

fn quoted(row: &str) -> impl Iterator<Item = &str> {
    row.split('`').skip(1).step_by(2)
}

/// Macros make some tests out of a name, which the plain form does not find: those cannot be listed.
fn has_test(text: &str, test: &str) -> bool {
    text.match_indices(test).any(|(at, _)| text[..at].trim_end().ends_with("#[test]"))
}
