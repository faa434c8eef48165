//! Incremental fetch sessions (KIP-227) as a client sees them: only what changed is asked for and answered.
//!
//! ```text
//!  epoch 0: all partitions ─► session id ─► epoch 1, 2, …: moved positions, forgotten partitions ─► unknown session: epoch 0
//! ```

use broker_kafka_wire::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic};
use log_types::{Offset, PartitionId};

use crate::consumer::Positions;
use crate::rpc::{Context, TOPIC};

const SESSION_NOT_FOUND: i16 = 70;
const INVALID_SESSION_EPOCH: i16 = 71;

/// A session, or none.
pub(crate) struct Session {
    /// `None`: every fetch asks for everything.
    epoch: Option<i32>,
    id: i32,
    /// What the broker has been told.
    told: Positions,
    /// Tells positions that are one too far: a seeded bug.
    skipping: bool,
}

impl Session {
    pub(crate) fn none() -> Self {
        Self { epoch: None, id: 0, told: Positions::new(), skipping: false }
    }

    pub(crate) fn new(skipping: bool) -> Self {
        Self { epoch: Some(0), skipping, ..Self::none() }
    }

    /// The next request.
    pub(crate) fn request(&mut self, positions: &Positions, wait_ms: i32) -> FetchRequest {
        let fresh = self.epoch.is_none_or(|epoch| epoch == 0);
        if fresh {
            (self.id, self.told) = (0, Positions::new());
        }
        let moved = positions.iter().filter(|(partition, at)| self.told.get(partition) != Some(at));
        let skipped = i64::from(self.skipping && !fresh);
        let wanted: Vec<FetchPartition> = moved
            .map(|(partition, position)| FetchPartition {
                partition: PartitionId(*partition),
                fetch_offset: Offset(*position + skipped),
                partition_max_bytes: 32 << 10,
                ..FetchPartition::default()
            })
            .collect();
        let gone = self.told.keys().filter(|partition| !positions.contains_key(partition));
        let forgotten: Vec<PartitionId> = gone.copied().map(PartitionId).collect();
        self.told.clone_from(positions);
        let topic = |partitions| FetchTopic {
            topic: TOPIC.to_owned(),
            partitions,
            ..FetchTopic::default()
        };
        let left = |partitions| ForgottenTopic {
            topic: TOPIC.to_owned(),
            partitions,
            ..ForgottenTopic::default()
        };
        FetchRequest {
            max_wait_ms: wait_ms,
            min_bytes: 1,
            max_bytes: 256 << 10,
            session_id: self.id,
            session_epoch: self.epoch.unwrap_or(-1),
            topics: if wanted.is_empty() { Vec::new() } else { vec![topic(wanted)] },
            forgotten_topics: if forgotten.is_empty() { Vec::new() } else { vec![left(forgotten)] },
            ..FetchRequest::default()
        }
    }

    /// Takes note of an answer; `false` when the session has to begin anew.
    pub(crate) fn goes_on(&mut self, context: &Context, answer: &FetchResponse) -> bool {
        let Some(epoch) = self.epoch else {
            if answer.error_code != 0 {
                let code = answer.error_code;
                context.history.violation(format!("wire: error {code} on a fetch without session"));
            }
            return answer.error_code == 0;
        };
        match answer.error_code {
            0 => {
                context.history.count(|counts| counts.session_fetches += u64::from(epoch > 0));
                // The broker may have no room for a session.
                self.epoch = Some(if answer.session_id == 0 { 0 } else { epoch + 1 });
                self.id = answer.session_id;
                true
            }
            SESSION_NOT_FOUND | INVALID_SESSION_EPOCH if epoch > 0 => {
                self.epoch = Some(0);
                false
            }
            code => {
                let id = self.id;
                context.history.violation(format!("wire: error {code} on fetch session {id}"));
                self.epoch = Some(0);
                false
            }
        }
    }
}
