//! Sequences, epochs, duplicates, expiry, and the state against a naive model.

use super::*;
use log_record::Attributes;
use log_types::LeaderEpoch;

fn header(producer: i64, epoch: i16, sequence: i32, count: i32) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(0),
        batch_length: 49,
        partition_leader_epoch: LeaderEpoch(0),
        magic: 2,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: count - 1,
        base_timestamp: 0,
        max_timestamp: 1000 + i64::from(sequence),
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: sequence,
        records_count: count,
    }
}

/// Appends what may be appended, at ascending offsets.
struct Log {
    states: ProducerStates,
    end: i64,
}

impl Log {
    fn new() -> Self {
        Self { states: ProducerStates::new(), end: 0 }
    }

    fn append(&mut self, header: &BatchHeader) -> Result<ProducerVerdict, ProducerError> {
        let verdict = self.states.check(header, 0)?;
        if verdict == ProducerVerdict::Append {
            self.states.record(header, Offset(self.end));
            self.end += i64::from(header.last_offset_delta) + 1;
        }
        Ok(verdict)
    }

    fn ok(&mut self, header: &BatchHeader) {
        assert_eq!(self.append(header), Ok(ProducerVerdict::Append), "{header:?}");
    }

    fn duplicate(&mut self, header: &BatchHeader, base_offset: i64) {
        let timestamp = header.max_timestamp;
        let base_offset = Offset(base_offset);
        let expected = ProducerVerdict::Duplicate { base_offset, timestamp };
        assert_eq!(self.append(header), Ok(expected), "{header:?}");
    }

    fn code(&mut self, header: &BatchHeader) -> i16 {
        self.append(header).expect_err("refused").code()
    }
}

#[test]
fn kip_98_sequences_follow_each_other() {
    let mut log = Log::new();
    log.ok(&header(1, 0, 0, 3));
    log.ok(&header(1, 0, 3, 1));
    assert_eq!(log.code(&header(1, 0, 5, 1)), 45);
    log.ok(&header(1, 0, 4, 1));
    log.ok(&header(2, 0, 0, 1));
}

#[test]
fn kip_98_duplicates_of_the_last_five_batches_get_the_original_offset() {
    let mut log = Log::new();
    for sequence in 0..6 {
        log.ok(&header(1, 0, sequence * 2, 2));
    }
    for sequence in 1..6 {
        log.duplicate(&header(1, 0, sequence * 2, 2), i64::from(sequence) * 2);
    }
    assert_eq!(log.code(&header(1, 0, 0, 2)), 45, "the sixth last is forgotten");
    assert_eq!(log.code(&header(1, 0, 10, 1)), 45, "same start, other length");
}

#[test]
fn semantics_1_sequence_wraps_after_the_largest() {
    let mut log = Log::new();
    log.ok(&header(1, 0, i32::MAX - 1, 2));
    log.ok(&header(1, 0, 0, 1));
    let mut log = Log::new();
    log.ok(&header(1, 0, i32::MAX - 1, 4));
    log.duplicate(&header(1, 0, i32::MAX - 1, 4), 0);
    log.ok(&header(1, 0, 2, 1));
}

#[test]
fn kip_360_new_epoch_starts_at_zero_and_fences_the_old_one() {
    let mut log = Log::new();
    log.ok(&header(1, 3, 0, 1));
    log.ok(&header(1, 3, 1, 1));
    assert_eq!(log.code(&header(1, 4, 2, 1)), 45);
    log.ok(&header(1, 4, 0, 1));
    assert_eq!(log.code(&header(1, 3, 2, 1)), 47);
    assert_eq!(log.code(&header(1, 3, 1, 1)), 47, "a duplicate of the old epoch is fenced as well");
    log.ok(&header(1, 4, 1, 1));
}

#[test]
fn unknown_producer_may_start_anywhere() {
    let mut log = Log::new();
    log.ok(&header(1, 0, 77, 1));
    assert_eq!(log.code(&header(1, 0, 79, 1)), 45);
    assert_eq!(log.code(&header(9, 0, -1, 1)), 45);
}

