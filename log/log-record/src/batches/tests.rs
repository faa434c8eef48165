//! Splitting: adjacent batches, cut-off tails, garbage.

use super::*;
use crate::header::tests::GOLDEN;
use proptest::prelude::*;

#[test]
fn whole_batches() {
    let buffer = [GOLDEN, GOLDEN, GOLDEN].concat();
    let found: Vec<_> = Batches::strict(&buffer).map(Result::unwrap).collect();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|(header, batch)| *batch == GOLDEN && header.records_count == 2));
    assert_eq!(Batches::strict(&[]).count(), 0);
}

#[test]
fn cut_off_tail_at_every_length() {
    let buffer = [GOLDEN, GOLDEN].concat();
    for len in GOLDEN.len() + 1..buffer.len() {
        let cut = &buffer[..len];
        let strict: Vec<_> = Batches::strict(cut).collect();
        assert_eq!(strict.len(), 2);
        assert!(matches!(strict[1], Err(BatchError::Truncated { .. })), "length {len}");

        let mut tolerant = Batches::tolerant(cut);
        assert!(tolerant.next().unwrap().is_ok());
        assert!(tolerant.next().is_none() && tolerant.next().is_none());
        assert_eq!(tolerant.rest(), &cut[GOLDEN.len()..]);
    }
}

#[test]
fn tolerance_does_not_cover_corruption() {
    let mut buffer = [GOLDEN, GOLDEN].concat();
    buffer[GOLDEN.len() + 16] = 1;
    let found: Vec<_> = Batches::tolerant(&buffer).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], Err(BatchError::UnsupportedMagic { magic: 1 }));
}

proptest! {
    #[test]
    fn random_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Batches::strict(&bytes).count() <= bytes.len() / 61 + 1);
        prop_assert!(Batches::tolerant(&bytes).count() <= bytes.len() / 61 + 1);
    }
}
