//! A log in memory: one uncompressed batch per partition.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use log_record::BatchBuilder;
use query_api::{
    BoxFuture, DeclaredTable, Error, ErrorKind, Follow, Ingest, NewTopic, PartitionInfo,
    ReadBatches, Sql as _, SqlSessionOptions, TopicInfo,
};
use query_engine::{Engine, EngineOptions};

pub(crate) struct Log {
    memory: Arc<Memory>,
}

struct Memory {
    topic: TopicInfo,
    batches: Vec<Option<Bytes>>,
}

impl Log {
    /// A topic with the values of each partition.
    pub(crate) fn new(topic: &str, partitions: &[&[&str]]) -> Self {
        let mut infos = Vec::new();
        let mut batches = Vec::new();
        for values in partitions {
            let mut builder = BatchBuilder::new();
            for value in *values {
                builder.push(1000, None, Some(value.as_bytes()), &[]).unwrap();
            }
            infos.push(PartitionInfo { log_start: 0, end: i64::try_from(values.len()).unwrap() });
            batches.push((!values.is_empty()).then(|| builder.build().unwrap()));
        }
        let topic = TopicInfo {
            name: topic.to_owned(),
            id: [1; 16],
            number: 1,
            internal: false,
            partitions: infos,
            declared: Vec::new(),
        };
        Self { memory: Arc::new(Memory { topic, batches }) }
    }

    /// Runs one statement in a new session and compares columns, rows, notices or the error.
    pub(crate) fn check(&self, sql: &str, expected: expect_test::Expect) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        expected.assert_eq(&runtime.block_on(self.run(sql)));
    }

    async fn run(&self, sql: &str) -> String {
        match self.try_run(sql).await {
            Ok(shown) => shown,
            Err(error) => {
                let state = error.sqlstate.unwrap_or("?????");
                let at = error.position.map(|it| format!(" at {it}")).unwrap_or_default();
                format!("{state}{at}: {}\n", error.message)
            }
        }
    }

    async fn try_run(&self, sql: &str) -> Result<String, Error> {
        let follow: Arc<dyn Follow> = Arc::clone(&self.memory) as _;
        let ingest: Arc<dyn Ingest> = Arc::clone(&self.memory) as _;
        let engine = Engine::new(EngineOptions::default(), follow, ingest)?;
        let mut session = engine.open_session(SqlSessionOptions::default());
        let (id, _) = session.prepare(sql, &[]).await?;
        let execution = session.execute(id, Vec::new()).await?;
        let names: Vec<_> = execution.columns.iter().map(|it| it.name.clone()).collect();
        let mut shown = names.join("|") + "\n";
        if let Some(mut rows) = execution.rows {
            while let Some(batch) = rows.next().await {
                for row in batch? {
                    let cells: Vec<_> = row.iter().map(|it| format!("{it:?}")).collect();
                    writeln!(shown, "{}", cells.join("|")).unwrap();
                }
            }
        }
        for notice in (execution.notices)() {
            writeln!(shown, "notice: {notice}").unwrap();
        }
        Ok(shown)
    }
}

fn refused<T>() -> BoxFuture<'static, Result<T, Error>> {
    Box::pin(async { Err(Error::new(ErrorKind::Unsupported, "the test log is read-only")) })
}

impl Follow for Memory {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, Error>> {
        Box::pin(async { Ok(vec![self.topic.clone()]) })
    }

    fn topic(&self, name: &str) -> BoxFuture<'_, Result<Option<TopicInfo>, Error>> {
        let found = (self.topic.name == name).then(|| self.topic.clone());
        Box::pin(async { Ok(found) })
    }

    fn read(
        &self,
        _topic: [u8; 16],
        partition: i32,
        _offset: i64,
        end: i64,
        _max_bytes: usize,
    ) -> BoxFuture<'_, Result<ReadBatches, Error>> {
        let batch = self.batches[usize::try_from(partition).unwrap()].clone();
        Box::pin(async move { Ok(ReadBatches { batches: batch.into_iter().collect(), next: end }) })
    }

    fn offset_for_timestamp(
        &self,
        _topic: [u8; 16],
        _partition: i32,
        timestamp_ms: i64,
    ) -> BoxFuture<'_, Result<Option<i64>, Error>> {
        Box::pin(async move { Ok((timestamp_ms <= 1000).then_some(0)) })
    }

    fn timestamps_ordered(&self, _topic: [u8; 16]) -> bool {
        false
    }
}

impl Ingest for Memory {
    fn create_topic(&self, _topic: NewTopic) -> BoxFuture<'_, Result<(), Error>> {
        refused()
    }

    fn declare_table(&self, _table: DeclaredTable) -> BoxFuture<'_, Result<(), Error>> {
        refused()
    }

    fn drop_table(&self, _name: &str) -> BoxFuture<'_, Result<(), Error>> {
        refused()
    }

    fn append(
        &self,
        _topic: &str,
        _partition: i32,
        _batch: Bytes,
    ) -> BoxFuture<'_, Result<i64, Error>> {
        refused()
    }
}
