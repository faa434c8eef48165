//! Golden bytes: `log/FORMAT.md` "Entries of the owner" and "The owner's state" say the same as the code.

use broker_core::catalog::CatalogRecord;
use broker_core::group::{GroupConfig, GroupRecord};
use log_journal::EntryKind;
use log_record::{BatchBuilder, BatchHeader};
use log_types::{PartitionId, ProducerEpoch, ProducerId};

use super::*;

fn head(kind: EntryKind, stream: u64, base: i64, last: i64) -> EntryHead {
    EntryHead {
        stream: StreamId(stream),
        kind,
        base_offset: Offset(base),
        last_offset: Offset(last),
        max_timestamp: -1,
        frame_offset: 0,
        len: 0,
    }
}

fn fold(entries: &[(EntryHead, &[u8])]) -> Fold {
    let mut fold = Fold::new(LeaderEpoch(3), GroupConfig::default());
    for (position, (head, payload)) in (1..).zip(entries) {
        fold.entry(Position(position), head, payload);
    }
    fold.finish().expect("every entry decodes");
    fold
}

fn batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new().at(Offset(4), LeaderEpoch(3)).producer(
        ProducerId(7),
        ProducerEpoch(2),
        9,
    );
    builder.push(1_000, None, Some(b"v"), &[]).expect("fits");
    builder.push(1_001, None, Some(b"v"), &[]).expect("fits");
    builder.build().expect("fits").to_vec()
}

fn deleted_offset() -> GroupRecord {
    let (group_id, topic) = ("g".to_owned(), "t".to_owned());
    GroupRecord::OffsetDeleted { group_id, topic, partition: PartitionId(2) }
}

/// The numbers of the kinds, and where each entry's content stands.
#[test]
fn entries_of_every_kind() {
    let batch = batch();
    let header = BatchHeader::parse(&batch).expect("a batch");
    assert_eq!(header.next_offset(), Offset(6));
    let ids = CatalogRecord::ProducerIdsReserved { next: 5 }.encode();
    let aged = [1_000i64, 500].map(i64::to_le_bytes).concat();
    let group = deleted_offset().encode();
    let mut entries: Vec<(EntryHead, &[u8])> = vec![
        (head(EntryKind(0), 16, 4, 5), &batch),
        (head(EntryKind(1), 16, 5, 5), &[]),
        (head(EntryKind(2), 0, 0, 0), &group),
        (head(EntryKind(3), 0, 0, 0), &ids),
    ];
    let before = fold(&entries);
    let partition = &before.partitions[&StreamId(16)];
    assert_eq!((partition.log_start(), partition.end()), (Offset(5), Offset(6)));
    assert_eq!(before.catalog.version, 1);
    // The first step after a batch only begins to count.
    entries.extend([(head(EntryKind(4), 16, 0, 0), &aged[..]); 2]);
    assert!(partition.has_producers());
    assert!(
        !fold(&entries).partitions[&StreamId(16)].has_producers(),
        "silent for 1,000 of 500 ms"
    );
    let mut unknown = Fold::new(LeaderEpoch(3), GroupConfig::default());
    unknown.entry(Position(1), &head(EntryKind(5), 0, 0, 0), &[]);
    assert!(unknown.finish().is_err(), "a newer version wrote it");
}

#[test]
fn checkpoint_state() {
    let batch = batch();
    let mut fold =
        fold(&[(head(EntryKind(0), 16, 4, 5), &batch), (head(EntryKind(1), 16, 5, 5), &[])]);
    fold.unlogged.groups.add(vec![deleted_offset()]);
    fold.unlogged.log_starts.insert(StreamId(16), Offset(6));
    let bytes = export(&fold.partitions, &fold.groups, &fold.catalog, &fold.unlogged);

    let mut expected = vec![2, 1, 0, 0, 0];
    expected.extend(16u64.to_le_bytes());
    // Log start, end, largest timestamp, and the batch that holds it.
    expected.extend([5i64, 6, 1_001, 4].map(i64::to_le_bytes).concat());
    // One epoch, which now begins at the log start.
    expected.extend([1, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    // One producer: id, epoch, last timestamp, not aged, one batch of sequences 9 and 10.
    expected.extend([2, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
    expected.extend([1_001i64, -1].map(i64::to_le_bytes).concat());
    expected.extend([1, 9, 0, 0, 0, 10, 0, 0, 0]);
    expected.extend([4i64, 1_001].map(i64::to_le_bytes).concat());
    // No groups; the catalog of a node where nothing was made.
    expected.extend([0; 4]);
    let catalog = fold.catalog.export();
    expected.extend(u32::try_from(catalog.len()).expect("short").to_le_bytes());
    expected.extend(&catalog);
    // What a full disk kept out of the journal.
    let record = deleted_offset().encode();
    expected.extend([1, 0, 0, 0, u8::try_from(record.len()).expect("short"), 0, 0, 0]);
    expected.extend(&record);
    expected.extend([1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes, expected);

    let mut again = Fold::new(LeaderEpoch(3), GroupConfig::default());
    again.import(&bytes).expect("decodes");
    assert_eq!(export(&again.partitions, &again.groups, &again.catalog, &again.unlogged), bytes);
    for len in 0..bytes.len() {
        assert!(again.import(&bytes[..len]).is_err(), "cut at {len}");
    }
}
