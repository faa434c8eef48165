//! A log in memory that writes down which reads were asked and counts the bytes that readers still hold.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use log_record::BatchBuilder;
use log_types::{LeaderEpoch, Offset};
use query_api::{
    BoxFuture, DataType, DeclaredTable, Described, Error, ErrorKind, Execution, Follow, Ingest,
    NewTopic, PartitionInfo, ReadBatches, Sql as _, SqlSession, SqlSessionOptions, TopicInfo,
    Value,
};
use query_engine::{Engine, EngineOptions};

/// Milliseconds of the record at an offset: `BASE_MS + offset`.
pub(crate) const BASE_MS: i64 = 1_700_000_000_000;

pub(crate) struct Log {
    pub(crate) memory: Arc<Memory>,
    pub(crate) options: EngineOptions,
}

#[derive(Default)]
pub(crate) struct Memory {
    topics: Mutex<Vec<Topic>>,
    reads: Mutex<Vec<String>>,
    /// Bytes of batches that were handed out and not dropped yet.
    outstanding: Arc<AtomicUsize>,
    pub(crate) outstanding_max: AtomicUsize,
}

struct Topic {
    info: TopicInfo,
    partitions: Vec<Vec<Batch>>,
    ordered: bool,
    dense: bool,
}

struct Batch {
    base: i64,
    end: i64,
    bytes: Bytes,
}

