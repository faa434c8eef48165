//! `lumadb serve`: start, ready file, stop, what it refuses, and what survives it.

use rustix::process::Signal;

use crate::harness::{Server, binary, finish, luma, serve, with_sighup};
use config_testkit::has;

/// Everything but the data directory of a server that must not start.
fn refused(args: &[&str]) -> crate::harness::Done {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = serve(&dir.path().join("data"));
    command.args(args);
    finish(command, b"")
}

#[test]
fn the_ready_file_names_ports_that_serve_and_sigterm_ends_cleanly() {
    let server = Server::start();
    let names: Vec<&str> = server.addrs.keys().map(String::as_str).collect();
    assert_eq!(names, ["http", "kafka", "pg"]);
    for addr in server.addrs.values() {
        assert!(!addr.ends_with(":0"), "{addr}");
        std::net::TcpStream::connect(addr).expect("a listener");
    }
    // Nothing of the temporary file that was renamed.
    let ready_dir = server.data().parent().expect("has one").to_owned();
    let mut names: Vec<_> = std::fs::read_dir(ready_dir)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["data", "ready.json"]);
    assert_eq!(server.http("/live"), "ok\n");
    assert!(server.http("/ready").contains("\"ready\":true"));
    assert_eq!(server.end(Signal::TERM), 0);
}

#[test]
fn the_service_manager_hears_that_clients_are_served() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("free");
    let mut command = serve(&dir.path().join("data"));
    command.env("NOTIFY_SOCKET", &path);
    let server = Server::spawn(command, dir);
    // It says so before it says that it is ready.
    socket.set_nonblocking(true).expect("a socket");
    let mut said = [0; 64];
    let length = socket.recv(&mut said).expect("sent");
    assert_eq!(&said[..length], b"READY=1\n");
    assert_eq!(server.end(Signal::TERM), 0);
}

/// A closed terminal used to kill the server. `nohup` still keeps it.
#[test]
fn sighup_ends_cleanly_unless_it_was_ignored() {
    let start = |how: &str| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Server::spawn(with_sighup(how, &serve(&dir.path().join("data"))), dir)
    };
    assert_eq!(start("default").hang_up(), 0);
    let server = start("ignore");
    let pid = rustix::process::Pid::from_raw(server.pid().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, Signal::HUP).expect("it runs");
    assert_eq!(server.http("/live"), "ok\n");
    assert_eq!(server.end(Signal::TERM), 0);
}

#[test]
fn a_second_server_on_the_directory_names_the_pid_of_the_first() {
    let server = Server::start();
    let err = finish(serve(&server.data()), b"").fails(6);
    let wanted = format!("is already in use by pid {}", server.pid());
    assert!(err.contains(&wanted), "{err}");
    let data = server.data();
    let err = luma(&["verify", "--data-dir", data.to_str().expect("text")]).fails(6);
    assert!(err.contains(&wanted), "{err}");
    assert_eq!(server.end(Signal::INT), 0);
}

#[test]
fn a_chosen_port_that_is_busy_is_an_error_that_changes_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = taken.local_addr().expect("bound").to_string();
    for flag in ["--kafka", "--pg", "--http"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = binary();
        let data = dir.path().join("data");
        command.args(["serve", "--cores", "1", "--data-dir"]).arg(&data);
        for other in ["--kafka", "--pg", "--http"] {
            command.args([other, if other == flag { &addr } else { "127.0.0.1:0" }]);
        }
        let err = finish(command, b"").fails(2);
        assert!(err.contains(&format!("cannot listen on {addr}")), "{flag}: {err}");
        assert!(err.contains(&format!("in use by pid {} (", std::process::id())), "{err}");
        assert!(err.contains(&format!("{flag} ADDR")), "{err}");
        assert!(!data.exists(), "{flag} left a data directory");
    }
}

