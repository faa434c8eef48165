//! Locks, ports, the ready file and the default directory.

use super::*;

#[test]
fn a_locked_directory_names_its_owner_and_is_free_afterwards() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let lock = lock_data_dir(&dir.path().join("new")).expect("free");
    let failure = lock_data_dir(&dir.path().join("new")).expect_err("taken");
    assert_eq!(failure.exit, Exit::Conflict);
    assert!(
        failure.message.ends_with(&format!("in use by pid {}", std::process::id())),
        "{failure}"
    );
    drop(lock);
    lock_data_dir(&dir.path().join("new")).expect("free again");
}

/// It said "File exists".
#[test]
fn a_file_is_no_data_directory() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let failure = lock_data_dir(file.path()).expect_err("a file");
    assert_eq!(failure.exit, Exit::Failed);
    assert!(failure.message.ends_with(": not a directory"), "{failure}");
}

/// `kill -9` left a demo's directory for good.
#[test]
fn what_killed_demos_left_is_removed_and_nothing_else() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| parent.path().join(name);
    let server = |name: &str| lock_data_dir(&path(name)).expect("free");
    let demo = |name: &str| {
        let lock = server(name);
        mark_demo(&path(name)).expect("marked");
        lock
    };
    drop((demo("lumadb-demo-killed"), demo("lumadb-demo-killed/shard-0"), demo("other")));
    drop((server("lumadb-demo-of-a-server"), server("lumadb-demo-copied")));
    let (mark, copied) = ("lumadb-demo-killed/.demo", "lumadb-demo-copied/.demo");
    std::fs::copy(path(mark), path(copied)).expect("copied");
    let running = demo("lumadb-demo-running");
    std::fs::create_dir(path("lumadb-demo-begins")).expect("created");
    File::create(path("lumadb-demo-begins/lock")).expect("created");
    std::fs::create_dir(path("lumadb-demo-no-lock")).expect("created");
    File::create(path("lumadb-demo-file")).expect("created");
    std::os::unix::fs::symlink(path("other"), path("lumadb-demo-link")).expect("linked");

    let said = remove_left_demos(parent.path());
    let killed = path("lumadb-demo-killed");
    assert_eq!(said, [format!("removed {}, which a killed demo left", killed.display())]);
    let mut left: Vec<_> = std::fs::read_dir(parent.path())
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    left.sort();
    let demos = ["begins", "copied", "file", "link", "no-lock", "of-a-server", "running"];
    assert_eq!(
        left,
        [&demos.map(|name| format!("lumadb-demo-{name}"))[..], &["other".to_owned()]].concat()
    );
    assert!(path("other/lock").exists());

    drop(running);
    assert_eq!(remove_left_demos(parent.path()).len(), 1);
    assert_eq!(remove_left_demos(&path("nowhere")), [""; 0]);
}

#[test]
fn a_busy_port_moves_only_when_nobody_chose_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = taken.local_addr().expect("bound");
    let failed = bind_listener("pg.addr", addr, true).expect_err("chosen and busy");
    let failure = Failure::from(failed);
    assert_eq!(failure.exit, Exit::Usage);
    let owner =
        format!("(pg.addr): port {} is in use by pid {} (", addr.port(), std::process::id());
    assert!(failure.message.contains(&owner), "{failure}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("--pg ADDR")));
    let (moved, elsewhere) = bind_listener("pg.addr", addr, false).expect("another port is free");
    assert!(elsewhere);
    assert!(moved.local_addr().expect("bound").port() > addr.port());
}

#[test]
fn the_ready_file_is_whole_and_leaves_no_other() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("ready.json");
    let addr = |text: &str| text.parse().expect("an address");
    write_ready_file(&path, &[("kafka", addr("127.0.0.1:1")), ("pg", addr("[::1]:2"))])
        .expect("writable");
    let text = std::fs::read_to_string(&path).expect("written");
    assert_eq!(text, "{\"kafka\":\"127.0.0.1:1\",\"pg\":\"[::1]:2\"}\n");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
    assert!(write_ready_file(&dir.path().join("no/such"), &[]).is_err());
}

#[test]
fn the_service_manager_is_told_on_both_kinds_of_sockets() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let path = path.to_str().expect("text");
    // Nobody else has this directory's name.
    let name = format!("luma-test-{path}");
    let address = UnixAddr::from_abstract_name(&name).expect("short");
    for (listening, named) in [
        (UnixDatagram::bind(path), path.to_owned()),
        (UnixDatagram::bind_addr(&address), format!("@{name}")),
    ] {
        let listening = listening.expect("free");
        notify_ready(&named).expect("told");
        let mut said = [0; 64];
        let length = listening.recv(&mut said).expect("sent");
        assert_eq!(&said[..length], b"READY=1\n", "{named}");
    }
    let failure = notify_ready(&format!("{path}-gone")).expect_err("nobody listens");
    assert!(failure.message.contains("-gone that clients are served"), "{failure}");
}

#[test]
fn the_default_directory_follows_the_environment() {
    let find = |vars: &'static [(&str, &str)]| {
        let env = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        default_data_dir(env).map(|dir| dir.to_string_lossy().into_owned())
    };
    assert_eq!(find(&[("STATE_DIRECTORY", "/a:/b"), ("HOME", "/h")]), Ok("/a".to_owned()));
    assert_eq!(find(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Ok("/x/lumadb".to_owned()));
    assert_eq!(
        find(&[("HOME", "/h"), ("XDG_DATA_HOME", "")]),
        Ok("/h/.local/share/lumadb".to_owned())
    );
    assert_eq!(find(&[]).expect_err("nothing set").exit, Exit::Usage);
}
