//! Text as PostgreSQL prints it, and round trips of every type in both formats.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use query_api::{DataType, Value};

use super::{Declared, Format, decode, encode, info, widen};

fn encoded(data_type: &DataType, value: &Value, format: Format) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out, data_type, value, format).unwrap();
    assert_eq!(out.get_i32() as usize, out.len());
    out.freeze()
}

fn text(data_type: &DataType, value: &Value) -> String {
    String::from_utf8(encoded(data_type, value, Format::Text).to_vec()).unwrap()
}

fn read(data_type: &DataType, input: &str) -> Result<Value, String> {
    decode(data_type, &Bytes::copy_from_slice(input.as_bytes()), Format::Text)
        .map_err(|report| format!("{} {}", report.sqlstate, report.message))
}

#[test]
fn floats_are_shortest() {
    let check = |value: f64, expect: &str| {
        assert_eq!(text(&DataType::Float8, &Value::Float8(value)), expect);
    };
    check(0.0, "0");
    check(-0.0, "-0");
    check(1.5, "1.5");
    check(123_456_789.0, "123456789");
    check(100.0, "100");
    check(1e14, "100000000000000");
    check(1e15, "1e+15");
    check(0.0001, "0.0001");
    check(0.00001, "1e-05");
    check(1.25e-7, "1.25e-07");
    check(1e300, "1e+300");
    check(f64::INFINITY, "Infinity");
    check(f64::NEG_INFINITY, "-Infinity");
    check(f64::NAN, "NaN");
    assert_eq!(text(&DataType::Float4, &Value::Float4(1e6)), "1e+06");
    assert_eq!(text(&DataType::Float4, &Value::Float4(123_456.0)), "123456");
}

#[test]
fn dates_and_times() {
    let check = |data_type: DataType, value: Value, expect: &str| {
        assert_eq!(text(&data_type, &value), expect);
    };
    check(DataType::Date, Value::Date(0), "1970-01-01");
    check(DataType::Date, Value::Date(11_016), "2000-02-29");
    check(DataType::Date, Value::Date(-719_162), "0001-01-01");
    check(DataType::Date, Value::Date(-719_163), "0001-12-31 BC");
    check(DataType::Date, Value::Date(2_932_897), "10000-01-01");
    check(DataType::Date, Value::Date(i32::MAX), "infinity");
    check(DataType::Timestamp, Value::Timestamp(-1), "1969-12-31 23:59:59.999999");
    check(DataType::Timestamp, Value::Timestamp(i64::MIN), "-infinity");
    check(DataType::TimestampTz, Value::Timestamp(100_000), "1970-01-01 00:00:00.1+00");
    check(DataType::Time, Value::Time(86_400_000_000), "24:00:00");
}

#[test]
fn intervals() {
    let check = |months, days, micros, expect: &str| {
        let value = Value::Interval { months, days, micros };
        assert_eq!(text(&DataType::Interval, &value), expect);
    };
    check(0, 0, 0, "00:00:00");
    check(1, 1, 0, "1 mon 1 day");
    check(-1, 2, -1_000_000, "-1 mons +2 days -00:00:01");
    check(-13, 0, 500_000, "-1 years -1 mons +00:00:00.5");
    let parse = |input: &str, months, days, micros| {
        let expect = Value::Interval { months, days, micros };
        assert_eq!(read(&DataType::Interval, input), Ok(expect), "{input}");
    };
    parse("1 day, 1:02:03", 0, 1, 3_723_000_000);
    parse("1 days 3600.000001 seconds", 0, 1, 3_600_000_001);
    parse("@ 1 year 2 mons ago", -14, 0, 0);
    parse("P1Y2M3DT4H5M6.5S", 14, 3, 14_706_500_000);
    parse("90s", 0, 0, 90_000_000);
    assert!(read(&DataType::Interval, "1 fortnight").unwrap_err().starts_with("22007 "));
    assert!(read(&DataType::Interval, "").is_err());
}

