//! What is built is read back, with every codec.

use super::*;

#[test]
fn records_survive_every_codec() {
    for compression in Compression::ALL {
        let mut batch = Batch::default();
        let headers = [(b"h".to_vec(), Some(b"1".to_vec())), (b"h".to_vec(), None)];
        batch.push(1_000, Some(b"k"), Some(b"value"), &headers).expect("fits");
        batch.push(999, None, None, &[]).expect("fits");
        assert_eq!(batch.count(), 2);
        let bytes = batch.build(compression).expect("not empty");
        let mut seen = Vec::new();
        let next = each_record(&bytes, 0, |record| {
            seen.push(record);
            true
        });
        assert_eq!(next.expect("a batch"), 2);
        assert_eq!(seen.len(), 2, "{compression}");
        assert_eq!(seen[0].headers, headers);
        assert_eq!((seen[0].offset, seen[0].timestamp_ms), (0, 1_000));
        assert_eq!((seen[1].offset, seen[1].timestamp_ms, &seen[1].value), (1, 999, &None));

        let mut from_second = Vec::new();
        each_record(&bytes, 1, |record| {
            from_second.push(record.offset);
            true
        })
        .expect("a batch");
        assert_eq!(from_second, [1]);
    }
}

#[test]
fn a_cut_off_batch_is_left_alone_and_garbage_is_an_error() {
    let mut batch = Batch::default();
    batch.push(1, None, Some(b"value"), &[]).expect("fits");
    let bytes = batch.build(Compression::None).expect("not empty");
    assert_eq!(each_record(&bytes[..bytes.len() - 1], 7, |_| true).expect("nothing whole"), 7);
    let mut broken = bytes.to_vec();
    broken[16] = 9;
    assert!(matches!(each_record(&broken, 0, |_| true), Err(Error::Decode(_))));
}
