//! Who may be cancelled: the registry of (process id, secret) and one switch per connection.
//!
//! ```text
//!         begin              cancel                 finish
//!  idle ────────► running ───────────► cancelled ───────────► idle
//!    ▲               │ finish                                   (a cancel while idle does nothing)
//!    └───────────────┘
//! ```
//!
//! - A cancel request is never answered, whatever it names (it is not authenticated but by the secret).
//! - A request that arrives when nothing runs is forgotten: it must not end the next statement.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use query_api::Cancel;
use tokio::sync::Notify;

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const CANCELLED: u8 = 2;

/// One connection's switch.
#[derive(Default)]
pub(crate) struct CancelSwitch {
    state: AtomicU8,
    notify: Notify,
}

impl CancelSwitch {
    /// A message is about to be handled.
    pub(crate) fn begin(&self) {
        self.state.store(RUNNING, Ordering::SeqCst);
    }

    /// The message has been handled.
    pub(crate) fn finish(&self) {
        self.state.store(IDLE, Ordering::SeqCst);
    }

    /// Resolves when what runs has been cancelled; for ever pending otherwise.
    pub(crate) async fn cancelled(&self) {
        loop {
            let notified = self.notify.notified();
            if self.state.load(Ordering::SeqCst) == CANCELLED {
                return;
            }
            notified.await;
        }
    }

    /// Whether something ran and is now cancelled.
    fn cancel(&self) -> bool {
        let running = self
            .state
            .compare_exchange(RUNNING, CANCELLED, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if running {
            self.notify.notify_waiters();
        }
        running
    }
}

/// All connections that can be cancelled; shared by the connections of one listener.
pub(crate) struct CancelRegistry {
    entries: Mutex<Entries>,
    /// Keyed by the operating system's randomness: a keyed hash of a counter makes secrets.
    secrets: RandomState,
}

#[derive(Default)]
struct Entries {
    by_process_id: BTreeMap<i32, Entry>,
    last_process_id: i32,
    secrets_made: u64,
}

struct Entry {
    secret: i32,
    /// Absent until the engine's session is open.
    target: Option<Target>,
}

#[derive(Clone)]
struct Target {
    switch: Arc<CancelSwitch>,
    engine: Arc<dyn Cancel>,
}

/// A connection's place in the registry; dropping it takes the connection out.
pub(crate) struct Registration {
    registry: Arc<CancelRegistry>,
    pub(crate) process_id: i32,
    pub(crate) secret: i32,
}

impl CancelRegistry {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), secrets: RandomState::new() })
    }

    /// Gives a new connection its number and secret.
    pub(crate) fn register(self: &Arc<Self>) -> Registration {
        let mut entries = self.lock();
        let mut process_id = entries.last_process_id;
        loop {
            process_id = if process_id == i32::MAX { 1 } else { process_id + 1 };
            if !entries.by_process_id.contains_key(&process_id) {
                break;
            }
        }
        entries.last_process_id = process_id;
        entries.secrets_made += 1;
        let hash = self.secrets.hash_one(entries.secrets_made).to_be_bytes();
        let secret = i32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        entries.by_process_id.insert(process_id, Entry { secret, target: None });
        Registration { registry: Arc::clone(self), process_id, secret }
    }

    /// Cancels what connection `process_id` runs when `secret` is its secret.
    pub(crate) fn cancel(&self, process_id: i32, secret: i32) {
        let target = self
            .lock()
            .by_process_id
            .get(&process_id)
            .filter(|entry| entry.secret == secret)
            .and_then(|entry| entry.target.clone());
        // The engine is called without the lock: it may take its time.
        if let Some(target) = target
            && target.switch.cancel()
        {
            target.engine.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        // A panic elsewhere leaves the map usable: every change to it is one insertion or removal.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Makes the connection cancellable.
    pub(crate) fn arm(&self, switch: Arc<CancelSwitch>, engine: Arc<dyn Cancel>) {
        if let Some(entry) = self.registry.lock().by_process_id.get_mut(&self.process_id) {
            entry.target = Some(Target { switch, engine });
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.lock().by_process_id.remove(&self.process_id);
    }
}