#[test]
fn numerics() {
    let check = |unscaled, scale, expect: &str| {
        assert_eq!(text(&DataType::Numeric(38, 0), &Value::Numeric(unscaled, scale)), expect);
    };
    check(12_345, 2, "123.45");
    check(-5, 3, "-0.005");
    check(0, 2, "0.00");
    check(12, -2, "1200");
    assert_eq!(read(&DataType::Numeric(0, 0), "1.5e2"), Ok(Value::Numeric(150, 0)));
    let large = read(&DataType::Numeric(0, 0), &"9".repeat(60)).unwrap_err();
    assert_eq!(large, "22003 value overflows numeric format");
}

#[test]
fn arrays() {
    let data_type = DataType::Array(Box::new(DataType::Text));
    let value = |items: &[&str]| {
        Value::Array(items.iter().map(|item| Value::Text((*item).to_owned())).collect())
    };
    assert_eq!(text(&data_type, &value(&[])), "{}");
    let tricky = value(&["a", "", "NULL", "a b", "q\"", "b\\", "{", "x,y"]);
    let shown = r#"{a,"","NULL","a b","q\"","b\\","{","x,y"}"#;
    assert_eq!(text(&data_type, &tricky), shown);
    assert_eq!(read(&data_type, shown), Ok(tricky));
    let nested = read(&DataType::Array(Box::new(DataType::Int4)), "{{1,2},{3,NULL}}").unwrap();
    assert_eq!(text(&DataType::Array(Box::new(DataType::Int4)), &nested), "{{1,2},{3,NULL}}");
    for bad in ["", "{", "{a", "a}", "{a}}", "{,}", "{\"}", "{{{{{{{1}}}}}}}", "{a\\"] {
        assert!(read(&data_type, bad).unwrap_err().starts_with("22P02 malformed array"), "{bad}");
    }
}

#[test]
fn bad_text_is_refused_with_the_right_code() {
    let check = |data_type: DataType, input: &str, expect: &str| {
        assert_eq!(read(&data_type, input).unwrap_err(), expect);
    };
    check(DataType::Int2, "40000", "22003 value \"40000\" is out of range for type smallint");
    check(DataType::Int4, "1.5", "22P02 invalid input syntax for type integer: \"1.5\"");
    check(DataType::Bool, "maybe", "22P02 invalid input syntax for type boolean: \"maybe\"");
    check(DataType::Float8, "1e400", "22003 \"1e400\" is out of range for type double precision");
    check(DataType::Date, "2026-02-30", "22008 date/time field value out of range: \"2026-02-30\"");
    check(DataType::Date, "soon", "22007 invalid input syntax for type date: \"soon\"");
    check(DataType::Bytea, "\\x1", "22023 invalid hexadecimal data: odd number of digits");
    check(DataType::Text, "a\0", "22021 invalid byte sequence for encoding \"UTF8\": 0x00");
}

#[test]
fn zones_are_applied() {
    let check = |input: &str, expect: i64| {
        assert_eq!(read(&DataType::TimestampTz, input), Ok(Value::Timestamp(expect)), "{input}");
    };
    check("1970-01-01 00:00:00+00", 0);
    check("1970-01-01T02:00:00+02:00", 0);
    check("1970-01-01 00:00:00.5Z", 500_000);
    check("1969-12-31 22:30:00-0130", 0);
    check("1970-01-01", 0);
}

#[test]
fn oids_mean_their_types() {
    for oid in [
        16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700, 3802,
    ] {
        assert_eq!(info(&Declared::from_oid(oid).unwrap().hint()).oid, oid);
    }
    for oid in [
        199, 1000, 1001, 1005, 1007, 1009, 1016, 1021, 1022, 1115, 1182, 1183, 1185, 1187, 1231,
        3807,
    ] {
        assert_eq!(info(&Declared::from_oid(oid).unwrap().hint()).oid, oid);
    }
    assert_eq!(Declared::from_oid(1043), Ok(Declared::Type(DataType::Text)));
    assert_eq!(Declared::from_oid(0), Ok(Declared::Open));
    assert_eq!(Declared::from_oid(705), Ok(Declared::Open));
}

