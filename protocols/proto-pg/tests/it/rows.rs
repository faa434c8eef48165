//! A row with every type, as text and as bytes, with what RowDescription says of it.

use proto_pg::PgOptions;

use crate::client::{Client, bind, describe, execute, parse, query, sync, with_server};

const FIELDS: &str = "T bool:16:1:-1:F int2:21:2:-1:F int4:23:4:-1:F int8:20:8:-1:F float4:700:4:-1:F \
    float8:701:8:-1:F numeric:1700:-1:655366:F text:25:-1:-1:F name:19:64:-1:F char:18:1:-1:F \
    bytea:17:-1:-1:F date:1082:4:-1:F time:1083:8:-1:F timestamp:1114:8:-1:F timestamptz:1184:8:-1:F \
    interval:1186:16:-1:F json:114:-1:-1:F jsonb:3802:-1:-1:F oid:26:4:-1:F array:1009:-1:-1:F unknown:25:-1:-1:F";

#[test]
fn text() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let answers = client.ask(&query("types")).await;
        assert_eq!(answers[0], FIELDS.replace(":F", ":0"));
        assert_eq!(
            answers[1],
            "D t|-2|4|-9223372036854775808|0.1|1e+15|123.45|tëxt|name|r|\\x00ff|2026-01-01|\
             01:02:03.0005|2026-01-01 00:00:00|2026-01-01 00:00:00+00|\
             1 year 2 mons -3 days +04:05:06.5|{\"a\": 1}|{\"b\": 2}|4294967295|{\"a b\",NULL,\"\"}|NULL"
        );
    });
}

#[test]
fn binary() {
    with_server(PgOptions::default(), async |server| {
        let mut client = Client::start(&server).await;
        let messages = [
            parse("", "types", &[]),
            bind("", "", &[], &[], &[1]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ];
        let answers = client.ask(&messages.concat()).await;
        assert_eq!(answers[2], FIELDS.replace(":F", ":1"));
        let values: Vec<&str> = answers[3][2..].split('|').collect();
        let expect = [
            "01",
            "fffe",
            "00000004",
            "8000000000000000",
            "3dcccccd",
            "430c6bf526340000",
            // Two digits 123 and 4500, weight 0, positive, scale 2.
            "0002000000000002007b1194",
            "tëxt",
            "name",
            "r",
            "00ff",
            // 9497 days after 2000-01-01.
            "00002519",
            "00000000dde87ab4",
            "0002ea470ae86000",
            "0002ea470ae86000",
            "000000036c9361a0fffffffd0000000e",
            "{\"a\": 1}",
            // The version of the form, then the text.
            "017b2262223a20327d",
            "ffffffff",
            "000000010000000100000019000000030000000100000003612062ffffffff00000000",
            "NULL",
        ];
        assert_eq!(values, expect);
    });
}