fn ids(states: &ProducerStates) -> Vec<i64> {
    states.iter().map(|producer| producer.producer_id.0).collect()
}

#[test]
fn semantics_3_producers_expire_after_logged_time_without_a_batch() {
    let mut log = Log::new();
    log.ok(&header(1, 0, 0, 1));
    log.ok(&header(2, 0, 500, 1));
    log.states.age(5_000, 1_000);
    assert_eq!(ids(&log.states), [1, 2], "they were active in the step that ends here");
    log.states.age(999, 1_000);
    log.ok(&header(2, 0, 501, 1));
    assert_eq!(ids(&log.states), [1, 2]);
    log.states.age(1, 1_000);
    assert_eq!(ids(&log.states), [2], "1 was idle for 1000 ms, 2 was not");
    log.ok(&header(1, 0, 1, 1));
    log.states.age(500, 1_000);
    log.states.age(-5, 1_000);
    assert_eq!(ids(&log.states), [1, 2], "a step back in time does not count");
    log.states.age(500, 1_000);
    assert_eq!(ids(&log.states), [1]);
    log.states.age(i64::MAX, 1_000);
    assert!(log.states.is_empty());
}

/// Kafka compares a batch's own timestamp with the wall clock: timestamps of 1970 ended the producer at the next check, and
/// its retries were appended twice (L3); timestamps of the far future kept it for ever.
#[test]
fn semantics_3_a_producers_timestamps_do_not_count_for_its_expiry() {
    for timestamp in [i64::MIN, -1, 0, i64::MAX] {
        let mut log = Log::new();
        let batch = BatchHeader { max_timestamp: timestamp, ..header(1, 0, 0, 1) };
        log.ok(&batch);
        log.states.age(60_000, 86_400_000);
        log.states.age(60_000, 86_400_000);
        let again = log.states.check(&batch, i64::MAX);
        assert!(matches!(again, Ok(ProducerVerdict::Duplicate { .. })), "{timestamp}: {again:?}");
        log.states.age(86_400_000, 86_400_000);
        assert!(log.states.is_empty(), "{timestamp}");
    }
}

#[test]
fn semantics_3_idle_time_survives_a_checkpoint() {
    let mut log = Log::new();
    log.ok(&header(1, 0, 0, 1));
    log.states.age(10, 1_000);
    log.states.age(600, 1_000);
    let mut out = FieldWriter::new();
    log.states.export(&mut out);
    let bytes = out.finish();
    let mut restored = ProducerStates::import(&mut FieldReader::new(&bytes)).unwrap();
    assert_eq!(restored, log.states);
    restored.age(400, 1_000);
    assert!(restored.is_empty());
}

#[test]
fn markers_raise_the_epoch_and_have_no_sequence() {
    let mut states = ProducerStates::new();
    states.record(&header(1, 0, 0, 1), Offset(0));
    let marker = BatchHeader { attributes: Attributes(0x30), ..header(1, 1, -1, 1) };
    states.record(&marker, Offset(1));
    assert_eq!(states.check(&header(1, 1, 0, 1), 0), Ok(ProducerVerdict::Append));
    assert_eq!(states.check(&header(1, 0, 1, 1), 0).unwrap_err().code(), 47);
    states.record(&header(-1, -1, -1, 1), Offset(2));
    assert_eq!(states.len(), 1);
}

#[test]
fn too_many_producers_forget_the_oldest() {
    let mut states = ProducerStates::new();
    for id in 0..=i64::try_from(PRODUCERS_MAX).unwrap() {
        states.record(&header(id, 0, 0, 1), Offset(id));
    }
    assert!(states.len() <= PRODUCERS_MAX, "{}", states.len());
    assert!(states.len() > PRODUCERS_MAX / 2);
    assert_eq!(states.iter().last().unwrap().producer_id.0, i64::try_from(PRODUCERS_MAX).unwrap());
    assert!(states.iter().next().unwrap().producer_id.0 > 0);
}

