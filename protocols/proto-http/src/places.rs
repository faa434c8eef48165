//! Who may connect: so many sockets, and so many of one address.
//!
//! Invariant: a place is given back when it is dropped, and an address without places is forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::options::HttpOptions;

/// Between two log lines about refused connections.
const REFUSAL_LOG_PAUSE: Duration = Duration::from_secs(10);

pub(crate) struct Places {
    options: HttpOptions,
    taken: Mutex<BTreeMap<IpAddr, usize>>,
    refusals: Mutex<Refusals>,
}

#[derive(Default)]
struct Refusals {
    logged: Option<Instant>,
    since: u64,
}

/// The right to one socket.
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(options: HttpOptions) -> Arc<Self> {
        Arc::new(Self { options, taken: Mutex::default(), refusals: Mutex::default() })
    }

    /// `None` when a limit is reached; the operator is told which now and then.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let counters = &self.options.counters;
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        let mut taken = lock(&self.taken);
        let total: usize = taken.values().sum();
        let here = taken.get(&address).copied().unwrap_or(0);
        let limit = if total >= self.options.connections_max {
            "http.connections_max"
        } else if here >= self.options.connections_per_address_max {
            "http.connections_per_address_max"
        } else {
            taken.insert(address, here + 1);
            counters.active.fetch_add(1, Ordering::Relaxed);
            return Some(Place { places: Arc::clone(self), address });
        };
        drop(taken);
        counters.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(refused) = lock(&self.refusals).due(Instant::now()) {
            tracing::warn!(%address, limit, refused, "connections refused: a limit is reached");
        }
        None
    }
}

impl Refusals {
    /// Counts one; how many there were since the last line when it is time for one.
    fn due(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.logged.is_some_and(|last| now.duration_since(last) < REFUSAL_LOG_PAUSE) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        if let Some(here) = taken.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.remove(&self.address);
            }
        }
        self.places.options.counters.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Numbers that are whole whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
