//! From the first byte to the first ReadyForQuery, and everything that ends there.

use proto_pg::PgOptions;

use crate::client::{Client, query, startup, untagged, with_server};

const SSL: i32 = 80_877_103;
const GSS: i32 = 80_877_104;

fn request(code: i32) -> Vec<u8> {
    untagged(&code.to_be_bytes())
}

#[test]
fn the_first_answers_are_complete_and_in_order() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::raw(&server).await;
        let parameters = [("user", "ada"), ("application_name", "app"), ("DateStyle", "ISO")];
        let answers = client.ask(&startup(3 << 16, &parameters)).await;
        let version = format!("S server_version=15.0 (LumaDB {})", env!("CARGO_PKG_VERSION"));
        let expect = [
            "R 0",
            "S application_name=app",
            "S client_encoding=UTF8",
            "S DateStyle=ISO, MDY",
            "S default_transaction_read_only=off",
            "S in_hot_standby=off",
            "S integer_datetimes=on",
            "S IntervalStyle=postgres",
            // The engine's own value wins.
            "S is_superuser=off",
            "S server_encoding=UTF8",
            &version,
            "S session_authorization=ada",
            "S standard_conforming_strings=on",
            "S TimeZone=UTC",
            "K",
            "Z I",
        ];
        assert_eq!(answers, expect);
    });
}

#[test]
fn newer_minor_versions_and_unknown_options_are_negotiated() {
    with_server(PgOptions::default(), async |server| {
        for version in [(3 << 16) | 2, (3 << 16) | 9999] {
            let mut client = Client::raw(&server).await;
            let answers = client.ask(&startup(version, &[("user", "ada")])).await;
            assert_eq!(answers[..2], ["v 196608 []", "R 0"]);
        }
        let mut client = Client::raw(&server).await;
        let answers = client.ask(&startup(3 << 16, &[("user", "a"), ("_pq_.x", "1")])).await;
        assert_eq!(answers[..2], ["v 196608 [\"_pq_.x\"]", "R 0"]);
    });
}

#[test]
fn encryption_is_refused_once_per_kind() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::raw(&server).await;
        for code in [GSS, SSL] {
            client.send(&request(code)).await;
            assert_eq!(client.byte().await, b'N');
        }
        let answers = client.ask(&startup(3 << 16, &[("user", "ada")])).await;
        assert_eq!(answers.last().unwrap(), "Z I");

        for (code, minor) in [(SSL, 5679), (GSS, 5680)] {
            let mut client = Client::raw(&server).await;
            client.send(&request(code)).await;
            assert_eq!(client.byte().await, b'N');
            client.send(&request(code)).await;
            let text = format!(
                "E FATAL 0A000 unsupported frontend protocol 1234.{minor}: server supports 3.0 to 3.0"
            );
            assert_eq!(client.rest().await, [text]);
        }
    });
}

#[test]
fn bytes_sent_along_with_an_encryption_request_are_refused() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::raw(&server).await;
        let mut bytes = request(SSL);
        bytes.extend(startup(3 << 16, &[("user", "ada")]));
        client.send(&bytes).await;
        assert_eq!(client.byte().await, b'N');
        let answers = client.rest().await;
        assert_eq!(answers.len(), 1);
        let expect = "E FATAL 08P01 received unencrypted data after SSL request [D This could be";
        assert!(answers[0].starts_with(expect), "{answers:?}");
    });
}

#[test]
fn a_database_that_does_not_exist_ends_the_connection() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::raw(&server).await;
        client.send(&startup(3 << 16, &[("user", "ada"), ("database", "nope")])).await;
        assert_eq!(client.rest().await, ["E FATAL 3D000 database \"nope\" does not exist"]);
    });
}

