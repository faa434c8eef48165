//! `lumadb` without a word more, as a person starts it first: the default ports on loopback, the user's own data directory,
//! and the next free port where another program has a default one.
//!
//! The default ports of the machine may be taken or free: what is claimed holds in both cases, and a second server beside the
//! first finds them taken in any.

use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Server, binary, luma};

const DEFAULTS: [(&str, u16); 3] = [("kafka", 9092), ("pg", 5432), ("http", 8080)];

/// Starts the bare command as somebody whose environment says where data go: `variable` is `root`. It stands in `root`, so
/// that no settings file of this directory is read.
fn start(root: &Path, variable: &str) -> Server {
    let mut command = binary();
    command.env_remove("XDG_DATA_HOME").env_remove("HOME").env(variable, root);
    command.env_remove("NOTIFY_SOCKET").current_dir(root);
    Server::spawn_bare(command)
}

fn port(server: &Server, name: &str) -> u16 {
    let (host, port) = server.addrs[name].rsplit_once(':').expect("an address");
    assert_eq!(host, "127.0.0.1", "{name} is on loopback");
    port.parse().expect("a port")
}

/// A port is the default one, or the server said that this is busy and which it took.
fn check_ports(server: &Server) {
    for (name, default) in DEFAULTS {
        let port = port(server, name);
        let busy = format!("port {default} is busy: ");
        let notes: Vec<_> = server.said.iter().filter(|line| line.contains(&busy)).collect();
        if port == default {
            assert!(notes.is_empty(), "{notes:?}");
        } else {
            let note = format!("{busy}{name}.addr is 127.0.0.1:{port}");
            assert!(matches!(notes[..], [line] if line.ends_with(&note)), "{note}: {notes:?}");
            assert!(notes[0].contains("WARN"), "{notes:?}");
            assert!((default + 1..=default + 100).contains(&port), "{name}: the next free port");
        }
    }
}

#[test]
fn bare_lumadb_serves_its_own_directory_on_default_ports_or_says_which_others() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    for root in [&first, &second] {
        std::fs::create_dir(root).expect("a directory");
    }
    let one = start(&first, "XDG_DATA_HOME");
    check_ports(&one);
    // The first has the default ports, or whoever it was that it gave way to.
    let two = start(&second, "HOME");
    check_ports(&two);
    for (name, default) in DEFAULTS {
        assert_ne!(port(&two, name), port(&one, name), "{name}");
        assert_ne!(port(&two, name), default, "{name} was taken");
    }
    assert!(first.join("lumadb/lock").exists());
    assert!(second.join(".local/share/lumadb/lock").exists());

    for (server, value) in [(&one, "1"), (&two, "2")] {
        server.luma_with(&["produce", "t"], format!("{{\"v\":{value}}}\n").as_bytes()).ok();
        let sql = ["sql", &server.pg_url(), "-o", "csv", "-c", "select v from t"];
        assert_eq!(luma(&sql).ok(), format!("v\n{value}\n"));
        assert_eq!(server.http("/live"), "ok\n");
    }
    assert_eq!(two.end(Signal::INT), 0);
    assert_eq!(one.end(Signal::TERM), 0);
    let again = start(&first, "XDG_DATA_HOME");
    let sql = ["sql", &again.pg_url(), "-o", "csv", "-c", "select v from t"];
    assert_eq!(luma(&sql).ok(), "v\n1\n", "the directory is kept");
}
