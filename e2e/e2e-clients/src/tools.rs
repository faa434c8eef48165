//! Where the repository, the build and the installed foreign tools are.
//!
//! `e2e/tools.sh` installs below `${LUMADB_CACHE:-~/.cache/lumadb}/e2e`; this file only looks.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the checkout.
///
/// # Panics
/// When this crate no longer stands two folders below the root.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate stands in e2e/e2e-clients")
}

/// The folder that `e2e/tools.sh` installs into.
#[must_use]
pub fn installed() -> PathBuf {
    let cache = env::var_os("LUMADB_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .unwrap_or_else(|| {
                PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache")
            })
            .join("lumadb")
    });
    cache.join("e2e")
}

/// Whether a missing tool fails the run instead of being skipped.
#[must_use]
pub fn all_required() -> bool {
    config_testkit::all_required()
}

/// Whether results are to be recorded rather than compared.
#[must_use]
pub fn updating() -> bool {
    env::var("UPDATE").is_ok_and(|value| value == "1")
}

/// The `lumadb` binary of this build, built now unless it is up to date.
///
/// `cargo test --workspace` has built it when the tests run, and then it is taken as it is: cargo's dep-info file
/// beside it names every source. A nested `cargo build -p lumadb` alone would unify features differently and compile
/// much of the workspace a second time.
///
/// # Errors
/// When it cannot be built or found.
pub fn lumadb() -> Result<PathBuf, String> {
    if let Some(given) = env::var_os("LUMADB_BIN") {
        return Ok(PathBuf::from(given));
    }
    let this_test = env::current_exe().map_err(|e| e.to_string())?;
    // <target>/<profile>/deps/it-<hash>
    let profile_dir =
        this_test.ancestors().nth(2).ok_or("the test binary stands in no target directory")?;
    let binary = profile_dir.join("lumadb");
    if is_fresh(&binary) {
        return Ok(binary);
    }
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(repository()).args(["build", "--quiet", "-p", "lumadb", "--bin", "lumadb"]);
    build.arg("--target-dir").arg(profile_dir.parent().ok_or("no target directory")?);
    if profile_dir.ends_with("release") {
        build.arg("--release");
    }
    let done = build.output().map_err(|e| format!("cannot run cargo: {e}"))?;
    if !done.status.success() {
        return Err(format!("lumadb does not build: {}", String::from_utf8_lossy(&done.stderr)));
    }
    Ok(binary)
}

fn is_fresh(binary: &Path) -> bool {
    let Ok(built) = fs::metadata(binary).and_then(|meta| meta.modified()) else { return false };
    let Ok(dep_info) = fs::read_to_string(binary.with_extension("d")) else { return false };
    let Some((_, sources)) = dep_info.split_once(": ") else { return false };
    let mut sources = sources.split_whitespace().peekable();
    sources.peek().is_some()
        && sources
            .all(|file| fs::metadata(file).and_then(|m| m.modified()).is_ok_and(|at| at <= built))
}
