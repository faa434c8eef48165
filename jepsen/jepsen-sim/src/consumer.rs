//! Consumers outside of groups: tailing readers with long polls, and the final reader.

use std::collections::BTreeMap;

use broker_kafka_wire::{
    FetchPartitionResponse, FetchResponse, ListOffsetsPartition, ListOffsetsRequest,
    ListOffsetsResponse, ListOffsetsTopic,
};
use log_types::PartitionId;

use crate::payload::{RecordId, parse};
use crate::rpc::{Context, Lost, Rpc, TOPIC};
use crate::session::Session;

const VERSION: i16 = 12;
const OFFSET_OUT_OF_RANGE: i16 = 1;
/// What ListOffsets asks for.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Where a reader stands, per partition.
pub(crate) type Positions = BTreeMap<i32, i64>;

/// Fetches once from every position and moves them on; gives what was read.
pub(crate) async fn fetch(
    context: &Context,
    rpc: &Rpc,
    positions: &mut Positions,
    session: &mut Session,
    wait_ms: i32,
) -> Result<Vec<(i32, i64, RecordId)>, Lost> {
    let floors = positions.keys().map(|partition| {
        let history = &context.history;
        (*partition, (history.watermark_floor(*partition), history.start_floor(*partition)))
    });
    let floors: BTreeMap<i32, (i64, i64)> = floors.collect();
    let request = session.request(positions, wait_ms);
    let id = rpc.correlation_id();
    rpc.send(request.encode(VERSION, id, Some(&context.name))).await?;
    let answer = rpc.answer(|body| FetchResponse::decode(body, VERSION)).await?;
    if !session.goes_on(context, &answer) {
        return Ok(Vec::new());
    }
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    for answer in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
        let partition = answer.partition.0;
        let Some(position) = positions.get_mut(&partition) else {
            context.history.violation(format!("wire: partition {partition} was not asked for"));
            continue;
        };
        match answer.error_code {
            0 => {}
            OFFSET_OUT_OF_RANGE => {
                lost.push(partition);
                continue;
            }
            code => {
                context.fetch_refused(partition, code);
                continue;
            }
        }
        match take(context, &answer, position, floors[&partition]) {
            Ok(fresh) => read.extend(fresh),
            Err(what) => {
                context.history.violation(format!("L2: partition {partition}: {what}"));
                // It would be found again for ever.
                positions.remove(&partition);
            }
        }
    }
    for partition in lost {
        skip_deleted(context, rpc, positions, partition).await?;
    }
    Ok(read)
}

/// Checks the answer for a partition and moves the position on. `floors`: high watermark and log start to be found.
fn take(
    context: &Context,
    answer: &FetchPartitionResponse,
    position: &mut i64,
    floors: (i64, i64),
) -> Result<Vec<(i32, i64, RecordId)>, String> {
    let (history, name) = (&context.history, &context.name);
    let (partition, watermark) = (answer.partition.0, answer.high_watermark.0);
    history.log_start(partition, floors.1, answer.log_start_offset.0, name);
    history.watermark(partition, floors.0, watermark, name);
    let records = parse(&answer.records.0.concat())?;
    history.read(partition, *position, watermark, &records, name);
    let fresh = records.into_iter().filter(|(offset, _)| *offset >= *position);
    let fresh: Vec<_> = fresh.map(|(offset, id)| (partition, offset, id)).collect();
    *position = fresh.last().map_or(*position, |(_, offset, _)| offset + 1);
    Ok(fresh)
}

/// A position that is out of range: what was there was deleted, and reading goes on where the log starts now.
async fn skip_deleted(
    context: &Context,
    rpc: &Rpc,
    positions: &mut Positions,
    partition: i32,
) -> Result<(), Lost> {
    let Some(position) = positions.get(&partition).copied() else { return Ok(()) };
    let start = offsets(context, rpc, EARLIEST).await?.and_then(|all| all.get(&partition).copied());
    let Some(start) = start else { return Ok(()) };
    if context.history.may_be_deleted(partition, position) && start > position {
        positions.insert(partition, start);
        return Ok(());
    }
    let name = &context.name;
    context.history.violation(format!(
        "L6: {name}: position {position} of partition {partition} is out of range, what was read is gone"
    ));
    // Once is enough.
    positions.remove(&partition);
    Ok(())
}

