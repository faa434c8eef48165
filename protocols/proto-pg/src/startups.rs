//! Connections that have not said who they are: bounded per address and altogether, and the longest silent one makes room.
//!
//! A client that means it is through start-up in milliseconds, so the one that has been at it for longest is the one to
//! close: silent sockets can lock nobody out, not even others of their own address.
//!
//! Invariant: an entry is there from [`Startups::enter`] until its guard is dropped or it had to make room.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The start-ups of one listener.
pub(crate) struct Startups {
    per_address_max: usize,
    total_max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Oldest first.
    by_address: BTreeMap<IpAddr, VecDeque<Entry>>,
    total: usize,
    next_id: u64,
}

struct Entry {
    id: u64,
    /// Dropped to close that connection.
    _stay: oneshot::Sender<()>,
}

/// A start-up; leaves when dropped.
pub(crate) struct Startup {
    startups: Arc<Startups>,
    address: IpAddr,
    id: u64,
    /// Resolves when this one has to make room.
    pub(crate) evicted: oneshot::Receiver<()>,
}

impl Startups {
    pub(crate) fn new(per_address_max: usize, total_max: usize) -> Arc<Self> {
        Arc::new(Self { per_address_max, total_max, waiting: Mutex::default() })
    }

    /// Takes a start-up in; the address of the one that had to make room, if one had to.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> (Startup, Option<IpAddr>) {
        let mut waiting = self.lock();
        let here = waiting.by_address.get(&address).map_or(0, VecDeque::len);
        let evicted = if here >= self.per_address_max {
            Some(address)
        } else if waiting.total >= self.total_max {
            waiting.busiest()
        } else {
            None
        };
        if let Some(from) = evicted {
            waiting.remove(from, |entries| entries.pop_front());
        }
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.total += 1;
        let (stay, evicted_rx) = oneshot::channel();
        waiting.by_address.entry(address).or_default().push_back(Entry { id, _stay: stay });
        drop(waiting);
        let startup = Startup { startups: Arc::clone(self), address, id, evicted: evicted_rx };
        (startup, evicted)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The address with most start-ups.
    fn busiest(&self) -> Option<IpAddr> {
        let by_count = self.by_address.iter().max_by_key(|(_, entries)| entries.len());
        by_count.map(|(address, _)| *address)
    }

    fn remove(
        &mut self,
        address: IpAddr,
        take: impl FnOnce(&mut VecDeque<Entry>) -> Option<Entry>,
    ) {
        let Some(entries) = self.by_address.get_mut(&address) else { return };
        if take(entries).is_some() {
            self.total -= 1;
        }
        if entries.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        let id = self.id;
        self.startups.lock().remove(self.address, |entries| {
            let at = entries.iter().position(|entry| entry.id == id)?;
            entries.remove(at)
        });
    }
}

#[cfg(test)]
mod tests;