#[test]
fn checkpoint_golden_bytes_round_trip_and_truncation() {
    let mut states = ProducerStates::new();
    states.record(&header(7, 1, 0, 2), Offset(5));
    let mut out = FieldWriter::new();
    states.export(&mut out);
    let bytes = out.finish();
    let mut expected = vec![2, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    expected.extend([0xe8, 3, 0, 0, 0, 0, 0, 0]);
    expected.extend([0xff; 8]);
    expected.extend([1, 0, 0, 0, 0, 1, 0, 0, 0]);
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes, expected);
    let mut input = FieldReader::new(&bytes);
    assert_eq!(ProducerStates::import(&mut input).unwrap(), states);
    assert!(input.is_empty());
    for len in 0..bytes.len() {
        assert!(ProducerStates::import(&mut FieldReader::new(&bytes[..len])).is_err());
    }
    let mut hostile = bytes.clone();
    hostile[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(ProducerStates::import(&mut FieldReader::new(&hostile)).is_err());
    let mut hostile = bytes;
    hostile[31] = 6;
    assert!(ProducerStates::import(&mut FieldReader::new(&hostile)).is_err());
}

/// The rules in the plainest form: keep every accepted batch of every producer.
#[derive(Default)]
struct Model {
    accepted: Vec<(BatchHeader, i64)>,
}

impl Model {
    fn check(&self, header: &BatchHeader) -> Result<Option<i64>, i16> {
        let own = self.accepted.iter().filter(|(other, _)| other.producer_id == header.producer_id);
        let own: Vec<_> = own.collect();
        let Some((last, _)) = own.last() else { return Ok(None) };
        if header.producer_epoch != last.producer_epoch {
            let newer = header.producer_epoch > last.producer_epoch;
            return match (newer, header.base_sequence) {
                (false, _) => Err(47),
                (true, 0) => Ok(None),
                (true, _) => Err(45),
            };
        }
        let epoch = own.iter().filter(|(other, _)| other.producer_epoch == header.producer_epoch);
        let same = epoch.rev().take(5).find(|(other, _)| {
            other.base_sequence == header.base_sequence
                && other.records_count == header.records_count
        });
        if let Some((_, offset)) = same {
            return Ok(Some(*offset));
        }
        let next = (i64::from(last.base_sequence) + i64::from(last.records_count)) % (1 << 31);
        if i64::from(header.base_sequence) == next { Ok(None) } else { Err(45) }
    }
}

#[test]
fn random_histories_agree_with_the_model_and_replay_to_the_same_state() {
    for seed in 1..=200u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = move |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut log = Log::new();
        let mut model = Model::default();
        let starts = [0, 1, i32::MAX - 3, i32::MAX];
        for _ in 0..150 {
            let producer = i64::try_from(below(3)).unwrap();
            let epoch = i16::try_from(below(3) / 2).unwrap();
            let own = model.accepted.iter().filter(|(other, _)| other.producer_id.0 == producer);
            let own: Vec<_> = own.map(|(other, _)| *other).collect();
            let count = i32::try_from(1 + below(4)).unwrap();
            let pick = usize::try_from(below(7)).unwrap();
            let candidate = match own.len().checked_sub(pick) {
                Some(index) if index < own.len() => own[index],
                _ => {
                    let next =
                        own.last().map(|last| last.last_sequence().checked_add(1).unwrap_or(0));
                    let start = starts[usize::try_from(below(4)).unwrap()];
                    header(producer, epoch, next.filter(|_| below(5) > 0).unwrap_or(start), count)
                }
            };
            let expected = model.check(&candidate);
            let end = log.end;
            let actual = match log.append(&candidate) {
                Ok(ProducerVerdict::Append) => Ok(None),
                Ok(ProducerVerdict::Duplicate { base_offset, .. }) => Ok(Some(base_offset.0)),
                Err(error) => Err(error.code()),
            };
            assert_eq!(actual, expected, "seed {seed}: {candidate:?}");
            if actual == Ok(None) {
                model.accepted.push((candidate, end));
            }
        }
        let mut replayed = ProducerStates::new();
        for (header, offset) in &model.accepted {
            replayed.record(header, Offset(*offset));
        }
        assert_eq!(replayed, log.states, "seed {seed}");
    }
}
