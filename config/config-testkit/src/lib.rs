//! What a test says that cannot run here, in one way for all crates: on the standard error of the process itself, since the
//! test runner hides what a test that passes prints, and as a failure where nothing may be left out.
//!
//! It is a dev-dependency only, and depends on nothing.

use std::env;
use std::io::Write as _;
use std::path::PathBuf;

/// Whether what cannot run fails instead of being skipped: `LUMADB_E2E_REQUIRE=all`, as CI sets it.
#[must_use]
pub fn all_required() -> bool {
    env::var("LUMADB_E2E_REQUIRE").is_ok_and(|value| value == "all")
}

/// Says that `what` was left out because of `why`; the caller returns.
///
/// # Panics
/// When everything is required.
pub fn skipped(what: &str, why: &str) {
    assert!(!all_required(), "{what} is required: {why}");
    // A closed standard error hears nothing, and is no failure of what is tested.
    let _ = std::io::stderr().lock().write_all(format!("\nskipped: {what}: {why}\n").as_bytes());
}

/// A program on `PATH`.
#[must_use]
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Whether `program`, which the Debian package `package` brings, is here. One that is missing is [`skipped`].
///
/// # Panics
/// When it is missing and everything is required.
#[must_use]
pub fn has(program: &str, package: &str) -> bool {
    let found = on_path(program).is_some();
    if !found {
        skipped(program, &format!("it is not on PATH (Debian package {package})"));
    }
    found
}