#[test]
fn more_cores_than_processors_are_warned_of() {
    let processors = std::thread::available_parallelism().expect("known").get();
    let start = |cores: usize| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = serve(&dir.path().join("data"));
        command.args(["--set", &format!("node.cores={cores}")]);
        let given = command.get_args().map(std::ffi::OsStr::to_owned);
        // --cores of the harness would win.
        let kept: Vec<_> = given.filter(|arg| arg != "--cores" && arg != "1").collect();
        let mut command = binary();
        command.args(kept);
        Server::spawn(command, dir).said.join("\n")
    };
    let warned = format!("node.cores is {}, but this process may use", processors + 1);
    assert!(start(processors + 1).contains(&warned));
    assert!(!start(processors).contains("node.cores is"));
}

#[test]
fn wrong_settings_are_refused_with_a_suggestion() {
    let err = refused(&["--set", "kafka.adr=127.0.0.1:1"]).fails(2);
    assert!(err.contains("did you mean kafka.addr?"), "{err}");
    let err = refused(&["--set", "log.segment_bytes=many"]).fails(2);
    assert!(err.contains("log.segment_bytes"), "{err}");
    let err = refused(&["--reactor", "fast"]).fails(2);
    assert!(err.contains("epoll"), "{err}");
    let err = refused(&["--set", "logging.level=,,=,"]).fails(2);
    assert!(err.contains("logging.level"), "{err}");
}

#[test]
fn addresses_beyond_loopback_need_insecure() {
    for flag in ["--kafka", "--pg", "--http"] {
        let mut command = binary();
        let dir = tempfile::tempdir().expect("a temporary directory");
        command.args(["serve", "--data-dir"]).arg(dir.path());
        for other in ["--kafka", "--pg", "--http"] {
            command.args([other, if other == flag { "0.0.0.0:0" } else { "127.0.0.1:0" }]);
        }
        let err = finish(command, b"").fails(2);
        assert!(err.contains("--insecure"), "{flag}: {err}");
    }
}

/// Clients elsewhere were told to connect to 0.0.0.0, and nobody said so.
#[test]
fn an_address_that_leads_nowhere_is_warned_of() {
    let said = |more: &[&str]| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = binary();
        command.args(["serve", "--insecure", "--kafka", "0.0.0.0:0", "--cores", "1", "--data-dir"]);
        command.arg(dir.path().join("data")).args(["--pg", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args(more);
        let server = Server::spawn(command, dir);
        let said = server.said.join("\n");
        assert_eq!(server.end(Signal::TERM), 0);
        said
    };
    assert!(said(&[]).contains("set kafka.advertised_addr"));
    assert!(!said(&["--set", "kafka.advertised_addr=db:9"]).contains("kafka.advertised_addr"));
}

#[test]
fn acknowledged_records_survive_sigkill() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lines: String = (0..500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    for round in 1..=2 {
        let server = Server::start_in(dir.path());
        server.luma_with(&["produce", "numbers"], lines.as_bytes()).ok();
        assert_eq!(server.end(Signal::KILL), 128 + 9);
        let server = Server::start_in(dir.path());
        let read = server.luma(&["consume", "numbers", "-F", "%v\\n"]).ok();
        assert_eq!(read, lines.repeat(round));
        let rows = luma(&["sql", &server.pg_url(), "-c", "select count(*) as n from numbers"]).ok();
        assert_eq!(rows, format!("{{\"n\":{}}}\n", 500 * round));
        assert_eq!(server.end(Signal::TERM), 0);
    }
}

/// The limit per address was nobody's to see or to change.
#[test]
fn connections_of_one_address_have_a_limit_that_is_set_shown_and_logged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = serve(&dir.path().join("data"));
    command.args(["--set", "kafka.connections_per_address_max=2"]);
    let mut server = Server::spawn(command, dir);
    let kafka = server.kafka().to_owned();
    let open = || std::net::TcpStream::connect(&kafka).expect("a listener");
    let (_first, second) = (open(), open());
    let mut third = open();
    let mut byte = [0];
    assert_eq!(std::io::Read::read(&mut third, &mut byte).expect("closed"), 0);
    server.read_until("limit=\"kafka.connections_per_address_max\" refused=1");
    let refused = "lumadb_connections_refused_total{protocol=\"kafka\"} 1";
    assert!(server.http("/metrics").contains(refused));
    let err = server.luma(&["topic", "list"]).fails(3);
    assert!(err.contains("the server's log says why"), "{err}");
    drop(second);
    let shown = loop {
        // The closed one may still be counted for a moment.
        let shown = server.luma(&["topic", "list"]);
        if shown.code == 0 {
            break shown;
        }
    };
    assert_eq!(shown.ok(), "");
}

