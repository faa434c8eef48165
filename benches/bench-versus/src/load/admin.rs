//! Topics and offsets, through the command line's own client.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use client_kafka::Client;

/// Creating 10,000 partitions takes a peer several seconds.
const ADMIN_WAIT_MAX: Duration = Duration::from_secs(60);

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

async fn client(addr: SocketAddr) -> anyhow::Result<Client> {
    Ok(Client::connect(&addr.to_string(), "bench-versus", ADMIN_WAIT_MAX).await?)
}

/// Creates a topic and returns when each of its partitions answers.
pub(crate) fn create(
    addr: SocketAddr,
    topic: &str,
    partitions: i32,
    configs: &[(String, String)],
) -> anyhow::Result<()> {
    block_on(async {
        let client = client(addr).await?;
        client.create_topic(topic, partitions, configs).await?;
        // Leaders are elected after the answer; the first look-ups may still be refused.
        let all: Vec<i32> = (0..partitions).collect();
        let mut last = Ok(());
        for _ in 0..600 {
            match client.offsets(topic, &all, -1).await {
                Ok(_) => return Ok(()),
                Err(error) => last = Err(error),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(last?)
    })
    .with_context(|| format!("cannot create topic {topic}"))
}

pub(crate) fn delete(addr: SocketAddr, topic: &str) -> anyhow::Result<()> {
    block_on(async { Ok(client(addr).await?.delete_topic(topic).await?) })
}

/// The end offset of each partition.
pub(crate) fn ends(addr: SocketAddr, topic: &str, partitions: i32) -> anyhow::Result<Vec<i64>> {
    block_on(async {
        let all: Vec<i32> = (0..partitions).collect();
        let mut found = client(addr).await?.offsets(topic, &all, -1).await?;
        found.sort_by_key(|offset| offset.partition);
        Ok(found.iter().map(|offset| offset.offset).collect())
    })
}
