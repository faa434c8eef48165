//! What the command line takes and refuses.

use super::{Options, Subject};

fn parse(line: &str) -> anyhow::Result<Options> {
    Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

#[test]
fn subjects() {
    let options = parse("--subjects luma-io_uring,kafka,luma-epoll,floor").unwrap();
    let luma = |reactor: &str| Subject::Luma { reactor: reactor.to_owned() };
    let expect = [luma("io_uring"), Subject::Kafka, luma("epoll"), Subject::Floor];
    assert_eq!(options.subjects, expect);
}

#[test]
fn mistakes_are_named() {
    for (line, says) in [
        ("--rounds", "needs a value"),
        ("--round 3", "unknown option --round"),
        ("--rounds many", "--rounds many"),
        ("--subjects redis", "unknown subject"),
        ("--seconds 61", "60 s"),
        ("--log-mib 13000", "disk"),
    ] {
        let error = format!("{:#}", parse(line).unwrap_err());
        assert!(error.contains(says), "{line}: {error}");
    }
}
