//! The sessions of one core: opening, continuing, closing, evicting.

use crate::fetch_session::session::{
    FetchKey, FetchPartition, FetchResult, FetchSessionConfig, FetchSessionError, Session,
    next_epoch,
};
use std::collections::BTreeMap;

const EPOCH_FINAL: i32 = -1;
const EPOCH_INITIAL: i32 = 0;

/// A fetch under way: keep it until the response is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Begun {
    /// What to fetch, in this order.
    pub partitions: Vec<FetchPartition>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Sessionless,
    /// Wants a session.
    Full {
        privileged: bool,
        by_id: bool,
    },
    /// The epoch the session must still have at the end.
    Incremental {
        session_id: i32,
        epoch: i32,
    },
}

/// The cache. Not durable: after a restart clients open new sessions.
#[derive(Debug)]
pub struct FetchSessions {
    config: FetchSessionConfig,
    sessions: BTreeMap<i32, Session>,
    /// Partitions over all sessions.
    partition_count: usize,
}

impl FetchSessions {
    #[must_use]
    pub fn new(config: FetchSessionConfig) -> Self {
        Self { config, sessions: BTreeMap::new(), partition_count: 0 }
    }

    /// Sessions in the cache.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Partitions over all sessions.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Starts a fetch. `partitions` and `forgotten` are the request's; `by_id` says that it names topics by id (version ≥
    /// 13), `privileged` that it comes from a replica. Versions below 7 have no sessions: pass id 0 and epoch −1.
    ///
    /// # Errors
    /// [`FetchSessionError`]: the response carries its code and session id 0, and nothing is fetched.
    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one request, two of them the session"
    )]
    pub fn begin(
        &mut self,
        now_ms: i64,
        session_id: i32,
        epoch: i32,
        by_id: bool,
        privileged: bool,
        partitions: Vec<FetchPartition>,
        forgotten: &[FetchKey],
    ) -> Result<Begun, FetchSessionError> {
        match epoch {
            EPOCH_FINAL => {
                self.close(session_id);
                Ok(Begun { partitions, kind: Kind::Sessionless })
            }
            EPOCH_INITIAL => {
                self.close(session_id);
                let kind = match partitions.len() > self.config.session_partitions_max {
                    true => Kind::Sessionless,
                    false => Kind::Full { privileged, by_id },
                };
                Ok(Begun { partitions, kind })
            }
            _ => self.continue_session(now_ms, session_id, epoch, by_id, partitions, forgotten),
        }
    }

    fn continue_session(
        &mut self,
        now_ms: i64,
        session_id: i32,
        epoch: i32,
        by_id: bool,
        partitions: Vec<FetchPartition>,
        forgotten: &[FetchKey],
    ) -> Result<Begun, FetchSessionError> {
        let session =
            self.sessions.get_mut(&session_id).ok_or(FetchSessionError::SessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(FetchSessionError::InvalidSessionEpoch);
        }
        if session.by_id != by_id {
            return Err(FetchSessionError::TopicId);
        }
        let before = session.len();
        // Before any of them is looked at: a session never has so many.
        let named = partitions.len().max(forgotten.len());
        if named > self.config.session_partitions_max {
            self.close(session_id);
            return Err(FetchSessionError::SessionIdNotFound);
        }
        let added = partitions.iter().filter(|wanted| !session.contains(&wanted.key)).count();
        let too_many = self.partition_count.saturating_add(added) > self.config.partitions_max;
        if too_many || before.saturating_add(added) > self.config.session_partitions_max {
            self.close(session_id);
            return Err(FetchSessionError::SessionIdNotFound);
        }
        for partition in partitions {
            session.upsert(partition);
        }
        for key in forgotten {
            session.forget(key);
        }
        session.epoch = next_epoch(epoch);
        session.used_ms = now_ms;
        let after = session.len();
        let (partitions, epoch) = (session.partitions(), session.epoch);
        self.partition_count = self.partition_count + after - before;
        if after == 0 {
            self.close(session_id);
            return Ok(Begun { partitions, kind: Kind::Sessionless });
        }
        Ok(Begun { partitions, kind: Kind::Incremental { session_id, epoch } })
    }

    /// Ends a fetch: keeps in `results` what the response must hold, and returns its session id (0: no session). `random`
    /// makes the id of a new session. Called again for one [`Begun`] it would hide news: call it once, with the final results.
    ///
    /// # Errors
    /// The session was evicted or went on meanwhile: the response carries the code and no partitions.
    pub fn finish(
        &mut self,
        now_ms: i64,
        begun: Begun,
        results: &mut Vec<FetchResult>,
        random: u32,
    ) -> Result<i32, FetchSessionError> {
        match begun.kind {
            Kind::Sessionless => Ok(0),
            Kind::Full { privileged, by_id } => {
                let mut session = Session::new(now_ms, privileged, by_id);
                for partition in begun.partitions {
                    session.upsert(partition);
                }
                for result in results.iter() {
                    session.answer(result);
                }
                Ok(self.open(now_ms, session, random))
            }
            Kind::Incremental { session_id, epoch } => {
                let session = self
                    .sessions
                    .get_mut(&session_id)
                    .ok_or(FetchSessionError::SessionIdNotFound)?;
                if session.epoch != epoch {
                    return Err(FetchSessionError::InvalidSessionEpoch);
                }
                session.used_ms = now_ms;
                results.retain(|result| session.answer(result));
                Ok(session_id)
            }
        }
    }

    /// 0 when there is no room.
    fn open(&mut self, now_ms: i64, session: Session, random: u32) -> i32 {
        let size = session.len();
        let room = self.config.partitions_max.saturating_sub(self.partition_count);
        if size == 0 || size > room {
            return 0;
        }
        let full = self.sessions.len() >= self.config.slots_max;
        if full && !self.evict(now_ms, session.privileged, size) {
            return 0;
        }
        let mut session_id = i32::try_from(random & 0x7fff_ffff).unwrap_or(1).max(1);
        while self.sessions.contains_key(&session_id) {
            session_id = next_epoch(session_id);
        }
        self.partition_count += size;
        self.sessions.insert(session_id, session);
        session_id
    }

    fn close(&mut self, session_id: i32) {
        if let Some(session) = self.sessions.remove(&session_id) {
            self.partition_count -= session.len();
        }
    }

    /// Makes room for a session of `size` partitions, if one is worth less.
    fn evict(&mut self, now_ms: i64, privileged: bool, size: usize) -> bool {
        let eviction_ms = self.config.eviction_ms;
        let stale = self.sessions.iter().min_by_key(|(id, session)| (session.used_ms, **id));
        let stale = stale.filter(|(_, session)| now_ms - session.used_ms > eviction_ms);
        let cheapest = || {
            let evictable = self.sessions.iter().filter(|(_, session)| {
                let grown = now_ms - session.created_ms > eviction_ms;
                grown || (privileged && !session.privileged)
            });
            let worth = |session: &Session| (session.privileged, session.len());
            let least = evictable.min_by_key(|(id, session)| (worth(session), **id));
            least.filter(|(_, session)| (privileged, size) >= worth(session))
        };
        let Some(session_id) = stale.or_else(cheapest).map(|(id, _)| *id) else { return false };
        self.close(session_id);
        true
    }
}
