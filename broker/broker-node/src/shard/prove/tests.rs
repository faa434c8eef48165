//! A checkpoint that differs from the fold in any part of the state is told apart.

use broker_core::catalog::CatalogRecord;
use broker_core::group::{GroupMetadata, GroupRecord};
use log_journal::EntryKind;
use log_record::{BatchBuilder, BatchHeader};
use log_types::{Offset, ProducerEpoch, ProducerId};

use super::super::fold::{Unlogged, export};
use super::super::kind;
use super::*;

fn head(stream: u64, kind: EntryKind, base: i64, last: i64, len: usize) -> EntryHead {
    EntryHead {
        stream: StreamId(stream),
        kind,
        base_offset: Offset(base),
        last_offset: Offset(last),
        max_timestamp: -1,
        frame_offset: 0,
        len: u32::try_from(len).unwrap(),
    }
}

fn batch(base: i64, sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new().at(Offset(base), LeaderEpoch(1)).producer(
        ProducerId(7),
        ProducerEpoch(0),
        sequence,
    );
    builder.push(1_000, None, Some(b"value"), &[]).unwrap();
    builder.push(1_001, None, Some(b"value"), &[]).unwrap();
    builder.build().unwrap().to_vec()
}

fn metadata(generation: i32) -> GroupRecord {
    let metadata = GroupMetadata {
        generation,
        protocol_type: None,
        protocol_name: None,
        leader: None,
        state_since_ms: 5,
        members: Vec::new(),
    };
    GroupRecord::Metadata { group_id: "g".to_owned(), metadata }
}

/// Two batches, a log start, an ageing step, a group, producer ids; `group` as the group's generation.
fn entries(group: i32) -> Vec<(EntryHead, Vec<u8>)> {
    let step = [60_000i64.to_le_bytes(), 86_400_000i64.to_le_bytes()].concat();
    let ids = CatalogRecord::ProducerIdsReserved { next: 1_000 }.encode();
    let payloads = [
        (16, kind::BATCH, 0, 1, batch(0, 0)),
        (16, kind::BATCH, 2, 3, batch(2, 2)),
        (16, kind::LOG_START, 2, 2, Vec::new()),
        (16, kind::PRODUCERS_AGED, 0, 0, step),
        (0, kind::GROUP, 0, 0, metadata(group).encode()),
        (0, kind::CATALOG, 0, 0, ids),
    ];
    let entry = |(stream, kind, base, last, payload): (u64, EntryKind, i64, i64, Vec<u8>)| {
        (head(stream, kind, base, last, payload.len()), payload)
    };
    payloads.into_iter().map(entry).collect()
}

fn folded(group: i32) -> ShardProof {
    let mut proof = ShardProof::new();
    for (position, (head, payload)) in (1..).zip(entries(group)) {
        proof.entry(Position(position), &head, &payload);
    }
    assert_eq!(proof.fold.failed_at(), None);
    proof
}

fn state(fold: &Fold) -> Vec<u8> {
    export(&fold.partitions, &fold.groups, &fold.catalog, &fold.unlogged)
}

/// The part that differs when `change` is made to the state, if any does.
fn check(change: impl FnOnce(&mut Fold)) -> Option<&'static str> {
    let mut changed = folded(1).fold;
    change(&mut changed);
    let proven = folded(1).prove(Position(9), &state(&changed));
    proven.err().map(|mismatch| mismatch.what)
}

#[test]
fn the_same_state_is_proven_and_every_part_counts() {
    assert_eq!(check(|_| {}), None);
    let stream = "state of the stream of this number against the fold of its entries";
    let partition =
        |fold: &mut Fold| std::mem::take(fold.partitions.get_mut(&StreamId(16)).unwrap());
    assert_eq!(check(|fold| drop(partition(fold))), Some(stream), "an empty stream");
    let changes: [fn(&mut Partition); 3] = [
        |partition| partition.raise_log_start(Offset(3)),
        |partition| partition.age_producers(1, 86_400_000),
        |partition| {
            let header = BatchHeader::parse(&batch(4, 4)).unwrap();
            partition.record_append(&header, Offset(4), LeaderEpoch(1));
        },
    ];
    for change in changes {
        let changed = check(|fold| change(fold.partitions.get_mut(&StreamId(16)).unwrap()));
        assert_eq!(changed, Some(stream));
    }
    let groups = "record of this number of the groups against the fold of their entries";
    assert_eq!(check(|fold| fold.groups.apply(&metadata(2))), Some(groups));
    let catalog = "version of the catalog, or its content, against the fold of its entries";
    let record = CatalogRecord::ProducerIdsReserved { next: 2_000 };
    assert_eq!(check(|fold| fold.catalog.apply(record)), Some(catalog));
    assert_eq!(folded(1).prove(Position(9), &[9]).unwrap_err().what, "checkpoint version");
}

