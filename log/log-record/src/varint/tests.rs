//! Limits and round trips of the variable-length integers.

use super::*;
use proptest::prelude::*;

fn check_int(value: i32, expect: &[u8]) {
    let mut out = Vec::new();
    write_varint(&mut out, value);
    assert_eq!(out, expect, "{value}");
    let mut rest = &out[..];
    assert_eq!(read_varint(&mut rest), Ok(value));
    assert!(rest.is_empty());
}

#[test]
fn known_values() {
    check_int(0, &[0]);
    check_int(-1, &[1]);
    check_int(63, &[0x7e]);
    check_int(-64, &[0x7f]);
    check_int(64, &[0x80, 0x01]);
    check_int(i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]);
    check_int(i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
}

#[test]
fn overlong_is_refused() {
    let cases: [&[u8]; 4] = [
        &[0xff, 0xff, 0xff, 0xff, 0x10],
        &[0xff; 5],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        &[0xff; 11],
    ];
    for case in cases {
        let mut rest = case;
        assert_eq!(read_varint(&mut rest), Err(RecordError::BadVarint));
        assert_eq!(rest, case, "an error consumes nothing");
    }
    let mut ten = [0xff; 10];
    for (last, ok) in [(0x01, true), (0x02, false), (0x7f, false), (0x81, false)] {
        ten[9] = last;
        assert_eq!(read_varlong(&mut &ten[..]).is_ok(), ok, "last byte {last:#x}");
    }
}

#[test]
fn truncation_is_an_error() {
    for len in 0..5 {
        assert_eq!(read_varint(&mut &[0xff; 5][..len]), Err(RecordError::Truncated));
    }
    for len in 0..10 {
        assert_eq!(read_varlong(&mut &[0xff; 10][..len]), Err(RecordError::Truncated));
    }
}

#[test]
fn padding_is_accepted() {
    assert_eq!(read_uvarint(&mut &[0x80, 0x80, 0x00][..]), Ok(0));
}

proptest! {
    #[test]
    fn round_trips(int in any::<i32>(), uint in any::<u32>(), long in any::<i64>()) {
        let mut out = Vec::new();
        write_varint(&mut out, int);
        write_uvarint(&mut out, uint);
        write_varlong(&mut out, long);
        let mut rest = &out[..];
        prop_assert_eq!(read_varint(&mut rest), Ok(int));
        prop_assert_eq!(read_uvarint(&mut rest), Ok(uint));
        prop_assert_eq!(read_varlong(&mut rest), Ok(long));
        prop_assert!(rest.is_empty());
    }
}
