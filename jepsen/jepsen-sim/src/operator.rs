//! An operator: deletes records now and then.

use broker_kafka_wire::ApiKey;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::{DeleteRecordsRequest, RequestKind, ResponseKind, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::random::{between, index, one_in};
use crate::rpc::{Context, Lost, Rpc, TOPIC};

/// DeleteRecords: everything up to the high watermark.
const HIGH_WATERMARK: i64 = -1;
const STORAGE_ERROR: i16 = 56;

/// Deletes until the scenario drains. `unlogged`: the checker is not told what was asked for, a seeded bug.
pub(crate) async fn operate(context: Context, unlogged: bool) {
    while !context.draining.get() {
        let rpc = context.connect_to_topic().await;
        while !context.draining.get() {
            context.pause(between(&context.world.random.workload, 10, 150)).await;
            if delete_some(&context, &rpc, unlogged).await.is_err() {
                break;
            }
        }
    }
}

async fn delete_some(context: &Context, rpc: &Rpc, unlogged: bool) -> Result<(), Lost> {
    let (history, rng) = (&context.history, &context.world.random.workload);
    let partitions = usize::try_from(context.partitions).expect("a few partitions");
    let partition = i32::try_from(index(rng, partitions)).expect("a few partitions");
    let end = history.acked_end(partition);
    let offset = if one_in(rng, 10) {
        HIGH_WATERMARK
    } else {
        let below = rng.below(end.unsigned_abs() + 1);
        i64::try_from(below).expect("below an offset")
    };
    if !unlogged {
        history.deleting(partition, if offset == HIGH_WATERMARK { i64::MAX } else { offset });
    }
    let wanted = DeleteRecordsPartition::default().with_partition_index(partition);
    let topic = DeleteRecordsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
        .with_partitions(vec![wanted.with_offset(offset)]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    let answer = rpc.call(ApiKey::DeleteRecords, 2, RequestKind::DeleteRecords(request)).await?;
    let ResponseKind::DeleteRecords(answer) = answer else { return Err(Lost) };
    for result in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        match result.error_code {
            0 => {
                let name = &context.name;
                if result.low_watermark < offset {
                    history.violation(format!(
                        "L8: {name}: everything below {offset} was deleted and {} is left",
                        result.low_watermark
                    ));
                }
                history.deleted(partition, result.low_watermark);
            }
            STORAGE_ERROR => {}
            code => history.violation(format!(
                "V: error {code} on the deletion of what is below {offset} of partition {partition}"
            )),
        }
    }
    Ok(())
}
