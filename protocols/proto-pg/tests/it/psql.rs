//! The real `psql`. Skipped, and says so, where it is missing; a failure with `LUMADB_E2E_REQUIRE=all`.

use std::process::Stdio;
use std::sync::atomic::Ordering;

use proto_pg::PgOptions;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::{Server, with_server};

fn present() -> bool {
    config_testkit::has("psql", "postgresql-client")
}

fn psql(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new("psql");
    command
        .args(["-X", "-h", "127.0.0.1", "-p", &server.address.port().to_string()])
        .args(["-U", "ada", "-d", "luma"])
        .args(arguments)
        // What the environment says must not reach the client.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What `psql` prints: standard output, standard error.
async fn run(server: &Server, arguments: &[&str]) -> (String, String) {
    let output = psql(server, arguments).stdin(Stdio::null()).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn statements_errors_and_notices() {
    if !present() {
        return;
    }
    with_server(PgOptions::default(), async |server| {
        let (out, err) = run(&server, &["-At", "-c", "SELECT 1", "-c", "series 3"]).await;
        assert_eq!((out.as_str(), err.as_str()), ("1\n1\n2\n3\n", ""));
        let (out, _) = run(&server, &["-c", "SELECT 7"]).await;
        assert_eq!(out, " ?column? \n----------\n        7\n(1 row)\n\n");
        let (out, err) = run(&server, &["-At", "-c", "SELECT 1; fail"]).await;
        assert_eq!(out, "1\n");
        assert_eq!(
            err,
            "ERROR:  syntax error at or near \"fail\"\nLINE 1: SELECT 1; fail\n                  ^\n\
             HINT:  Ask for something else.\n"
        );
        let (_, err) = run(&server, &["-c", "warn"]).await;
        assert_eq!(err, "WARNING:  3 records were skipped\nNOTICE:  plain\n");
        let (out, err) = run(&server, &["-At", "-c", "types"]).await;
        assert!(
            out.starts_with("t|-2|4|-9223372036854775808|0.1|1e+15|123.45|tëxt|"),
            "{out}{err}"
        );
    });
}

#[test]
fn many_rows_and_the_extended_protocol() {
    if !present() {
        return;
    }
    with_server(PgOptions::default(), async |server| {
        let (out, _) = run(&server, &["-At", "-c", "series 100000"]).await;
        assert_eq!(out.lines().count(), 100_000);
        assert_eq!(out.lines().last(), Some("100000"));
        // \gdesc prepares and describes without executing.
        let mut child = psql(&server, &["-At"]).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"series 3 \\gdesc\nSELECT 5;\n").await.unwrap();
        drop(input);
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
        // psql asks the server for the types' names, which this engine does not know.
        assert!(err.contains("syntax error"), "{err}");
        assert_eq!(out, "5\n");
    });
}

#[test]
fn ctrl_c_ends_the_statement() {
    if !present() {
        return;
    }
    with_server(PgOptions::default(), async |server| {
        let mut child = psql(&server, &["-At", "-v", "FETCH_COUNT=0"]).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        // The notices come when psql has started and reads statements.
        input.write_all(b"warn;\nforever;\n").await.unwrap();
        assert_eq!(errors.next_line().await.unwrap().unwrap(), "WARNING:  3 records were skipped");
        assert_eq!(errors.next_line().await.unwrap().unwrap(), "NOTICE:  plain");
        while server.counters.rows.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        interrupt(&child).await;
        let message = errors.next_line().await.unwrap().unwrap();
        assert_eq!(message, "Cancel request sent");
        let message = errors.next_line().await.unwrap().unwrap();
        assert_eq!(message, "ERROR:  canceling statement due to user request");
        // A psql that reads a script stops at Ctrl-C; that the session itself goes on is shown in `limits`.
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(3), "EXIT_USER");
        assert_eq!(server.counters.streams.load(Ordering::SeqCst), 0);
    });
}

/// SIGINT to a child that this test started.
async fn interrupt(child: &Child) {
    let id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-s", "INT", &id]).status().await.unwrap();
    assert!(sent.success());
}
