//! Consumers outside of groups: tailing readers with long polls, and the final reader.

use std::collections::BTreeMap;

use broker_kafka_wire::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ListOffsetsPartition,
    ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use log_types::{Offset, PartitionId};

use crate::payload::{RecordId, parse};
use crate::rpc::{Context, Lost, Rpc, TOPIC};

const VERSION: i16 = 12;
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// Where a reader stands, per partition.
pub(crate) type Positions = BTreeMap<i32, i64>;

/// Fetches once from every position and moves them on; gives what was read.
pub(crate) async fn fetch(
    context: &Context,
    rpc: &Rpc,
    positions: &mut Positions,
    wait_ms: i32,
) -> Result<Vec<(i32, i64, RecordId)>, Lost> {
    let floors: BTreeMap<i32, i64> = positions
        .keys()
        .map(|partition| (*partition, context.history.watermark_floor(*partition)))
        .collect();
    let wanted = positions.iter().map(|(partition, position)| FetchPartition {
        partition: PartitionId(*partition),
        fetch_offset: Offset(*position),
        partition_max_bytes: 32 << 10,
        ..FetchPartition::default()
    });
    let topic = FetchTopic {
        topic: TOPIC.to_owned(),
        partitions: wanted.collect(),
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 256 << 10,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let id = rpc.correlation_id();
    rpc.send(request.encode(VERSION, id, Some(&context.name))).await?;
    let answer = rpc.answer(|body| FetchResponse::decode(body, VERSION)).await?;
    let mut read = Vec::new();
    for answer in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
        let partition = answer.partition.0;
        let Some(position) = positions.get_mut(&partition) else {
            context.history.violation(format!("wire: partition {partition} was not asked for"));
            continue;
        };
        if answer.error_code == OFFSET_OUT_OF_RANGE {
            let name = &context.name;
            context.history.violation(format!(
                "L6: {name}: position {position} of partition {partition} is out of range, what was read is gone"
            ));
            // Once is enough.
            positions.remove(&partition);
            continue;
        }
        if answer.error_code != 0 {
            continue;
        }
        let watermark = answer.high_watermark.0;
        context.history.watermark(partition, floors[&partition], watermark, &context.name);
        match parse(&answer.records.0.concat()) {
            Ok(records) => {
                context.history.read(partition, *position, watermark, &records, &context.name);
                let fresh = records.into_iter().filter(|(offset, _)| offset >= position);
                let fresh: Vec<_> = fresh.map(|(offset, id)| (partition, offset, id)).collect();
                *position = fresh.last().map_or(*position, |(_, offset, _)| offset + 1);
                read.extend(fresh);
            }
            Err(what) => context.history.violation(format!("L2: partition {partition}: {what}")),
        }
    }
    Ok(read)
}

/// Follows every partition from its start until the scenario stops.
pub(crate) async fn tail(context: Context) {
    let mut positions: Positions =
        (0..context.partitions).map(|partition| (partition, 0)).collect();
    while !context.stopping.get() {
        let rpc = context.connect_to_topic().await;
        while !context.stopping.get() {
            if positions.is_empty() {
                return;
            }
            if fetch(&context, &rpc, &mut positions, 300).await.is_err() {
                break;
            }
        }
    }
}

/// The ends of all partitions.
async fn ends(context: &Context, rpc: &Rpc) -> Result<Option<Positions>, Lost> {
    let wanted = (0..context.partitions).map(|partition| ListOffsetsPartition {
        partition: PartitionId(partition),
        timestamp: -1,
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
    Ok((found.len() as u64 == u64::from(context.partitions.unsigned_abs())).then_some(found))
}

/// Reads everything once, after all else has ended, and hands it to the checker.
pub(crate) async fn read_all(context: Context) {
    loop {
        let rpc = context.connect_to_topic().await;
        let Ok(Some(ends)) = ends(&context, &rpc).await else {
            context.pause(50).await;
            continue;
        };
        if let Ok(logs) = read_up_to(&context, &rpc, &ends).await {
            for (partition, end) in ends {
                context.history.check_final(
                    partition,
                    end,
                    logs.get(&partition).map_or(&[], Vec::as_slice),
                );
            }
            return;
        }
    }
}

type Log = Vec<(i64, RecordId)>;

async fn read_up_to(
    context: &Context,
    rpc: &Rpc,
    ends: &Positions,
) -> Result<BTreeMap<i32, Log>, Lost> {
    let mut logs: BTreeMap<i32, Log> = BTreeMap::new();
    let mut positions: Positions = ends.keys().map(|partition| (*partition, 0)).collect();
    let mut empty = 0;
    loop {
        positions.retain(|partition, position| *position < ends[partition]);
        if positions.is_empty() {
            return Ok(logs);
        }
        let read = fetch(context, rpc, &mut positions, 50).await?;
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
