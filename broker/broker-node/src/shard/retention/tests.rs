//! What retention deletes, given what the journal has and what time it is.

use std::collections::BTreeMap;

use broker_core::config::BrokerConfigs;

use super::*;

const HOUR_MS: i64 = 3_600_000;
const NOW_MS: i64 = 1_750_000_000_000;

fn config(pairs: &[(&str, &str)]) -> TopicConfig {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let broker = BrokerConfigs { fixed: BTreeMap::new(), dynamic: BTreeMap::new() };
    TopicConfig::resolve(&pairs.collect(), &broker)
}

/// Ten records each: (largest timestamp, when the extent was complete), the last one still open.
fn extents(times: &[(i64, Option<i64>)]) -> Vec<ExtentInfo> {
    let extent = |(at, (max_timestamp, written_ms)): (i64, &(i64, Option<i64>))| ExtentInfo {
        base_offset: Offset(10 * at),
        last_offset: Offset(10 * at + 9),
        max_timestamp: *max_timestamp,
        bytes: 100,
        written_ms: *written_ms,
        sealed: written_ms.is_some(),
    };
    (0..).zip(times).map(extent).collect()
}

#[track_caller]
fn check(pairs: &[(&str, &str)], times: &[(i64, Option<i64>)], expected: Option<i64>) {
    let extents = extents(times);
    let bytes = extents.iter().map(|extent| extent.bytes).sum();
    let found = target(&extents, bytes, &config(pairs), NOW_MS);
    assert_eq!(found, expected.map(Offset));
}

/// Hours before now, as timestamp and as time of writing.
fn ago(hours: i64) -> (i64, Option<i64>) {
    let at = NOW_MS - hours * HOUR_MS;
    (at, Some(at))
}

const DAY: &[(&str, &str)] = &[("retention.ms", "86400000")];

#[test]
fn what_is_older_than_the_limit_goes_from_the_front() {
    check(DAY, &[ago(50), ago(30), ago(20), ago(1)], Some(20));
    check(DAY, &[ago(20), ago(50), ago(1)], None);
    check(&[("retention.ms", "-1")], &[ago(50_000), ago(1)], None);
    let compact = [("retention.ms", "86400000"), ("cleanup.policy", "compact")];
    check(&compact, &[ago(50), ago(1)], None);
}

/// The newest extent stayed, whatever its age: a topic that nobody writes to any more kept its data for ever. Kafka rolls the
/// active segment away and deletes it.
#[test]
fn the_newest_goes_when_it_is_old() {
    check(DAY, &[ago(50)], Some(10));
    check(DAY, &[ago(50), ago(30)], Some(20));
    check(DAY, &[(NOW_MS - 30 * HOUR_MS, None)], Some(10));
    check(DAY, &[(NOW_MS - 24 * HOUR_MS, None)], None);
    check(&[("retention.ms", "0")], &[ago(1)], Some(10));
    check(DAY, &[], None);
}

#[test]
fn bytes_beyond_the_limit_go_from_the_front() {
    let bytes = [("retention.bytes", "200"), ("retention.ms", "-1")];
    check(&bytes, &[ago(4), ago(3), ago(2), ago(1)], Some(20));
    check(&bytes, &[ago(2), ago(1)], None);
    check(&[("retention.bytes", "0"), ("retention.ms", "-1")], &[ago(2), ago(1)], Some(20));
}

/// A producer whose clock is years ahead kept its own data, and everything behind it, for ever.
#[test]
fn a_timestamp_of_the_future_does_not_keep_data() {
    let (_, written) = ago(30);
    check(DAY, &[(i64::MAX, written), ago(30), ago(1)], Some(20));
    check(DAY, &[(NOW_MS + 1, written), ago(1)], Some(10));
    let (_, recently) = ago(2);
    check(DAY, &[(i64::MAX, recently), ago(1)], None);
    check(DAY, &[(i64::MAX, None), ago(1)], None);
}

/// Records without a timestamp were kept for ever.
#[test]
fn data_without_timestamps_is_as_old_as_its_segment() {
    check(DAY, &[(-1, ago(30).1), (-1, ago(2).1), ago(1)], Some(10));
}

/// As in Kafka: `retention.ms` goes by what the records say, so imported history of last year may go at once.
#[test]
fn a_timestamp_of_the_past_counts() {
    check(DAY, &[(0, ago(1).1), ago(1)], Some(10));
}
