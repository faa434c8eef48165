//! A test that is left out is seen to be, from outside the test runner.

use std::process::Command;

/// Set for the process that this binary starts of itself.
const INNER: &str = "CONFIG_TESTKIT_INNER";

/// In the inner process: a test that needs what nobody has. In the outer one it is a test that passes.
#[test]
fn needs_a_program_that_nobody_has() {
    if std::env::var_os(INNER).is_some() {
        assert!(!config_testkit::has("no-such-program", "no-such-package"));
    }
}

/// Runs the test above as `cargo test` would: whether it passed, and what stood on standard error and output.
fn run(required: Option<&str>) -> (bool, String, String) {
    let mut inner = Command::new(std::env::current_exe().expect("this test"));
    inner.args(["--exact", "needs_a_program_that_nobody_has"]).env(INNER, "1");
    match required {
        Some(value) => inner.env("LUMADB_E2E_REQUIRE", value),
        None => inner.env_remove("LUMADB_E2E_REQUIRE"),
    };
    let done = inner.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (done.status.success(), text(done.stderr), text(done.stdout))
}

#[test]
fn a_skip_is_seen_although_the_test_passes() {
    for required in [None, Some(""), Some("none")] {
        let (passed, err, out) = run(required);
        assert!(passed && out.contains("1 passed"), "{out}{err}");
        assert_eq!(
            err.trim(),
            "skipped: no-such-program: it is not on PATH (Debian package no-such-package)"
        );
    }
}

#[test]
fn a_skip_fails_where_everything_is_required() {
    let (passed, err, out) = run(Some("all"));
    assert!(!passed && out.contains("1 failed"), "{out}{err}");
    assert!((out + &err).contains("no-such-program is required"));
}

#[test]
fn a_program_is_looked_for_on_the_path() {
    assert!(config_testkit::on_path("sh").is_some_and(|sh| sh.is_file()));
    assert!(config_testkit::has("sh", "dash"));
}
