//! `lumadb sql` with scripts: from a file, from standard input, within each other, and what is said of the first failure.
//!
//! A script used to go to the server as one message: as one transaction, with no word of where it had failed.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::harness::{Done, Server, binary, luma, luma_with, wait};

const SCRIPT: &str = "-- what is counted; and what is not
\\echo 'it begins'
select 1 as a;

select 'x;y' as b,
  nope from numbers;
/* division; */ select 1/0;
\\d nope
create table lines (a bigint) with (topic = 'numbers');
select sum(a) as c from lines
";

fn with_numbers() -> Server {
    let server = Server::start();
    server.luma_with(&["produce", "numbers"], b"{\"a\":1}\n{\"a\":2}\n").ok();
    server
}

fn sql(server: &Server, args: &[&str], input: &str) -> Done {
    luma_with(&[&["sql", &server.pg_url()][..], args].concat(), input.as_bytes())
}

#[test]
fn the_first_failure_ends_a_script_and_names_its_line() {
    let server = with_numbers();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("q.sql");
    std::fs::write(&file, SCRIPT).expect("writable");
    let name = file.to_str().expect("text");
    for (args, input, said) in
        [(&["-f", name][..], "", name), (&["-f", "-"], SCRIPT, "<stdin>"), (&[], SCRIPT, "<stdin>")]
    {
        let done = sql(&server, args, input);
        assert_eq!(done.out, "it begins\n{\"a\":1}\n");
        let place =
            "column \"nope\" does not exist (SQLSTATE 42703)\n    nope from numbers;\n    ^\n";
        let err = done.fails(1);
        assert!(err.starts_with(&format!("error: {said}:6: {place}")), "{err}");
        assert!(err.contains("CREATE TABLE … WITH (topic = 'numbers', format = 'json')"), "{err}");
    }
    let cut = sql(&server, &[], "select 1;\nselect 'open;\n").fails(1);
    assert!(cut.contains("error: <stdin>:2: syntax error: unterminated"), "{cut}");
}

#[test]
fn a_script_goes_on_after_failures_where_that_is_asked_for() {
    let server = with_numbers();
    let switched = format!("\\set ON_ERROR_STOP off\n{SCRIPT}");
    for (args, input, first) in [(&["--on-error", "continue"][..], SCRIPT, 0), (&[], &switched, 1)]
    {
        let done = sql(&server, args, input);
        assert_eq!(done.out, "it begins\n{\"a\":1}\n{\"c\":3}\n");
        let err = done.fails(8);
        for (line, what) in [(6, "column \"nope\""), (7, "division by zero"), (8, "Did not find")] {
            assert!(err.contains(&format!("error: <stdin>:{}: {what}", line + first)), "{err}");
        }
        assert!(
            err.contains("\n  select 1/0;\n"),
            "the statement, as the error has no place: {err}"
        );
        assert!(err.ends_with("statements and commands failed\n"), "{err}");
        sql(&server, &["-c", "drop table lines"], "").ok();
    }
    let err = sql(&server, &["--on-error", "continue"], "select nope;\n\\nope\n").fails(1);
    assert!(err.contains("2 of 2"), "{err}");
}

#[test]
fn scripts_include_scripts_and_end_where_they_say() {
    let server = with_numbers();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("writable");
    write("inner.sql", "select 2 as a;\n\n  select nope;\n");
    write("quits.sql", "select 3 as a;\n\\q\nselect 4 as a;\n");
    write("itself.sql", &format!("\\i {}\n", path("itself.sql")));
    let outer = format!("select 1 as a;\n\\i '{}'\nselect 5 as a;\n", path("inner.sql"));
    let done = sql(&server, &[], &outer);
    assert_eq!(done.out, "{\"a\":1}\n{\"a\":2}\n");
    let err = done.fails(1);
    assert!(err.starts_with(&format!("error: {}:3: column", path("inner.sql"))), "{err}");
    let quits = format!("\\i {}\nselect 5 as a;\n", path("quits.sql"));
    assert_eq!(sql(&server, &[], &quits).ok(), "{\"a\":3}\n");
    let deep = sql(&server, &["-f", &path("itself.sql")], "").fails(1);
    assert!(deep.contains("itself.sql:1: scripts include each other"), "{deep}");
    assert!(sql(&server, &[], "\n\\i /no/such\n").fails(5).contains("<stdin>:2: cannot read /no"));
    assert!(sql(&server, &["-f", &path("")], "").fails(1).contains("directory"));
    let mut bytes = b"select 1 as a;\n".to_vec();
    bytes.extend(b"select '\xff';\n");
    let done = luma_with(&["sql", &server.pg_url()], &bytes);
    assert_eq!(done.out, "{\"a\":1}\n");
    assert!(done.fails(1).contains("<stdin>:2: cannot read it: the line is not UTF-8"));
}

