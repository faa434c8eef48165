//! Golden bytes: `log/FORMAT.md` and the code say the same.

use std::sync::Arc;

use expect_test::{Expect, expect};
use log_io::{Disk, Durability};
use log_testkit::{SimDisk, SimDiskOptions};
use log_types::{ClusterId, Offset, Position, SegmentId, ShardId, StreamId, Term};

use crate::format::{
    BLOCK, CheckpointHeader, EntryHead, FRAME_HEADER_BYTES, FrameHeader, Identity, SegmentHeader,
    Trailer, Watermark, checkpoint_name, parse_name, segment_name, spare_name,
};
use crate::frame::{OpenFrame, Stamp};
use crate::index::{Footer, Index, Run};
use crate::options::{Entry, EntryKind};

use super::{Rig, Step, append};

const IDENTITY: Identity = Identity { cluster: ClusterId(*b"cluster-identity"), shard: ShardId(3) };
const SEGMENT: SegmentId = SegmentId(0x1122);

/// Lines of 16 bytes, all-zero lines left out.
fn check(bytes: &[u8], expected: &Expect) {
    let mut lines = String::new();
    for (index, line) in bytes.chunks(16).enumerate() {
        if line.iter().any(|&byte| byte != 0) {
            let hex: Vec<String> = line
                .chunks(4)
                .map(|word| word.iter().map(|b| format!("{b:02x}")).collect())
                .collect();
            lines.push_str(&format!("{:04} {}\n", index * 16, hex.join(" ")));
        }
    }
    expected.assert_eq(&lines);
}

fn block(encode: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut block = vec![0xff; usize::try_from(BLOCK).unwrap()];
    encode(&mut block);
    block
}