/// Follows every partition from its start until the scenario stops.
pub(crate) async fn tail(context: Context, mut session: Session) {
    let mut positions: Positions =
        (0..context.partitions).map(|partition| (partition, 0)).collect();
    while !context.stopping.get() {
        let rpc = context.connect_to_topic().await;
        while !context.stopping.get() {
            if positions.is_empty() {
                return;
            }
            if fetch(&context, &rpc, &mut positions, &mut session, 300).await.is_err() {
                break;
            }
        }
    }
}

/// The first or the last offsets of all partitions.
async fn offsets(context: &Context, rpc: &Rpc, which: i64) -> Result<Option<Positions>, Lost> {
    let floors: Vec<i64> =
        (0..context.partitions).map(|partition| context.history.start_floor(partition)).collect();
    let wanted = (0..context.partitions).map(|partition| ListOffsetsPartition {
        partition: PartitionId(partition),
        timestamp: which,
        ..ListOffsetsPartition::default()
    });
    let topic = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: wanted.collect() };
    let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
    let id = rpc.correlation_id();
    rpc.send(request.encode(7, id, Some(&context.name))).await?;
    let answer = rpc.answer(|body| ListOffsetsResponse::decode(body, 7)).await?;
    let answers = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let found: Positions = answers
        .filter(|answer| answer.error_code == 0)
        .map(|a| (a.partition.0, a.offset.0))
        .collect();
    if which == EARLIEST {
        for ((partition, start), floor) in found.iter().zip(&floors) {
            context.history.log_start(*partition, *floor, *start, &context.name);
        }
    }
    Ok((found.len() as u64 == u64::from(context.partitions.unsigned_abs())).then_some(found))
}

/// Reads everything once, after all else has ended, and hands it to the checker.
pub(crate) async fn read_all(context: Context) {
    loop {
        let rpc = context.connect_to_topic().await;
        let starts = offsets(&context, &rpc, EARLIEST).await;
        let (Ok(Some(starts)), Ok(Some(ends))) = (starts, offsets(&context, &rpc, LATEST).await)
        else {
            context.pause(50).await;
            continue;
        };
        let Ok(logs) = read_up_to(&context, &rpc, &starts, &ends).await else { continue };
        // Retention may have gone on meanwhile, and have taken what was about to be read.
        let Ok(Some(starts)) = offsets(&context, &rpc, EARLIEST).await else { continue };
        for (partition, end) in ends {
            let log = logs.get(&partition).map_or(&[][..], Vec::as_slice);
            let start = starts[&partition];
            let first = log.partition_point(|(offset, _)| *offset < start);
            context.history.check_final(partition, start, end.max(start), &log[first..]);
        }
        return;
    }
}

type Log = Vec<(i64, RecordId)>;

async fn read_up_to(
    context: &Context,
    rpc: &Rpc,
    starts: &Positions,
    ends: &Positions,
) -> Result<BTreeMap<i32, Log>, Lost> {
    let mut logs: BTreeMap<i32, Log> = BTreeMap::new();
    let mut positions = starts.clone();
    let mut empty = 0;
    loop {
        positions.retain(|partition, position| *position < ends[partition]);
        if positions.is_empty() {
            return Ok(logs);
        }
        let read = fetch(context, rpc, &mut positions, &mut Session::none(), 50).await?;
        empty = if read.is_empty() { empty + 1 } else { 0 };
        if empty > 20 {
            context
                .history
                .violation(format!("L1: nothing is returned from {positions:?} below {ends:?}"));
            return Ok(logs);
        }
        for (partition, offset, id) in read {
            logs.entry(partition).or_default().push((offset, id));
        }
    }
}