#[test]
fn types_that_are_not_here_are_refused_by_name() {
    let check = |oid, expect: &str| {
        let report = Declared::from_oid(oid).unwrap_err();
        assert_eq!(format!("{} {}", report.sqlstate, report.message), expect);
    };
    check(869, "0A000 parameters of type inet (OID 869) are not supported");
    check(1266, "0A000 parameters of type time with time zone (OID 1266) are not supported");
    check(99_999, "42704 type with OID 99999 does not exist");
}

#[test]
fn a_uuid_is_read_as_by_postgresql() {
    let check = |oid: u32, input: &[u8], format, expect: Result<Value, &str>| {
        let declared = Declared::from_oid(oid).unwrap();
        let input = Bytes::copy_from_slice(input);
        let found = declared.decode(&DataType::Text, &input, format);
        assert_eq!(
            found.map_err(|it| it.sqlstate.into_owned()),
            expect.map_err(str::to_owned),
            "{input:?}"
        );
    };
    const SHOWN: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let text = |it: &str| Value::Text(it.to_owned());
    let bytes = 0xa0ee_bc99_9c0b_4ef8_bb6d_6bb9_bd38_0a11_u128.to_be_bytes();
    check(2950, &bytes, Format::Binary, Ok(text(SHOWN)));
    for len in 0..16 {
        check(2950, &bytes[..len], Format::Binary, Err("08P01"));
    }
    check(2950, &[0; 17], Format::Binary, Err("22P03"));
    for spelling in [
        SHOWN,
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
    ] {
        check(2950, spelling.as_bytes(), Format::Text, Ok(text(SHOWN)));
    }
    for bad in [
        "",
        "a0eebc99",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
        "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11",
        "a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1x",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a112",
    ] {
        check(2950, bad.as_bytes(), Format::Text, Err("22P02"));
    }
    let list = Value::Array(vec![text(SHOWN), Value::Null]);
    check(2951, format!("{{{SHOWN},NULL}}").as_bytes(), Format::Text, Ok(list.clone()));
    let mut sent = BytesMut::new();
    [1, 1, 2950, 2, 1, 16].into_iter().for_each(|it| sent.put_i32(it));
    sent.put_slice(&bytes);
    sent.put_i32(-1);
    check(2951, &sent, Format::Binary, Ok(list));
    check(1009, &sent, Format::Binary, Err("42804"));
}

#[test]
fn narrow_parameters_are_widened() {
    assert_eq!(widen(Value::Int2(5), &DataType::Int8), Value::Int8(5));
    assert_eq!(widen(Value::Int8(5), &DataType::Int4), Value::Int4(5));
    assert_eq!(widen(Value::Int8(1 << 40), &DataType::Int4), Value::Int8(1 << 40));
    assert_eq!(widen(Value::Float4(0.5), &DataType::Float8), Value::Float8(0.5));
}