#[test]
fn segment_header() {
    let header = SegmentHeader {
        segment: SEGMENT,
        base: Position(0x33),
        segment_bytes: 64 << 20,
        generation: 5,
        created_ms: 1_700_000_000_000,
    };
    let bytes = block(|block| header.encode(IDENTITY, block));
    check(
        &bytes,
        &expect![[r#"
            0000 4c554d41 53454731 01000000 03000000
            0016 636c7573 7465722d 6964656e 74697479
            0032 22110000 00000000 33000000 00000000
            0048 00000004 00000000 05000000 00000000
            0128 0068e5cf 8b010000 00000000 00000000
            4080 00000000 00000000 00000000 c90210f1
        "#]],
    );
    assert_eq!(SegmentHeader::decode(&bytes, IDENTITY, SEGMENT), Ok(header));
}

#[test]
fn watermark_record() {
    let record = Watermark {
        segment: SEGMENT,
        sequence: 7,
        durable: Position(0x44),
        generation: 5,
        closed: true,
    };
    let bytes = block(|block| record.encode(IDENTITY, block));
    check(
        &bytes,
        &expect![[r#"
            0000 4c554d41 574d524b 01000000 03000000
            0016 636c7573 7465722d 6964656e 74697479
            0032 22110000 00000000 07000000 00000000
            0048 44000000 00000000 05000000 01000000
            4080 00000000 00000000 00000000 2a8ca5f1
        "#]],
    );
    assert_eq!(Watermark::decode(&bytes, IDENTITY, SEGMENT), Ok(record));
    assert_eq!(record.file_offset(), 2 * BLOCK, "slot 7 mod 3");
}

#[test]
fn trailer() {
    let trailer = Trailer {
        segment: SEGMENT,
        base: Position(0x33),
        last: Position(0x44),
        frames_end: 0x5_5000,
        footer_bytes: 56,
        stream_count: 1,
        generation: 5,
        footer_crc: 0xaabb_ccdd,
    };
    let bytes = block(|block| trailer.encode(IDENTITY, block));
    check(
        &bytes,
        &expect![[r#"
            0000 4c554d41 464f4f54 01000000 03000000
            0016 636c7573 7465722d 6964656e 74697479
            0032 22110000 00000000 33000000 00000000
            0048 44000000 00000000 00500500 00000000
            0064 38000000 01000000 05000000 ddccbbaa
            4080 00000000 00000000 00000000 61c066ee
        "#]],
    );
    assert_eq!(Trailer::decode(&bytes, IDENTITY, SEGMENT), Ok(trailer));
}

#[test]
fn checkpoint_header() {
    let header = CheckpointHeader {
        number: 9,
        position: Position(0x44),
        segment: SEGMENT,
        file_offset: 0x6000,
        index_bytes: 100,
        state_bytes: 200,
        generation: 5,
        body_crc: 0xaabb_ccdd,
    };
    let bytes = block(|block| header.encode(IDENTITY, block));
    check(
        &bytes,
        &expect![[r#"
            0000 4c554d41 434b5054 01000000 03000000
            0016 636c7573 7465722d 6964656e 74697479
            0032 09000000 00000000 44000000 00000000
            0048 22110000 00000000 00600000 00000000
            0064 64000000 00000000 c8000000 00000000
            0080 05000000 ddccbbaa 00000000 00000000
            4080 00000000 00000000 00000000 0eb1e584
        "#]],
    );
    assert_eq!(CheckpointHeader::decode(&bytes, IDENTITY, 9), Ok(header));
}

fn frame_header() -> FrameHeader {
    FrameHeader {
        segment: SEGMENT,
        file_offset: 0x4000,
        position: Position(0x44),
        term: Term(2),
        durable: Position(0x43),
        wall_ms: 1_700_000_000_000,
        generation: 5,
        entry_count: 2,
        data_bytes: 1000,
        frame_bytes: 4096,
        payload_crc: 0xaabb_ccdd,
    }
}

#[test]
fn frame() {
    let mut bytes = vec![0xff; FRAME_HEADER_BYTES];
    frame_header().encode(IDENTITY.cluster, IDENTITY.shard, &mut bytes);
    check(
        &bytes,
        &expect![[r#"
            0000 4c46524d 01000000 636c7573 7465722d
            0016 6964656e 74697479 03000000 05000000
            0032 22110000 00000000 00400000 00000000
            0048 44000000 00000000 02000000 00000000
            0064 43000000 00000000 0068e5cf 8b010000
            0080 02000000 e8030000 00100000 ddccbbaa
            0112 00000000 00000000 00000000 462ee921
        "#]],
    );
    assert_eq!(FrameHeader::decode(&bytes, IDENTITY, SEGMENT, 0x4000), Ok(frame_header()));
}

/// Header, the bytes of two entries, directory, padding.
#[test]
fn whole_frame() {
    let disk = SimDisk::new(SimDiskOptions::default());
    let mut frame = OpenFrame {
        block: Arc::from(disk.alloc(4096)),
        used: FRAME_HEADER_BYTES,
        entries: Vec::new(),
        crc: 0,
        crc_end: FRAME_HEADER_BYTES,
        durability: Durability::Synced,
        position: Position(0x44),
        segment: SEGMENT,
        file_offset: 0x4000,
    };
    let mut entry = Entry {
        stream: StreamId(0x20),
        kind: EntryKind::BATCH,
        base_offset: Offset(5),
        last_offset: Offset(6),
        max_timestamp: 77,
        durability: Durability::Synced,
        parts: &[b"batch", b" of two"],
        last_part_crc: None,
    };
    frame.push(&entry, 12);
    (entry.stream, entry.kind, entry.max_timestamp) = (StreamId(0), EntryKind(2), -1);
    entry.parts = &[b"note"];
    frame.push(&entry, 4);
    let stamp = Stamp {
        identity: IDENTITY,
        term: Term(2),
        durable: Position(0x43),
        wall_ms: 1_700_000_000_000,
        generation: 5,
    };
    let len = frame.finish(&stamp);
    assert_eq!(len, 4096, "128 + 16 + 2 × 48, rounded up to whole blocks");
    let bytes = &frame.block.bytes()[..len];
    check(
        bytes,
        &expect![[r#"
        0000 4c46524d 01000000 636c7573 7465722d
        0016 6964656e 74697479 03000000 05000000
        0032 22110000 00000000 00400000 00000000
        0048 44000000 00000000 02000000 00000000
        0064 43000000 00000000 0068e5cf 8b010000
        0080 02000000 10000000 00100000 58ec0adf
        0112 00000000 00000000 00000000 d69feb02
        0128 62617463 68206f66 2074776f 6e6f7465
        0144 20000000 00000000 05000000 00000000
        0160 06000000 00000000 4d000000 00000000
        0176 80000000 0c000000 00000000 00000000
        0192 00000000 00000000 05000000 00000000
        0208 06000000 00000000 ffffffff ffffffff
        0224 8c000000 04000000 02000000 00000000
    "#]],
    );
    let header = FrameHeader::decode(bytes, IDENTITY, SEGMENT, 0x4000).unwrap();
    assert_eq!(header.payload_crc, log_record::crc32c(&bytes[FRAME_HEADER_BYTES..]));
}

/// Every bit, a wrong place and every truncation are noticed.
#[test]
fn a_frame_header_is_accepted_only_whole_and_in_its_place() {
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    frame_header().encode(IDENTITY.cluster, IDENTITY.shard, &mut bytes);
    assert!(FrameHeader::decode(&bytes, IDENTITY, SegmentId(1), 0x4000).is_err());
    assert!(FrameHeader::decode(&bytes, IDENTITY, SEGMENT, 0x5000).is_err());
    for len in 0..bytes.len() {
        assert!(
            FrameHeader::decode(&bytes[..len], IDENTITY, SEGMENT, 0x4000).is_err(),
            "{len} bytes"
        );
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(FrameHeader::decode(&damaged, IDENTITY, SEGMENT, 0x4000).is_err(), "bit {bit}");
    }
}

#[test]
fn entry() {
    let head = EntryHead {
        stream: StreamId(0x0102),
        kind: EntryKind(9),
        base_offset: Offset(0x30),
        last_offset: Offset(0x3f),
        max_timestamp: -1,
        frame_offset: 128,
        len: 1000,
    };
    let mut bytes = vec![0xff; 48];
    head.encode(&mut bytes);
    check(
        &bytes,
        &expect![[r#"
            0000 02010000 00000000 30000000 00000000
            0016 3f000000 00000000 ffffffff ffffffff
            0032 80000000 e8030000 09000000 00000000
        "#]],
    );
    assert_eq!(EntryHead::decode(&bytes), head);
}

fn run(file_offset: u64, base: i64) -> Run {
    Run {
        file_offset,
        len: 1000,
        epoch: 6,
        base: Offset(base),
        last: Offset(base + 4),
        max_timestamp: 77,
    }
}

#[test]
fn footer_body() {
    let footer = Footer {
        streams: vec![(StreamId(0x20), 0, 1), (StreamId(0x21), 1, 1)],
        runs: vec![run(0x4080, 1), run(0x4468, 6)],
    };
    let mut bytes = Vec::new();
    footer.encode(&mut bytes);
    check(
        &bytes,
        &expect![[r#"
            0000 20000000 00000000 01000000 00000000
            0016 80400000 00000000 e8030000 06000000
            0032 01000000 00000000 05000000 00000000
            0048 4d000000 00000000 21000000 00000000
            0064 01000000 00000000 68440000 00000000
            0080 e8030000 06000000 06000000 00000000
            0096 0a000000 00000000 4d000000 00000000
        "#]],
    );
    assert_eq!(Footer::decode(&bytes, 2), Ok(footer));
    for len in 0..bytes.len() {
        assert!(Footer::decode(&bytes[..len], 2).is_err(), "{len} bytes");
    }
    assert!(Footer::decode(&bytes, u32::MAX).is_err());
}

#[test]
fn checkpoint_index() {
    let head = |base: i64, frame_offset: u32| EntryHead {
        stream: StreamId(0x20),
        kind: EntryKind::BATCH,
        base_offset: Offset(base),
        last_offset: Offset(base + 4),
        max_timestamp: 77,
        frame_offset,
        len: 1000,
    };
    let mut index = Index::default();
    index.set_term(Term(6));
    index.push(0x4000, &head(0, 128));
    index.seal(SegmentId(1));
    index.push(0x4000, &head(5, 128));
    index.set_log_start(StreamId(0x20), Offset(2));
    let mut bytes = Vec::new();
    index.encode(&mut bytes);
    check(
        &bytes,
        &expect![[r#"
            0000 01000000 00000000 20000000 00000000
            0016 02000000 00000000 01000000 01000000
            0032 01000000 00000000 00000000 00000000
            0048 04000000 00000000 4d000000 00000000
            0064 e8030000 00000000 80400000 00000000
            0080 e8030000 06000000 05000000 00000000
            0096 09000000 00000000 4d000000 00000000
        "#]],
    );
    let mut decoded = Index::decode(&bytes).unwrap();
    decoded.set_term(Term(6));
    assert_eq!(decoded, index);
    for len in 0..bytes.len() {
        assert_eq!(Index::decode(&bytes[..len]), None, "{len} bytes");
    }
}

/// A stream that was removed while the segment being written holds runs of it: bit 31 of its run count, and no extents.
#[test]
fn checkpoint_index_of_a_removed_stream() {
    let head = EntryHead {
        stream: StreamId(0x20),
        kind: EntryKind::BATCH,
        base_offset: Offset(0),
        last_offset: Offset(4),
        max_timestamp: 77,
        frame_offset: 128,
        len: 1000,
    };
    let mut index = Index::default();
    index.set_term(Term(6));
    index.push(0x4000, &head);
    index.remove_stream(StreamId(0x20));
    let mut bytes = Vec::new();
    index.encode(&mut bytes);
    check(
        &bytes,
        &expect![[r#"
        0000 01000000 00000000 20000000 00000000
        0016 00000000 00000000 00000000 01000080
        0032 80400000 00000000 e8030000 06000000
        0048 00000000 00000000 04000000 00000000
        0064 4d000000 00000000
    "#]],
    );
    let mut decoded = Index::decode(&bytes).unwrap();
    decoded.set_term(Term(6));
    assert_eq!(decoded, index);
    assert!(decoded.stream(StreamId(0x20)).is_none(), "nobody sees it any more");
}

/// A checkpoint file as a journal writes it: header, the list of sealed segments, streams, the owner's state.
#[test]
fn checkpoint_file() {
    let mut rig = Rig::fresh();
    assert!(rig.run(&[append(0x20, 1, 30_000), Step::Wait, append(0x20, 1, 30_000), Step::Wait]));
    assert!(rig.run(&[append(0x20, 1, 30_000), Step::Wait, Step::Settle]));
    assert!(rig.run(&[append(0x21, 1, 10), Step::Wait, Step::Checkpoint]));
    assert_eq!(rig.journal.stats().seals, 1);
    let names = rig.disk.names();
    let newest = names.iter().rfind(|name| parse_name(name, "checkpoint-").is_some()).unwrap();
    let bytes = rig.disk.peek(newest).unwrap();
    check(
        &bytes,
        &expect![[r#"
        0000 4c554d41 434b5054 01000000 03000000
        0016 07070707 07070707 07070707 07070707
        0032 02000000 00000000 04000000 00000000
        0048 02000000 00000000 00d00000 00000000
        0064 e0000000 00000000 2c000000 00000000
        0080 01000000 8ff3977b 00000000 00000000
        4080 00000000 00000000 00000000 21b80480
        4096 01000000 00000000 01000000 00000000
        4112 01000000 00000000 02000000 00000000
        4128 00800100 00000000 0068e5cf 8b010000
        4144 02000000 00000000 20000000 00000000
        4160 00000000 00000000 01000000 01000000
        4176 01000000 00000000 00000000 00000000
        4192 01000000 00000000 e9030000 00000000
        4208 f0ea0000 00000000 80400000 00000000
        4224 78750000 01000000 02000000 00000000
        4240 02000000 00000000 ea030000 00000000
        4256 21000000 00000000 00000000 00000000
        4272 00000000 01000000 80c00000 00000000
        4288 4e000000 01000000 00000000 00000000
        4304 00000000 00000000 e8030000 00000000
        4320 04000000 00000000 0cbbbccf 20000000
        4336 00000000 03000000 00000000 21000000
        4352 00000000 01000000 00000000 00000000
    "#]],
    );
}

#[test]
fn names() {
    assert_eq!(segment_name(SegmentId(0xab)), "segment-00000000000000ab.luma");
    assert_eq!(spare_name(1), "spare-0000000000000001.luma");
    assert_eq!(checkpoint_name(1), "checkpoint-0000000000000001.luma");
    assert_eq!(parse_name("segment-00000000000000ab.luma", "segment-"), Some(0xab));
    for wrong in
        ["segment-ab.luma", "segment-00000000000000AB.luma", "segment-+0000000000000ab.luma", "x"]
    {
        assert_eq!(parse_name(wrong, "segment-"), None, "{wrong}");
    }
}
