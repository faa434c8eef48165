//! `lumadb group`.

use std::collections::BTreeMap;

use client_kafka::{Client, Committed};
use serde_json::json;

use crate::args::GroupCommand;
use crate::connect::{block_on, connect, now_ms};
use crate::consume::{note_missing, ranges};
use crate::exit::{Exit, Failure};
use crate::format::{Format, Rows, print_all};
use crate::offsets::{Position, parse};
use crate::terminal::Terminal;
use crate::topic;

pub(crate) fn run(
    command: GroupCommand,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    block_on(async {
        match command {
            GroupCommand::List { broker } => {
                let mut rows = Rows::new(&["group", "state", "protocol_type"]);
                for group in connect(&broker).await?.groups().await? {
                    rows.push(vec![
                        json!(group.id),
                        json!(group.state),
                        json!(group.protocol_type),
                    ]);
                }
                rows.print(format, terminal)
            }
            GroupCommand::Describe { broker, group } => {
                let client = connect(&broker).await?;
                describe(&client, &group, format, terminal).await
            }
            GroupCommand::Seek { broker, group, topic, to, yes } => {
                let position = parse(&to, now_ms()).map_err(Failure::usage)?;
                if matches!(position, Position::Range(..)) {
                    return Err(Failure::usage("a group cannot be moved to a range"));
                }
                let question = format!("move group {group} on {topic} to {to}");
                if !terminal.stdin_is_tty {
                    // Nobody can answer: no reason to ask the server first.
                    terminal.confirm(yes, &question).await?;
                }
                let client = connect(&broker).await?;
                let partitions = topic::existing(&client, &topic).await?.partitions;
                let exists = movable(&client, &group).await?;
                let question = if exists {
                    question
                } else {
                    format!("create group {group}, which does not exist, at {to} of {topic}")
                };
                terminal.confirm(yes, &question).await?;
                let target = Target { topic: &topic, partitions: &partitions, position };
                seek(&client, &group, &target, format, terminal).await?;
                if !exists {
                    terminal.note(&format!("group {group:?} did not exist: it was created"));
                }
                Ok(())
            }
        }
    })
}

async fn describe(
    client: &Client,
    group: &str,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let detail = client.describe_group(group).await?;
    let committed = client.committed(group).await?;
    if detail.state == "Dead" && committed.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("group {group:?} does not exist")));
    }
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for commit in &committed {
        by_topic.entry(&commit.topic).or_default().push(commit.partition);
    }
    let mut ends = BTreeMap::new();
    for (topic, partitions) in by_topic {
        for end in client.offsets(topic, &partitions, -1).await? {
            ends.insert((topic.to_owned(), end.partition), end.offset);
        }
    }
    let mut members = Rows::new(&["state", "protocol", "member", "client_id", "host"]);
    for member in &detail.members {
        let (id, client_id, host) = (json!(member.id), json!(member.client_id), json!(member.host));
        members.push(vec![json!(detail.state), json!(detail.protocol), id, client_id, host]);
    }
    if detail.members.is_empty() {
        members.push(vec![
            json!(detail.state),
            json!(detail.protocol),
            json!(null),
            json!(null),
            json!(null),
        ]);
    }
    let mut offsets = Rows::new(&["topic", "partition", "committed", "end", "lag"]);
    for commit in committed {
        let end = ends.get(&(commit.topic.clone(), commit.partition)).copied();
        let lag = end.map(|end| end.saturating_sub(commit.offset));
        offsets.push(vec![
            json!(commit.topic),
            json!(commit.partition),
            json!(commit.offset),
            json!(end),
            json!(lag),
        ]);
    }
    print_all(&[("members", &members), ("offsets", &offsets)], format, terminal)
}

/// Whether the group exists.
///
/// # Errors
/// `Conflict` when it has members, which hold its offsets.
async fn movable(client: &Client, group: &str) -> Result<bool, Failure> {
    let detail = client.describe_group(group).await?;
    match detail.members.len() {
        0 => Ok(detail.state != "Dead" || !client.committed(group).await?.is_empty()),
        count => {
            let message = format!("group {group:?} is {}: it has {count} members", detail.state);
            Err(Failure::new(Exit::Conflict, message)
                .hint("a group can be moved when its consumers have stopped"))
        }
    }
}

/// Where a group is moved to.
struct Target<'a> {
    topic: &'a str,
    partitions: &'a [i32],
    position: Position,
}

async fn seek(
    client: &Client,
    group: &str,
    target: &Target<'_>,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let Target { topic: name, partitions, position } = *target;
    let targets = ranges(client, name, partitions, position).await?;
    let commits: Vec<Committed> = targets
        .iter()
        .map(|(&partition, &(offset, _))| Committed { topic: name.to_owned(), partition, offset })
        .collect();
    client.commit(group, &commits).await?;
    if let Position::At(wanted) = position {
        note_missing(name, wanted, &targets, terminal);
    }
    let mut rows = Rows::new(&["topic", "partition", "committed"]);
    for commit in commits {
        rows.push(vec![json!(commit.topic), json!(commit.partition), json!(commit.offset)]);
    }
    rows.print(format, terminal)
}