/// With a full disk a group goes on in memory and retention moves log starts: the checkpoint says which of that the
/// journal has not.
#[test]
fn what_was_not_logged_is_folded_on_top() {
    let ahead = |fold: &mut Fold| {
        fold.groups.apply(&metadata(2));
        fold.partitions.get_mut(&StreamId(16)).unwrap().raise_log_start(Offset(4));
    };
    assert!(check(ahead).is_some(), "not listed");
    let listed = |fold: &mut Fold| {
        ahead(fold);
        fold.unlogged.groups.add(vec![metadata(2)]);
        fold.unlogged.log_starts.insert(StreamId(16), Offset(4));
    };
    assert_eq!(check(listed), None);

    // Replay from there meets the same changes once they could be logged.
    let mut from = folded(1).fold;
    listed(&mut from);
    let mut replayed = empty();
    replayed.import(&state(&from)).unwrap();
    assert_eq!(replayed.unlogged, from.unlogged);
    let payload = metadata(2).encode();
    replayed.entry(Position(10), &head(0, kind::GROUP, 0, 0, payload.len()), &payload);
    replayed.entry(Position(11), &head(16, kind::LOG_START, 4, 4, 0), &[]);
    assert_eq!(replayed.unlogged, Unlogged::default(), "nothing is left to be logged");
    let mut whole = folded(2);
    whole.entry(Position(11), &head(16, kind::LOG_START, 4, 4, 0), &[]);
    assert_eq!(whole.prove(Position(11), &state(&replayed)), Ok(()));
}

/// Which streams exist is decided in the meta shard.
#[test]
fn a_stream_may_be_empty_or_deleted_but_not_forgotten() {
    let added = |fold: &mut Fold| drop(fold.partitions.insert(StreamId(20), Partition::default()));
    assert_eq!(check(added), None);
    let mut proof = folded(1);
    let mut changed = folded(1).fold;
    changed.partitions.remove(&StreamId(16));
    assert_eq!(proof.prove(Position(9), &state(&changed)), Ok(()));
    assert_eq!(proof.lost(&Catalog::new()).count(), 0, "deleted");
    let topic = broker_core::catalog::Topic {
        name: "t".to_owned(),
        id: log_types::TopicId([1; 16]),
        number: 1,
        partitions: vec![broker_core::catalog::PartitionPlace {
            stream: StreamId(16),
            shard: log_types::ShardId(0),
        }],
        configs: std::collections::BTreeMap::new(),
    };
    let mut catalog = Catalog::new();
    catalog.apply(CatalogRecord::TopicCreated(topic));
    assert_eq!(proof.lost(&catalog).collect::<Vec<_>>(), [StreamId(16)]);
}

/// The same journal gives the same state, however often and whenever it is replayed: producers expire by logged steps.
#[test]
fn expiry_is_the_same_at_every_replay() {
    let mut day = entries(1);
    let step = [86_400_000i64.to_le_bytes(), 86_400_000i64.to_le_bytes()].concat();
    day.push((head(16, kind::PRODUCERS_AGED, 0, 0, step.len()), step));
    let replay = |entries: &[(EntryHead, Vec<u8>)]| {
        let mut proof = ShardProof::new();
        for (position, (head, payload)) in (1..).zip(entries) {
            proof.entry(Position(position), head, payload);
        }
        proof.fold
    };
    let (before, after) = (replay(&day[..day.len() - 1]), replay(&day));
    let partition = |fold: &Fold| fold.partitions[&StreamId(16)].clone();
    assert!(partition(&before).has_producers());
    assert!(!partition(&after).has_producers());
    assert_eq!(state(&after), state(&replay(&day)));
    // From a checkpoint between the steps the rest of the journal gives the same as all of it.
    let mut half = empty();
    half.import(&state(&before)).unwrap();
    let (head, payload) = day.last().unwrap();
    half.entry(Position(9), head, payload);
    assert_eq!(state(&half), state(&after));
}