#[test]
fn bad_packets_are_refused() {
    let check = |packet: Vec<u8>, expect: &str| {
        with_server(PgOptions::default(), async |server| {
            let mut client = Client::raw(&server).await;
            client.send(&packet).await;
            assert_eq!(client.rest().await, [expect], "{packet:?}");
        });
    };
    let length = "E FATAL 08P01 invalid length of startup packet";
    for word in [0_u32, 4, 7, 10_005, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        check(word.to_be_bytes().to_vec(), length);
    }
    check(b"GET / HTTP/1.1\r\n\r\n".to_vec(), length);
    check(vec![0x16, 3, 1, 2, 0, 1], length);
    let layout = "E FATAL 08P01 invalid startup packet layout: expected terminator as last byte";
    check(untagged(b"\0\x03\0\0user\0ada\0"), layout);
    check(untagged(b"\0\x03\0\0user\0ada\0\0x"), layout);
    check(untagged(b"\0\x03\0\0user\0"), layout);
    check(untagged(b"\0\x03\0\0"), layout);
    check(
        untagged(b"\0\x03\0\0user\0\xff\0\0"),
        "E FATAL 22021 invalid byte sequence for encoding \"UTF8\" in startup packet",
    );
    check(
        startup(2 << 16, &[]),
        "E FATAL 0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.0",
    );
    let anonymous = "E FATAL 28000 no PostgreSQL user name specified in startup packet";
    check(startup(3 << 16, &[]), anonymous);
    check(
        startup(3 << 16, &[("user", "ada"), ("bad", "1")]),
        "E FATAL 42704 unrecognized configuration parameter \"bad\"",
    );
}

#[test]
fn a_startup_packet_may_be_as_long_as_the_limit() {
    with_server(PgOptions::default(), async |server| {
        // Version, `user\0ada\0`, `pad\0…\0` and the terminator make 10,000 bytes.
        let pad = "x".repeat(10_000 - 4 - 9 - 5 - 1);
        let packet = startup(3 << 16, &[("user", "ada"), ("pad", &pad)]);
        assert_eq!(packet.len(), 10_004);
        let mut client = Client::raw(&server).await;
        assert_eq!(client.ask(&packet).await.last().unwrap(), "Z I");
    });
}

#[test]
fn a_packet_may_come_byte_by_byte_or_stop_anywhere() {
    with_server(PgOptions::default(), async |server| {
        let packet = startup(3 << 16, &[("user", "ada")]);
        let mut client = Client::raw(&server).await;
        for byte in &packet {
            client.send(&[*byte]).await;
        }
        assert_eq!(client.until_ready().await.last().unwrap(), "Z I");
        for len in 0..packet.len() {
            let mut client = Client::raw(&server).await;
            client.send(&packet[..len]).await;
            tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
            assert_eq!(client.rest().await, Vec::<String>::new());
        }
    });
}

#[test]
fn a_silent_client_is_closed_when_startup_takes_too_long() {
    let startup_timeout = std::time::Duration::from_millis(1);
    with_server(PgOptions { startup_timeout, ..PgOptions::default() }, async |server| {
        let mut client = Client::raw(&server).await;
        assert_eq!(client.rest().await, Vec::<String>::new());
    });
}

#[test]
fn an_idle_session_is_ended_when_asked_for() {
    let idle_timeout = Some(std::time::Duration::from_millis(1));
    with_server(PgOptions { idle_timeout, ..PgOptions::default() }, async |server| {
        let mut client = Client::start(&server).await;
        let expect = "E FATAL 57P05 terminating connection due to idle-session timeout";
        assert_eq!(client.rest().await, [expect]);
    });
}

#[test]
fn one_connection_too_many_is_told_so_and_places_come_back() {
    with_server(PgOptions { connections_max: 1, ..PgOptions::default() }, async |server| {
        let mut first = Client::start(&server).await;
        let mut second = Client::raw(&server).await;
        second.send(&startup(3 << 16, &[("user", "ada")])).await;
        assert_eq!(second.rest().await, ["E FATAL 53300 sorry, too many clients already"]);
        first.send(&crate::client::message(b'X', b"")).await;
        assert_eq!(first.rest().await, Vec::<String>::new());
        let mut third = Client::start(&server).await;
        assert_eq!(third.ask(&query("SELECT 1")).await.last().unwrap(), "Z I");
    });
}

#[test]
fn shutdown_ends_idle_and_running_sessions() {
    with_server(PgOptions::default(), async |mut server| {
        let mut idle = Client::start(&server).await;
        let mut running = Client::start(&server).await;
        running.send(&query("forever")).await;
        while server.counters.streams.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        server.stop.take().unwrap().send(()).unwrap();
        let expect = "E FATAL 57P01 terminating connection due to administrator command";
        assert_eq!(idle.rest().await, [expect]);
        assert_eq!(running.rest().await.last().unwrap(), expect);
        drop((idle, running));
        server.served.await.unwrap().unwrap();
    });
}
