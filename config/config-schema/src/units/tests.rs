//! Units: what parses, what is refused, and that the shown form reads back.

use super::*;

fn bytes(text: &str) -> Result<u64, UnitError> {
    text.parse::<ByteSize>().map(|size| size.0)
}

fn ms(text: &str) -> Result<i64, UnitError> {
    text.parse::<Span>().map(Span::as_ms)
}

#[test]
fn sizes_need_a_unit_and_fit_63_bits() {
    assert_eq!(bytes("64MiB"), Ok(64 << 20));
    assert_eq!(bytes(" 100 mb "), Ok(100_000_000));
    assert_eq!(bytes("0B"), Ok(0));
    for bad in ["", "64", "MiB", "-1B", "1.5GiB", "64 XB", "64MiB extra"] {
        assert!(matches!(bytes(bad), Err(UnitError::Malformed { .. })), "{bad:?}");
    }
    assert!(bytes("8388607TiB").is_ok());
    assert!(matches!(bytes("8388608TiB"), Err(UnitError::TooLarge { .. })));
    assert!(matches!(bytes("99999999999999999999B"), Err(UnitError::TooLarge { .. })));
}

#[test]
fn spans_add_up_their_parts() {
    assert_eq!(ms("5s"), Ok(5_000));
    assert_eq!(ms("1h30m"), Ok(5_400_000));
    assert_eq!(ms("200ms"), Ok(200));
    assert_eq!(ms("7d 1s"), Ok(604_801_000));
    for bad in ["", "5", "s", "5 s", "-5s", "5y"] {
        assert!(matches!(ms(bad), Err(UnitError::Malformed { .. })), "{bad:?}");
    }
    assert!(matches!(ms("99999999999999999d"), Err(UnitError::TooLarge { .. })));
}

#[test]
fn shown_values_read_back() {
    for value in [0, 1, 1023, 1024, 1536, 1 << 20, 3 << 30] {
        assert_eq!(bytes(&ByteSize(value).to_string()), Ok(value));
    }
    for value in [0, 1, 999, 1000, 90_000, 86_400_000, 604_800_000] {
        assert_eq!(ms(&Span(Duration::from_millis(value)).to_string()), Ok(value.cast_signed()));
    }
    assert_eq!("none".parse::<Limit<Span>>(), Ok(Limit::None));
    assert_eq!("7d".parse::<Limit<Span>>().map(|limit| limit.to_string()), Ok("1w".to_owned()));
}
