//! The lists of a foreign test suite: what must pass, and why the rest does not.
//!
//! One entry per line; leading lines that begin with `#` are the list's comment.

use e2e_clients::tools;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A list, by its path below `e2e/`.
fn path(list: &str) -> PathBuf {
    tools::repository().join("e2e").join(list)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The entries of a list, in its order.
pub(crate) fn entries(list: &str) -> Vec<String> {
    let text = read(&path(list));
    let lines = text.lines().map(str::trim);
    lines.filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect()
}

/// A list of `test reason` lines.
pub(crate) fn reasons(list: &str) -> BTreeMap<String, String> {
    let pair = |line: String| {
        let (test, reason) =
            line.split_once(' ').unwrap_or_else(|| panic!("{list}: no reason in {line:?}"));
        (test.to_owned(), reason.trim().to_owned())
    };
    entries(list).into_iter().map(pair).collect()
}

/// Replaces the entries of a list and keeps its leading comment.
pub(crate) fn rewrite(list: &str, entries: impl Iterator<Item = String>) {
    let path = path(list);
    let old = read(&path);
    let head = old.lines().take_while(|line| line.starts_with('#')).map(str::to_owned);
    let text: String = head.chain(entries).map(|line| line + "\n").collect();
    fs::write(path, text).unwrap();
}

/// The entries that a commit of this checkout's history took off a list. A shallow clone knows its last commits only.
pub(crate) fn taken_off(list: &str) -> Vec<String> {
    let mut log = Command::new("git");
    log.current_dir(tools::repository()).args(["log", "--format=", "--patch", "--unified=0", "--"]);
    let done = log.arg(path(list)).output().unwrap();
    assert!(done.status.success(), "git log: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let removed = text.lines().filter_map(|line| line.strip_prefix('-'));
    let left = entries(list);
    let gone = |entry: &&str| !entry.starts_with(['-', '#']) && !left.iter().any(|it| it == entry);
    removed.filter(gone).map(str::to_owned).collect()
}
