//! `lumadb topic`.

use client_kafka::{Client, Topic};
use serde_json::json;

use crate::args::TopicCommand;
use crate::connect::{block_on, connect, pairs};
use crate::exit::{Exit, Failure};
use crate::format::{Format, Rows, print_all};
use crate::terminal::Terminal;

pub(crate) fn run(
    command: TopicCommand,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    block_on(async {
        match command {
            TopicCommand::List { broker, internal } => {
                let topics = connect(&broker).await?.topics(None).await?;
                let mut rows = Rows::new(&["name", "partitions", "internal"]);
                for topic in topics.into_iter().filter(|topic| internal || !topic.internal) {
                    rows.push(vec![
                        json!(topic.name),
                        json!(topic.partitions.len()),
                        json!(topic.internal),
                    ]);
                }
                rows.print(format, terminal)
            }
            TopicCommand::Create { broker, name, partitions, replication_factor: _, configs } => {
                let configs = pairs("--topic-config", "KEY=VALUE", &configs)?;
                let client = connect(&broker).await?;
                client.create_topic(&name, partitions.unwrap_or(-1), &configs).await?;
                terminal.note(&format!("created topic {name}"));
                Ok(())
            }
            TopicCommand::Describe { broker, name } => {
                let client = connect(&broker).await?;
                describe(&client, &name, format, terminal).await
            }
            TopicCommand::Alter { broker, name, partitions, configs, reset } => {
                let set = pairs("--topic-config", "KEY=VALUE", &configs)?;
                if partitions.is_none() && set.is_empty() && reset.is_empty() {
                    return Err(Failure::usage("nothing to alter")
                        .hint("give --partitions N, --topic-config KEY=VALUE or --reset KEY"));
                }
                let client = connect(&broker).await?;
                if !set.is_empty() || !reset.is_empty() {
                    client.alter_topic(&name, &set, &reset).await?;
                }
                if let Some(count) = partitions {
                    client.create_partitions(&name, count).await?;
                }
                terminal.note(&format!("altered topic {name}"));
                Ok(())
            }
            TopicCommand::Delete { broker, name, yes } => {
                terminal.confirm(yes, &format!("delete topic {name} and its records")).await?;
                connect(&broker).await?.delete_topic(&name).await?;
                terminal.note(&format!("deleted topic {name}"));
                Ok(())
            }
        }
    })
}

/// The topic, or a failure that says it is missing.
pub(crate) async fn existing(client: &Client, name: &str) -> Result<Topic, Failure> {
    let found = client.topics(Some(&[name])).await?.into_iter().next();
    found.ok_or_else(|| Failure::new(Exit::NotFound, format!("topic {name:?} does not exist")))
}

async fn describe(
    client: &Client,
    name: &str,
    format: Format,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let topic = existing(client, name).await?;
    let starts = client.offsets(name, &topic.partitions, -2).await?;
    let ends = client.offsets(name, &topic.partitions, -1).await?;
    let configs = client.topic_configs(name).await?;
    let at = |offsets: &[client_kafka::TimedOffset], partition: i32| {
        offsets.iter().find(|found| found.partition == partition).map(|found| found.offset)
    };
    let mut partitions = Rows::new(&["partition", "start", "end", "records"]);
    for &partition in &topic.partitions {
        let (start, end) = (at(&starts, partition), at(&ends, partition));
        let records = start.zip(end).map(|(start, end)| end.saturating_sub(start));
        partitions.push(vec![json!(partition), json!(start), json!(end), json!(records)]);
    }
    let mut settings = Rows::new(&["config", "value", "source"]);
    for config in configs {
        settings.push(vec![json!(config.name), json!(config.value), json!(config.source)]);
    }
    print_all(&[("partitions", &partitions), ("configs", &settings)], format, terminal)
}