/// Whoever drives the command through pipes waited for the answer until it closed its end.
#[test]
fn a_statement_on_a_pipe_runs_when_it_ends() {
    let server = Server::start();
    let mut command = binary();
    command.args(["sql", &server.pg_url()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut input = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for round in 0..3 {
        writeln!(input, "select {round}\n  as a;").expect("it reads");
        let line = lines.next().expect("a line").expect("text");
        assert_eq!(line, format!("{{\"a\":{round}}}"));
    }
    drop(input);
    assert_eq!(wait(child), 0);
}

/// A session's settings and its transactions span the statements of a script; what is in one `-c` is one transaction.
#[test]
fn statements_of_a_script_share_a_session() {
    let server = with_numbers();
    let script = "set statement_timeout = '5s';\nbegin;\nselect nope;\n";
    let err =
        sql(&server, &["--on-error", "continue"], &format!("{script}show statement_timeout;\n"));
    assert!(err.fails(8).contains("(SQLSTATE 25P02)"));
    let shown = sql(&server, &[], "set statement_timeout = '5s';\nshow statement_timeout;").ok();
    assert_eq!(shown, "{\"statement_timeout\":\"5s\"}\n");
    let done = sql(&server, &["-c", "select 1 as a; select nope; select 2 as a"], "");
    assert_eq!(done.out, "{\"a\":1}\n");
    done.fails(1);
}

/// Nothing was printed, and it looked as if all was well.
#[test]
fn copy_to_standard_output_is_printed() {
    let server = with_numbers();
    let done = sql(&server, &["-c", "copy (select a, _offset from numbers) to stdout"], "");
    assert_eq!((done.out.as_str(), done.err.as_str()), ("1\t0\n2\t1\n", "COPY 2\n"));
    let csv = "copy (select a from numbers) to stdout with (format csv, header);\nselect 7 as b;";
    assert_eq!(sql(&server, &[], csv).ok(), "a\n1\n2\n{\"b\":7}\n");
}

/// More rows than are printed at once: one heading, one JSON array, numbers that go on.
#[test]
fn long_results_are_one_result() {
    let server = Server::start();
    let read = |format: &str| {
        let query = "select g as \"a\nb\" from generate_series(1, 2500) g";
        sql(&server, &["-o", format, "-c", query], "").ok()
    };
    let rows: Vec<serde_json::Value> = serde_json::from_str(&read("json")).expect("one array");
    assert_eq!((rows.len(), &rows[2499]["a\nb"]), (2500, &2500.into()));
    assert_eq!(read("csv").lines().count(), 2502);
    assert_eq!(read("tsv").lines().count(), 2501);
    assert!(read("vertical").contains("\n-[ RECORD 2500 ]\n"));
    let none = sql(&server, &["-o", "json", "-c", "select 1 where false"], "").ok();
    assert_eq!(none, "[]\n");
}

#[test]
fn a_server_is_named_by_psqls_flags_too() {
    let server = Server::start();
    let (host, port) = server.addrs["pg"].rsplit_once(':').expect("an address");
    let who = "select current_user as u, current_database() as d";
    let said = "{\"u\":\"ada\",\"d\":\"luma\"}\n";
    let flags = ["-h", host, "-p", port, "-U", "ada", "-d", "luma", "-c", who];
    assert_eq!(luma(&[&["sql"][..], &flags].concat()).ok(), said);
    assert_eq!(
        luma(&["connect", "--host", host, "--port", port, "-U", "ada", "-c", who]).ok(),
        said
    );
    assert_eq!(luma(&["query", who, "-h", host, "-p", port, "-U", "ada"]).ok(), said);
    let connected = luma(&["sql", "-h", host, "-p", port, "-c", "\\conninfo"]);
    let wanted = format!("connected to database \"luma\" as user \"luma\" at {host}:{port}\n");
    assert_eq!(connected.err, wanted);
}