/// The HTTP listener had no limit at all.
#[test]
fn http_connections_have_limits_that_are_set_shown_and_logged() {
    for limit in ["http.connections_max", "http.connections_per_address_max"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = serve(&dir.path().join("data"));
        command.args(["--set", &format!("{limit}=2")]);
        let mut server = Server::spawn(command, dir);
        let http = server.addrs["http"].clone();
        let open = || std::net::TcpStream::connect(&http).expect("a listener");
        let (mut first, _second) = (open(), open());
        let mut byte = [0];
        assert_eq!(std::io::Read::read(&mut open(), &mut byte).expect("closed"), 0);
        server.read_until(&format!("limit=\"{limit}\" refused=1"));
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(&mut first, request).expect("an open connection");
        let page = std::io::read_to_string(first).expect("a page");
        assert!(page.contains("lumadb_connections_refused_total{protocol=\"http\"} 1"), "{page}");
    }
}

/// What a log collector reads: one object for each line, with the fields beside the message.
#[test]
fn log_lines_are_json_objects_where_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = serve(&dir.path().join("data"));
    command.args(["--set", "logging.format=json", "--set", "http.connections_max=1"]);
    let mut server = Server::spawn(command, dir);
    let http = server.addrs["http"].clone();
    let open = || std::net::TcpStream::connect(&http).expect("a listener");
    let _sockets = (open(), open());
    server.read_until("connections refused");
    let line = server.said.last().expect("just read");
    let event: serde_json::Value = serde_json::from_str(line).expect("an object");
    let text = |field: &str| event[field].as_str().unwrap_or_else(|| panic!("no {field}: {line}"));
    assert_eq!(text("message"), "connections refused: a limit is reached");
    assert_eq!((text("level"), text("limit")), ("WARN", "http.connections_max"));
    assert_eq!((text("address"), event["refused"].as_u64()), ("127.0.0.1", Some(1)));
    assert!(text("timestamp").ends_with('Z') && text("target").starts_with("proto_http"), "{line}");
}

