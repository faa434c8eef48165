//! What the command line takes and refuses.

use super::{Options, Subject};

fn parse(line: &str) -> anyhow::Result<Options> {
    Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

#[test]
fn subjects() {
    let options = parse("--subjects luma-io_uring-1000us,kafka,luma-epoll,floor").unwrap();
    let luma =
        |reactor: &str, preempt_us| Subject::Luma { reactor: reactor.to_owned(), preempt_us };
    let expect =
        [luma("io_uring", Some(1000)), Subject::Kafka, luma("epoll", None), Subject::Floor];
    assert_eq!(options.subjects, expect);
}

#[test]
fn mistakes_are_named() {
    for (line, says) in [
        ("--rounds", "needs a value"),
        ("--round 3", "unknown option --round"),
        ("--rounds many", "--rounds many"),
        ("--subjects redis", "unknown subject"),
        ("--subjects luma-io_uring-4ms", "time slice"),
        ("--seconds 61", "60 s"),
        ("--log-mib 5000", "10 GB"),
    ] {
        let error = format!("{:#}", parse(line).unwrap_err());
        assert!(error.contains(says), "{line}: {error}");
    }
}
