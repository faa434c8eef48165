//! Commands through [`run`], with their output, their errors and their exit codes.

use std::io::{BufReader, Write};
use std::sync::{Arc, Mutex};

use clap::Parser;
use client_cli::{
    Cli, DemoArgs, Exit, Failure, Format, ServeArgs, Server, Terminal, VerifyArgs, run,
};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

/// A reader that went away.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says what it was asked to do.
struct Echo;

impl Server for Echo {
    fn serve(&self, args: ServeArgs, terminal: &mut Terminal) -> Result<(), Failure> {
        let overrides = args.overrides().map_err(Failure::usage)?;
        for one in overrides {
            writeln!(terminal.out, "{}={} {}", one.path, one.value, one.flag)?;
        }
        Ok(writeln!(terminal.out, "served")?)
    }

    fn demo(&self, args: DemoArgs, terminal: &mut Terminal) -> Result<(), Failure> {
        Ok(writeln!(terminal.out, "demo {} {}", args.rate, args.seed)?)
    }

    fn verify(&self, _: VerifyArgs, _: Format, _: &mut Terminal) -> Result<(), Failure> {
        Err(Failure::new(Exit::Failed, "broken"))
    }

    fn probe_io_uring(&self) -> Result<(), String> {
        Err("refused here".to_owned())
    }

    fn version(&self) -> String {
        "0.0.0".to_owned()
    }
}

fn command(args: &[&str], input: &'static str) -> (Exit, String, String) {
    let cli = Cli::try_parse_from(std::iter::once(&"lumadb").chain(args)).expect("parses");
    let (out, err) = (Shared::default(), Shared::default());
    let mut terminal = Terminal {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        input: BufReader::new(Box::new(input.as_bytes())),
        stdin_is_tty: false,
        input_pauses: || false,
        stdout_is_tty: false,
        color: false,
        env: |_| None,
    };
    let exit = run(cli, &Echo, &mut terminal);
    (exit, out.text(), err.text())
}

#[test]
fn no_command_serves_and_flags_become_keys() {
    assert_eq!(command(&[], "").1, "served\n");
    let (_, out, _) = command(
        &["serve", "--set", "log.retention=1d", "--kafka", "127.0.0.1:0", "--cores", "2"],
        "",
    );
    assert_eq!(
        out,
        "log.retention=1d --set\nkafka.addr=127.0.0.1:0 --kafka\nnode.cores=2 --cores\nserved\n"
    );
    assert_eq!(command(&["demo", "--seed", "9"], "").1, "demo 25 9\n");
    assert_eq!(command(&["serve", "--set", "nonsense"], "").0, Exit::Usage);
}

#[test]
fn unknown_commands_and_flags_are_usage_errors() {
    for args in [&["lumadb", "nope"][..], &["lumadb", "serve", "--nope"], &["lumadb", "topic"]] {
        let error = Cli::try_parse_from(args).expect_err("wrong");
        assert_eq!(error.exit_code(), i32::from(Exit::Usage as u8), "{args:?}");
    }
}

#[test]
fn config_commands_print_the_table_of_keys() {
    let (exit, out, _) =
        command(&["config", "show", "--origin", "--set", "kafka.num_partitions=3"], "");
    assert_eq!(exit, Exit::Ok);
    assert!(out.contains(
        "{\"key\":\"kafka.num_partitions\",\"value\":\"3\",\"origin\":\"flag --set\",\"default\":\"1\",\"takes_effect\":\"restart\"}"
    ));
    assert!(
        command(&["config", "explain", "log.segment_bytes"], "")
            .1
            .contains("LUMADB_LOG__SEGMENT_BYTES=64MiB")
    );
    assert_eq!(command(&["config", "explain", "no.key"], "").0, Exit::NotFound);
    let (_, _, err) = command(&["config", "explain", "kafka.adr"], "");
    assert!(err.contains("did you mean kafka.addr?"), "{err}");
    for wrong in ["=x", " =x", "x"] {
        let (exit, _, err) = command(&["config", "validate", "--set", wrong], "");
        let said = format!("error: --set {wrong:?}: expected section.key=value\n");
        assert_eq!((exit, err), (Exit::Usage, said));
    }
    assert!(command(&["config", "default"], "").1.contains("[kafka]"));
    let (exit, _, err) = command(&["config", "validate", "--set", "kafka.adr=1"], "");
    assert_eq!((exit, err.contains("did you mean kafka.addr?")), (Exit::Usage, true));
    assert_eq!(command(&["config", "validate", "--config", "/no/such/file"], "").0, Exit::Usage);
}

