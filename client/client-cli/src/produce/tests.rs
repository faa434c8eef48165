//! Partitioning agrees with Kafka's own test vectors (`UtilsTest.testMurmur2`).

use super::*;

#[test]
fn murmur2_is_kafkas() {
    for (text, expected) in [
        ("21", -973_932_308_i32),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
    }
    assert!(keyed(b"abc", 3) < 3);
}