#[test]
fn metrics_count_what_was_done_and_promtool_accepts_them() {
    let server = Server::start();
    server.luma_with(&["produce", "metered"], b"a\nb\n").ok();
    luma(&["sql", &server.pg_url(), "-c", "select count(*) from metered"]).ok();
    server.luma_with(&["produce", "spoiled"], b"{\"id\":1}\noops\n{\"id\":2}\n").ok();
    luma(&["sql", &server.pg_url(), "-c", "select count(id) from spoiled"]).ok();
    let bad = "select relname, bad_records, last_offset from luma_bad_records";
    let shown = luma(&["sql", &server.pg_url(), "-c", bad]).ok();
    assert_eq!(shown, "{\"relname\":\"spoiled\",\"bad_records\":1,\"last_offset\":1}\n");
    luma(&["sql", &server.pg_url(), "-c", "select nothing"]).fails(1);
    server.luma(&["group", "seek", "readers", "--topic", "metered", "--to", "1", "--yes"]).ok();
    let lags = server.http("/metrics?detail=groups");
    let lag = "lumadb_consumer_group_lag{group=\"readers\",topic=\"metered\"} 1";
    assert!(lags.lines().any(|line| line.trim_end_matches(".0") == lag), "{lags}");
    let ranges = server.http("/metrics?detail=partitions");
    for (end, at) in [("start", "0"), ("end", "2")] {
        let line =
            format!("lumadb_log_partition_{end}_offset{{topic=\"metered\",partition=\"0\"}} {at}");
        assert!(ranges.lines().any(|found| found.trim_end_matches(".0") == line), "{ranges}");
    }
    let page = server.http("/metrics");
    let sample = |name: &str| -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is missing:\n{page}")).parse().expect("a number")
    };
    for (name, least) in [
        ("lumadb_log_produced_batches_total", 1.0),
        ("lumadb_log_produced_bytes_total", 60.0),
        ("lumadb_journal_frames_total", 1.0),
        ("lumadb_journal_syncs_total", 1.0),
        ("lumadb_log_fsync_duration_seconds_count", 1.0),
        ("lumadb_log_topics", 1.0),
        ("lumadb_log_tail_bytes", 1.0),
        ("lumadb_memory_bytes{component=\"log_tail\"}", 1.0),
        ("lumadb_queries_total{status=\"ok\",protocol=\"pg\"}", 3.0),
        ("lumadb_query_duration_seconds_count{type=\"select\"}", 3.0),
        ("lumadb_consumer_groups", 1.0),
        ("lumadb_core_cpu_seconds_total{core=\"0\"}", 0.0),
        ("lumadb_storage_bytes{tier=\"local\"}", 4096.0),
        ("lumadb_disk_free_bytes", 1.0),
        ("lumadb_disk_total_bytes", 4096.0),
        ("lumadb_connections_total{protocol=\"kafka\"}", 1.0),
        ("lumadb_connections_total{protocol=\"pg\"}", 1.0),
        ("lumadb_connections_active{protocol=\"http\"}", 1.0),
    ] {
        assert!(sample(name) >= least, "{name} = {}", sample(name));
    }
    for name in [
        "lumadb_connections_refused_total{protocol=\"kafka\"}",
        "lumadb_kafka_request_memory_bytes",
        "lumadb_log_disk_full_shards",
        "lumadb_active_queries",
        "lumadb_memory_bytes{component=\"sql_statements\"}",
        "lumadb_queries_total{status=\"cancelled\",protocol=\"pg\"}",
    ] {
        assert_eq!(sample(name), 0.0, "{name}");
    }
    assert_eq!(sample("lumadb_sql_bad_records_total"), 1.0);
    assert_eq!(sample("lumadb_queries_total{status=\"error\",protocol=\"pg\"}"), 1.0);
    let stats: serde_json::Value = serde_json::from_str(&server.http("/stats")).expect("JSON");
    assert_eq!(stats["log"]["produced_batches"], 2);
    assert_eq!(stats["sql"]["bad_records"], 1);
    if has("promtool", "prometheus") {
        let mut promtool = std::process::Command::new("promtool");
        promtool.args(["check", "metrics"]);
        let checked = finish(promtool, page.as_bytes());
        assert_eq!((checked.code, checked.out.trim(), checked.err.trim()), (0, "", ""));
    }
}

#[test]
fn a_default_kafka_port_that_is_busy_gives_way_to_the_next_free_one() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = taken.local_addr().expect("bound");
    let start = |beyond_max: u16| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut settings = broker_node::NodeSettings::new(dir.path().join("data"), addr);
        settings.kafka_ports_beyond_max = beyond_max;
        let node = broker_node::Node::start(settings)?;
        let bound = node.kafka_addr();
        node.shutdown().expect("a clean end");
        Ok::<_, broker_node::NodeError>(bound)
    };
    let error = start(0).expect_err("the port is taken").to_string();
    assert!(error.contains(&addr.to_string()), "{error}");
    // A range that reaches past the last port is cut there.
    match start(100) {
        Ok(bound) => assert!(bound.port() > addr.port(), "{bound}"),
        Err(error) => assert!(addr.port() > u16::MAX - 100, "{error}"),
    }
}