/// Batch bytes that say when they are dropped.
struct Tracked {
    bytes: Bytes,
    outstanding: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.outstanding.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Log {
    /// A topic with the values of each partition, one batch per partition.
    pub(crate) fn new(topic: &str, partitions: &[&[&str]]) -> Self {
        let log = Self { memory: Arc::default(), options: EngineOptions::default() };
        log.memory.add_topic(topic, partitions.len().max(1));
        for (partition, values) in partitions.iter().enumerate() {
            if !values.is_empty() {
                log.memory.push(topic, partition, values.iter().map(|it| (*it).to_owned()));
            }
        }
        log
    }

    /// One partition of `batches` batches with `records` records each; `{"id": offset, "pad": …}`.
    pub(crate) fn long(topic: &str, batches: i64, records: i64, pad: usize) -> Self {
        let log = Self::new(topic, &[&[]]);
        let pad = "x".repeat(pad);
        for batch in 0..batches {
            let ids = batch * records..(batch + 1) * records;
            let values = ids.map(|id| format!(r#"{{"id":{id},"pad":"{pad}"}}"#));
            log.memory.push(topic, 0, values);
        }
        log
    }

    pub(crate) fn session(&self) -> (Arc<Engine>, Box<dyn SqlSession>) {
        let follow: Arc<dyn Follow> = Arc::clone(&self.memory) as _;
        let ingest: Arc<dyn Ingest> = Arc::clone(&self.memory) as _;
        let engine = Engine::new(self.options.clone(), follow, ingest).unwrap();
        let options = SqlSessionOptions {
            user: "luma".into(),
            database: "luma".into(),
            ..Default::default()
        };
        let session = engine.open_session(options);
        (engine, session)
    }

    /// Runs one statement in a new session and compares columns, rows, notices or the error.
    pub(crate) fn check(&self, sql: &str, expected: expect_test::Expect) {
        expected.assert_eq(&self.show(sql));
    }

    pub(crate) fn show(&self, sql: &str) -> String {
        let (_engine, mut session) = self.session();
        block_on(async { shown(run(session.as_mut(), sql, Vec::new()).await) })
    }

    /// The reads since the last call, one per line: `topic/partition [offset, end)`.
    pub(crate) fn reads(&self) -> String {
        std::mem::take(&mut *self.memory.reads.lock().unwrap()).join("\n")
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

pub(crate) async fn start(
    session: &mut dyn SqlSession,
    sql: &str,
    values: Vec<Value>,
) -> Result<(Described, Execution), Error> {
    let hints = vec![DataType::Unknown; values.len()];
    let (id, described) = session.prepare(sql, &hints).await?;
    Ok((described, session.execute(id, values).await?))
}

pub(crate) async fn run(
    session: &mut dyn SqlSession,
    sql: &str,
    values: Vec<Value>,
) -> Result<String, Error> {
    let (_, execution) = start(session, sql, values).await?;
    let names: Vec<_> = execution.columns.iter().map(|it| it.name.clone()).collect();
    let mut shown = names.join("|") + "\n";
    match execution.rows {
        Some(mut rows) => {
            while let Some(batch) = rows.next().await {
                for row in batch? {
                    let cells: Vec<_> = row.iter().map(cell).collect();
                    writeln!(shown, "{}", cells.join("|")).unwrap();
                }
            }
        }
        None => shown = format!("{}\n", execution.tag),
    }
    for notice in (execution.notices)() {
        writeln!(shown, "notice: {notice}").unwrap();
    }
    Ok(shown)
}

pub(crate) fn shown(result: Result<String, Error>) -> String {
    result.unwrap_or_else(|error| {
        let state = error.sqlstate.unwrap_or("?????");
        let at = error.position.map(|it| format!(" at {it}")).unwrap_or_default();
        let hint = error.hint.map(|it| format!("hint: {it}\n")).unwrap_or_default();
        format!("{state}{at}: {}\n{hint}", error.message)
    })
}

fn cell(value: &Value) -> String {
    match value {
        Value::Text(it) | Value::Json(it) => it.clone(),
        Value::Reg { name, .. } => name.clone(),
        Value::Null => "NULL".to_owned(),
        other => format!("{other:?}"),
    }
}

impl Memory {
    pub(crate) fn add_topic(&self, name: &str, partitions: usize) {
        let mut topics = self.topics.lock().unwrap();
        let number = u64::try_from(topics.len() + 1).unwrap();
        let info = TopicInfo {
            name: name.to_owned(),
            id: [u8::try_from(number).unwrap(); 16],
            number,
            internal: false,
            partitions: vec![PartitionInfo { log_start: 0, end: 0 }; partitions],
            declared: Vec::new(),
        };
        let partitions = (0..partitions).map(|_| Vec::new()).collect();
        topics.push(Topic { info, partitions, ordered: false, dense: true });
    }

    /// Moves the start of a partition; its batches stay, as whole ones do in the log.
    pub(crate) fn delete_records(&self, name: &str, partition: usize, before: i64) {
        let mut topics = self.topics.lock().unwrap();
        let topic = topics.iter_mut().find(|it| it.info.name == name).unwrap();
        topic.info.partitions[partition].log_start = before;
    }

    pub(crate) fn remove_topic(&self, name: &str) {
        self.topics.lock().unwrap().retain(|it| it.info.name != name);
    }

    /// Says that timestamps are the log's own.
    pub(crate) fn set_ordered(&self) {
        self.topics.lock().unwrap()[0].ordered = true;
    }

    pub(crate) fn push(&self, name: &str, partition: usize, values: impl Iterator<Item = String>) {
        let base = self
            .topics
            .lock()
            .unwrap()
            .iter()
            .find(|it| it.info.name == name)
            .unwrap()
            .info
            .partitions[partition]
            .end;
        let mut builder = BatchBuilder::new().at(Offset(base), LeaderEpoch(0));
        let mut end = base;
        for value in values {
            builder.push(BASE_MS + end, None, Some(value.as_bytes()), &[]).unwrap();
            end += 1;
        }
        self.add_batch(name, partition, end, builder.build().unwrap());
    }

    /// Offsets without records at the end of a partition.
    pub(crate) fn leave_out(&self, name: &str, partition: usize, count: i64) {
        let mut topics = self.topics.lock().unwrap();
        let topic = topics.iter_mut().find(|it| it.info.name == name).unwrap();
        topic.info.partitions[partition].end += count;
        topic.dense = false;
    }

    /// A batch that says it holds `count` records, of which the first can be read and no other.
    pub(crate) fn push_unreadable(&self, name: &str, partition: usize, count: i64) {
        let topics = self.topics.lock().unwrap();
        let topic = topics.iter().find(|it| it.info.name == name).unwrap();
        let base = topic.info.partitions[partition].end;
        drop(topics);
        let mut builder = BatchBuilder::new().at(Offset(base), LeaderEpoch(0));
        for at in 0..count {
            let value = if at == 0 { r#"{"id":1}"# } else { "" };
            builder.push(BASE_MS + base + at, None, Some(value.as_bytes()), &[]).unwrap();
        }
        let mut batch = builder.build().unwrap().to_vec();
        // The second record's length.
        let second = log_record::BATCH_HEADER_BYTES
            + 1
            + usize::from(batch[log_record::BATCH_HEADER_BYTES] / 2);
        batch[second] = 1;
        self.add_batch(name, partition, base + count, batch.into());
    }

    fn add_batch(&self, name: &str, partition: usize, end: i64, bytes: Bytes) -> i64 {
        let mut topics = self.topics.lock().unwrap();
        let topic = topics.iter_mut().find(|it| it.info.name == name).unwrap();
        let base = std::mem::replace(&mut topic.info.partitions[partition].end, end);
        topic.partitions[partition].push(Batch { base, end, bytes });
        base
    }

    fn hand_out(&self, bytes: &Bytes) -> Bytes {
        let now = self.outstanding.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        self.outstanding_max.fetch_max(now, Ordering::Relaxed);
        Bytes::from_owner(Tracked {
            bytes: bytes.clone(),
            outstanding: Arc::clone(&self.outstanding),
        })
    }

    fn read_now(
        &self,
        topic: [u8; 16],
        partition: usize,
        offset: i64,
        end: i64,
        max_bytes: usize,
    ) -> Result<ReadBatches, Error> {
        let topics = self.topics.lock().unwrap();
        let Some(topic) = topics.iter().find(|it| it.info.id == topic) else {
            let message = format!("partition {partition} of the topic does not exist any more");
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let line = format!("{}/{partition} [{offset}, {end})", topic.info.name);
        self.reads.lock().unwrap().push(line);
        let mut read = ReadBatches { batches: Vec::new(), next: offset };
        let mut size = 0;
        for batch in &topic.partitions[partition] {
            if batch.end <= offset || batch.base >= end || (size > 0 && size >= max_bytes) {
                continue;
            }
            size += batch.bytes.len();
            read.next = batch.end.min(end);
            read.batches.push(self.hand_out(&batch.bytes));
        }
        // Past offsets without records.
        if read.batches.is_empty() {
            read.next = end;
        }
        Ok(read)
    }
}

fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(async move { value })
}

impl Follow for Memory {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, Error>> {
        ready(Ok(self.topics.lock().unwrap().iter().map(|it| it.info.clone()).collect()))
    }

    fn topic(&self, name: &str) -> BoxFuture<'_, Result<Option<TopicInfo>, Error>> {
        let topics = self.topics.lock().unwrap();
        ready(Ok(topics.iter().find(|it| it.info.name == name).map(|it| it.info.clone())))
    }

    fn read(
        &self,
        topic: [u8; 16],
        partition: i32,
        offset: i64,
        end: i64,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<ReadBatches, Error>> {
        let partition = usize::try_from(partition).unwrap();
        Box::pin(async move { self.read_now(topic, partition, offset, end, max_bytes) })
    }

    fn offset_for_timestamp(
        &self,
        topic: [u8; 16],
        partition: i32,
        timestamp_ms: i64,
    ) -> BoxFuture<'_, Result<Option<i64>, Error>> {
        let topics = self.topics.lock().unwrap();
        let topic = topics.iter().find(|it| it.info.id == topic).unwrap();
        let range = topic.info.partitions[usize::try_from(partition).unwrap()];
        let offset = (timestamp_ms - BASE_MS).max(range.log_start);
        ready(Ok((offset < range.end).then_some(offset)))
    }

    fn timestamps_ordered(&self, topic: [u8; 16]) -> bool {
        self.topics.lock().unwrap().iter().any(|it| it.info.id == topic && it.ordered)
    }

    fn offsets_dense(&self, topic: [u8; 16]) -> bool {
        self.topics.lock().unwrap().iter().any(|it| it.info.id == topic && it.dense)
    }
}

impl Ingest for Memory {
    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, Result<(), Error>> {
        self.add_topic(&topic.name, usize::try_from(topic.partitions.unwrap_or(1)).unwrap());
        ready(Ok(()))
    }

    fn declare_table(&self, mut table: DeclaredTable) -> BoxFuture<'_, Result<(), Error>> {
        let mut topics = self.topics.lock().unwrap();
        table.number = 1000;
        let topic = topics.iter_mut().find(|it| it.info.name == table.topic).unwrap();
        topic.info.declared.push(Arc::new(table));
        ready(Ok(()))
    }

    fn drop_table(&self, name: &str) -> BoxFuture<'_, Result<(), Error>> {
        for topic in self.topics.lock().unwrap().iter_mut() {
            topic.info.declared.retain(|it| it.name != name);
        }
        ready(Ok(()))
    }

    fn append(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> BoxFuture<'_, Result<i64, Error>> {
        let Ok(header) = log_record::BatchHeader::parse(&batch) else {
            return ready(Err(Error::new(ErrorKind::Invalid, "the batch is broken")));
        };
        let partition = usize::try_from(partition).unwrap();
        // The log assigns the base offset, which the batch's checksum does not cover.
        let topics = self.topics.lock().unwrap();
        let base =
            topics.iter().find(|it| it.info.name == topic).unwrap().info.partitions[partition].end;
        drop(topics);
        let mut bytes = batch.to_vec();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        let end = base + i64::from(header.records_count);
        ready(Ok(self.add_batch(topic, partition, end, bytes.into())))
    }
}
