//! `COPY … TO STDOUT`: the messages, escapes and quotes, in both protocols.

use proto_pg::PgOptions;

use crate::client::{Client, bind, describe, execute, parse, query, sync, with_server};

const TEXT: [&str; 7] = [
    "H 0 0 0",
    r"d a\\tb\\\\\\n\t1\n",
    r#"d x,\"y\"\t\\N\n"#,
    r"d \t-1\n",
    r"d \\N\t0\n",
    "c",
    "C COPY 4",
];

#[test]
fn text_lines() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let answers = client.ask(&query("copy text")).await;
        assert_eq!(answers, [&TEXT[..], &["Z I"]].concat());
    });
}

#[test]
fn csv_lines_with_a_header() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let answers = client.ask(&query("copy csv; SELECT 1")).await;
        assert_eq!(
            answers[..8],
            [
                "H 0 0 0",
                r#"d a,\"b,\"\n"#,
                r#"d \"a\tb\\\n\",1\n"#,
                r#"d \"x,\"\"y\"\"\",\n"#,
                r#"d \"\",-1\n"#,
                r"d ,0\n",
                "c",
                "C COPY 4",
            ]
        );
        assert_eq!(answers.last().unwrap(), "Z I");
    });
}

#[test]
fn the_extended_protocol_describes_no_rows_and_copies() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let messages = [
            parse("", "copy text", &[]),
            bind("", "", &[], &[], &[]),
            describe(b'P', ""),
            // A row limit is not for COPY.
            execute("", 1),
            sync(),
        ];
        let answers = client.ask(&messages.concat()).await;
        assert_eq!(answers, [&["1", "2", "n"], &TEXT[..], &["Z I"]].concat());
    });
}

#[test]
fn describe_finds_sql_cursors_among_the_portals() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let answers = client.ask(&[describe(b'P', "sql cursor"), sync()].concat()).await;
        assert_eq!(answers, ["T n:20:8:-1:0", "Z I"]);
        let answers = client.ask(&[describe(b'P', "other"), sync()].concat()).await;
        assert_eq!(answers, ["E ERROR 34000 portal \"other\" does not exist", "Z I"]);
    });
}