#[test]
fn failures_have_their_exit_code_and_json_form() {
    assert_eq!(command(&["verify"], "").0, Exit::Failed);
    let (exit, _, err) = command(&["verify", "--format", "json"], "");
    assert_eq!(
        (exit, err.as_str()),
        (Exit::Failed, "{\"error\":\"broken\",\"exit_code\":1,\"hint\":null}\n")
    );
    let refused = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("loopback")
        .local_addr()
        .expect("bound")
        .to_string();
    let (exit, _, err) = command(&["topic", "list", "-b", &refused], "");
    assert_eq!(
        (exit, err.starts_with("error: cannot connect to ")),
        (Exit::CannotConnect, true),
        "{err}"
    );
    let url = format!("postgres://{refused}/luma");
    assert_eq!(command(&["sql", &url, "-c", "select 1"], "").0, Exit::CannotConnect);
}

#[test]
fn destructive_commands_refuse_without_terminal_and_yes() {
    let (exit, _, err) = command(&["topic", "delete", "orders"], "y\n");
    assert_eq!((exit, err.contains("--yes")), (Exit::Usage, true));
    let seek = ["group", "seek", "g", "--topic", "t", "--to", "start"];
    assert_eq!(command(&seek, "").0, Exit::Usage);
}

#[test]
fn wrong_offsets_and_templates_are_refused_before_connecting() {
    assert_eq!(command(&["consume", "t", "--offset", "x"], "").0, Exit::Usage);
    assert_eq!(command(&["consume", "t", "-F", "%q"], "").0, Exit::Usage);
    assert_eq!(command(&["consume", "t", "--format", "csv"], "").0, Exit::Usage);
    assert_eq!(command(&["consume", "t", "--format", "json", "--follow"], "").0, Exit::Usage);
    assert_eq!(command(&["produce", "t", "-H", "x"], "").0, Exit::Usage);
    assert_eq!(command(&["topic", "create", "t", "-c", "x"], "").0, Exit::Usage);
}

/// `-3` was taken for a flag, with the advice to write `-- -3`.
#[test]
fn numbers_below_zero_are_out_of_range() {
    for args in [
        ["topic", "create", "t", "-p", "-3"],
        ["topic", "alter", "t", "-p", "-3"],
        ["produce", "t", "--partition", "-3", "-kx"],
        ["consume", "t", "--partition", "-3", "-f"],
        ["bench", "produce", "--partitions", "-3", "--acks=1"],
        ["serve", "--cores", "-3", "--http", "x"],
    ] {
        let error = Cli::try_parse_from(["lumadb"].iter().chain(&args)).expect_err("wrong");
        assert!(error.to_string().contains("-3 is not in "), "{error}");
    }
}

/// The directory of another name was made and used.
#[test]
fn a_data_directory_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let dir = std::ffi::OsStr::from_bytes(b"d\xff");
    let words = ["lumadb", "serve", "--data-dir"].map(std::ffi::OsStr::new);
    let cli = Cli::try_parse_from(words.into_iter().chain([dir])).expect("parses");
    let Some(client_cli::Command::Serve(args)) = cli.command else { panic!("it is serve") };
    let said = args.overrides().expect_err("no text");
    assert_eq!(said, r#"--data-dir "d\xFF": the name is not UTF-8"#);
}

/// A rate of 0 was taken for 1 in silence.
#[test]
fn a_benchmark_of_nothing_is_refused() {
    for args in
        [["produce", "--rate", "0"], ["produce", "--in-flight", "0"], ["latency", "--rate", "0"]]
    {
        let parsed = Cli::try_parse_from(["lumadb", "bench"].iter().chain(&args));
        assert_eq!(parsed.expect_err("wrong").exit_code(), 2, "{args:?}");
    }
}

#[test]
fn a_broken_pipe_is_silent() {
    let cli = Cli::try_parse_from(["lumadb", "config", "default"]).expect("parses");
    let err = Shared::default();
    let mut terminal = Terminal {
        out: Box::new(Gone),
        err: Box::new(err.clone()),
        input: BufReader::new(Box::new(std::io::empty())),
        stdin_is_tty: false,
        input_pauses: || false,
        stdout_is_tty: false,
        color: false,
        env: |_| None,
    };
    assert_eq!(run(cli, &Echo, &mut terminal), Exit::Ok);
    assert_eq!(err.text(), "");
}

#[test]
fn doctor_checks_a_directory_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().to_str().expect("text");
    let (_, out, _) = command(&["doctor", "--json", "--data-dir", path], "");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&out).expect("JSON");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["check"].as_str()).collect();
    assert_eq!(names, ["io_uring", "memlock", "open_files", "clock", "file_system", "direct_io"]);
    assert_eq!(rows[0]["result"], "warn");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
}

/// The file's directory was checked instead, and was fine.
#[test]
fn doctor_takes_no_file_for_a_directory() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_str().expect("text");
    let (exit, out, _) = command(&["doctor", "--json", "--data-dir", path], "");
    assert_eq!(exit, Exit::Unhealthy);
    assert!(out.contains(&format!("{path} is not a directory")), "{out}");
}

#[test]
fn completions_and_version_are_printed() {
    assert!(command(&["completions", "bash"], "").1.contains("lumadb"));
    assert_eq!(command(&["version"], "").1, "lumadb 0.0.0\n");
}
