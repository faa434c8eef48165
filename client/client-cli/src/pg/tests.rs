//! Addresses, and sessions against a scripted server.

use std::net::TcpListener;

use super::*;

#[test]
fn urls_have_defaults_for_every_part() {
    let parse =
        |url: &str| Target::parse(url).map(|t| format!("{}@{}/{}", t.user, t.addr, t.database));
    assert_eq!(parse("postgres://"), Ok("luma@127.0.0.1:5432/luma".to_owned()));
    assert_eq!(parse("postgresql://me@db.example:1/x?a=b"), Ok("me@db.example:1/x".to_owned()));
    assert_eq!(parse("postgres://[::1]/x"), Ok("luma@[::1]:5432/x".to_owned()));
    assert!(parse("mysql://x").is_err());
    assert!(parse("postgres://me:secret@x").is_err());
    // It was looked up as a host name, with the port after it.
    let failure = parse("postgres://db:port/x").expect_err("no port");
    assert_eq!((failure.exit, failure.message.contains("is no address")), (Exit::Usage, true));
}

#[test]
fn flags_replace_parts_of_the_url() {
    let with = |url: &str, args: TargetArgs| {
        let target = Target::parse(url).expect("a URL").with(&args);
        format!("{}@{}/{}", target.user, target.addr, target.database)
    };
    let url = "postgres://me@[::1]:9/x";
    assert_eq!(with(url, TargetArgs::default()), "me@[::1]:9/x");
    let port = TargetArgs { port: Some(7), ..TargetArgs::default() };
    assert_eq!(with(url, port), "me@[::1]:7/x");
    let host = |name: &str| TargetArgs { host: Some(name.to_owned()), ..TargetArgs::default() };
    assert_eq!(with(url, host("db.example")), "me@db.example:9/x");
    assert_eq!(with(url, host("fe80::1")), "me@[fe80::1]:9/x");
    let (user, database) = (Some("u".to_owned()), Some("d".to_owned()));
    assert_eq!(with(url, TargetArgs { user, database, ..TargetArgs::default() }), "u@[::1]:9/d");
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = i32::try_from(body.len() + 4).expect("short").to_be_bytes();
    [&[tag][..], &len, body].concat()
}

#[test]
fn an_error_leaves_the_session_usable() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = listener.local_addr().expect("bound").to_string();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut len = [0; 4];
        socket.read_exact(&mut len).expect("start-up");
        let mut rest = vec![0; usize::try_from(u32::from_be_bytes(len)).expect("fits") - 4];
        socket.read_exact(&mut rest).expect("start-up");
        let ready = message(b'Z', b"I");
        let hello =
            [message(b'R', &[0; 4]), message(b'K', &[0, 0, 0, 7, 0, 0, 0, 9]), ready.clone()]
                .concat();
        socket.write_all(&hello).expect("sent");
        let fields = b"VERROR\0C42P01\0Mno table\0P15\0\0";
        for reply in [message(b'E', fields), message(b'C', b"SELECT 0\0")] {
            let mut head = [0; 5];
            socket.read_exact(&mut head).expect("a query");
            let body = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]]))
                .expect("fits")
                - 4;
            socket.read_exact(&mut vec![0; body]).expect("a query");
            socket.write_all(&[reply, ready.clone()].concat()).expect("sent");
        }
    });
    let target = Target { user: "luma".to_owned(), addr, database: "luma".to_owned() };
    let mut session = Session::open(&target).expect("opened");
    assert_eq!((session.cancel_key.process_id, session.cancel_key.secret), (7, 9));
    let mut seen = Vec::new();
    for sql in ["select * from nothing", "select 1"] {
        session
            .query(sql, |event| {
                seen.push(event);
                Ok(())
            })
            .expect("answered");
    }
    assert!(
        matches!(&seen[0], Event::Error(error) if error.sqlstate == "42P01" && error.position == Some(15))
    );
    assert!(matches!(&seen[1], Event::Complete(tag) if tag == "SELECT 0"));
    server.join().expect("no panic");
}

/// The HTTP port's answer was read as a message of 1,414,811,695 bytes.
#[test]
fn another_protocol_is_named() {
    for (answer, said) in
        [(&b"HTTP/1.1 400 Bad Request\r\n"[..], "does not speak"), (b"", "at once")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = listener.local_addr().expect("bound").to_string();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            // All of it, so that the end is no reset.
            let mut len = [0; 4];
            socket.read_exact(&mut len).expect("start-up");
            let mut rest = vec![0; usize::try_from(u32::from_be_bytes(len)).expect("fits") - 4];
            socket.read_exact(&mut rest).expect("start-up");
            socket.write_all(answer).expect("sent");
        });
        let target = Target { user: "luma".to_owned(), addr, database: "luma".to_owned() };
        let failure = Session::open(&target).expect_err("no session");
        assert_eq!((failure.exit, failure.message.contains(said)), (Exit::CannotConnect, true));
        server.join().expect("no panic");
    }
}

/// The Kafka port took the start-up message for a request that goes on, and the command waited for ever.
#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = listener.local_addr().expect("bound").to_string();
    let target = Target { user: "luma".to_owned(), addr, database: "luma".to_owned() };
    let failure = Session::open_within(&target, Duration::from_millis(1)).expect_err("silence");
    assert_eq!((failure.exit, failure.message.contains("says nothing")), (Exit::TimedOut, true));
}