#[test]
fn a_value_of_the_wrong_kind_is_an_error() {
    let kinds = [
        (DataType::Bool, Value::Bool(true)),
        (DataType::Int2, Value::Int2(1)),
        (DataType::Int4, Value::Int4(1)),
        (DataType::Int8, Value::Int8(1)),
        (DataType::Oid, Value::Oid(1)),
        (DataType::Float4, Value::Float4(401.7)),
        (DataType::Float8, Value::Float8(401.7)),
        (DataType::Numeric(0, 1), Value::Numeric(4017, 1)),
        (DataType::Text, Value::Text("secret".into())),
        (DataType::Bytea, Value::Bytea(Bytes::from_static(b"secret"))),
        (DataType::Date, Value::Date(1)),
        (DataType::Time, Value::Time(1)),
        (DataType::Timestamp, Value::Timestamp(1)),
        (DataType::Interval, Value::Interval { months: 1, days: 0, micros: 0 }),
    ];
    for ((scalar, _), (own, value)) in
        kinds.iter().flat_map(|it| kinds.iter().map(move |other| (it, other)))
    {
        let list = DataType::Array(Box::new(scalar.clone()));
        let items = Value::Array(vec![value.clone()]);
        for format in [Format::Text, Format::Binary] {
            for (announced, value) in [(scalar, value), (&list, &items)] {
                let sent = encode(&mut BytesMut::new(), announced, value, format);
                if own == scalar {
                    assert!(sent.is_ok(), "{value:?} as {announced:?}");
                    continue;
                }
                let report = sent.expect_err("of another kind");
                assert_eq!(report.sqlstate, "XX000", "{value:?} as {announced:?}");
                assert!(!report.message.contains("secret"), "{}", report.message);
            }
        }
    }
}

fn scalars() -> impl Strategy<Value = (DataType, Value)> {
    let day = 86_400_000_000_i64;
    prop_oneof![
        any::<bool>().prop_map(|v| (DataType::Bool, Value::Bool(v))),
        any::<i16>().prop_map(|v| (DataType::Int2, Value::Int2(v))),
        any::<i32>().prop_map(|v| (DataType::Int4, Value::Int4(v))),
        any::<i64>().prop_map(|v| (DataType::Int8, Value::Int8(v))),
        any::<u32>().prop_map(|v| (DataType::Oid, Value::Oid(v))),
        any::<f32>().prop_map(|v| (DataType::Float4, Value::Float4(v))),
        any::<f64>().prop_map(|v| (DataType::Float8, Value::Float8(v))),
        (-10_i128.pow(37)..10_i128.pow(37), 0_i8..38)
            .prop_map(|(v, s)| (DataType::Numeric(38, s), Value::Numeric(v, s))),
        "[^\0]*".prop_map(|v| (DataType::Text, Value::Text(v))),
        any::<Vec<u8>>().prop_map(|v| (DataType::Bytea, Value::Bytea(v.into()))),
        (-2_400_000..2_900_000).prop_map(|v| (DataType::Date, Value::Date(v))),
        (0..=day).prop_map(|v| (DataType::Time, Value::Time(v))),
        (-700_000 * day..2_900_000 * day).prop_map(|v| (DataType::Timestamp, Value::Timestamp(v))),
        (-700_000 * day..2_900_000 * day)
            .prop_map(|v| (DataType::TimestampTz, Value::Timestamp(v))),
        (any::<i32>(), any::<i32>(), -(1_i64 << 50)..1 << 50).prop_map(|(months, days, micros)| {
            (DataType::Interval, Value::Interval { months, days, micros })
        }),
    ]
}

proptest! {
    #[test]
    fn round_trips((data_type, value) in scalars()) {
        for format in [Format::Text, Format::Binary] {
            let bytes = encoded(&data_type, &value, format);
            let array = DataType::Array(Box::new(data_type.clone()));
            let list = Value::Array(vec![value.clone(), Value::Null, value.clone()]);
            let list_bytes = encoded(&array, &list, format);
            prop_assert_eq!(decode(&data_type, &bytes, format).unwrap(), value.clone());
            prop_assert_eq!(decode(&array, &list_bytes, format).unwrap(), list);
        }
    }

    #[test]
    fn arbitrary_bytes_are_answered(
        (data_type, _) in scalars(),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let bytes = Bytes::from(bytes);
        for format in [Format::Text, Format::Binary] {
            let _ = decode(&data_type, &bytes, format);
            let _ = decode(&DataType::Array(Box::new(data_type.clone())), &bytes, format);
        }
    }
}
