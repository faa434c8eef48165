//! The files of the repository, as git knows them: what is tracked, and what would be if it were added now.

use std::{fs, path::Path, process::Command};

/// One text file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    pub text: String,
}

fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let done = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|e| format!("git: {e}"))?;
    if !done.status.success() {
        return Err(format!("git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr)));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Paths of all files that are tracked or new and not ignored.
///
/// # Errors
/// When this is no git checkout.
pub fn paths(root: &Path) -> Result<Vec<String>, String> {
    let listed = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut paths: Vec<String> =
        listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// All Rust files.
///
/// # Errors
/// When this is no git checkout.
pub fn rust(root: &Path) -> Result<Vec<Source>, String> {
    let rust = paths(root)?.into_iter().filter(|path| path.ends_with(".rs"));
    // A tracked file that is deleted in the work tree is not there to be judged.
    Ok(rust
        .filter_map(|path| {
            fs::read_to_string(root.join(&path)).ok().map(|text| Source { path, text })
        })
        .collect())
}

/// Sizes in bytes of all files.
///
/// # Errors
/// When this is no git checkout.
pub fn sizes(root: &Path) -> Result<Vec<(String, u64)>, String> {
    let paths = paths(root)?.into_iter();
    Ok(paths
        .filter_map(|path| fs::metadata(root.join(&path)).ok().map(|meta| (path, meta.len())))
        .collect())
}
