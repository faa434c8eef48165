//! Who waits for new data of a stream: fetches in their `max_wait`, followers from the query side.
//!
//! A watcher is woken once; it looks again and watches again if it wants more. One that lost interest is dropped at
//! the next wake-up of its stream.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures_channel::oneshot;
use log_types::StreamId;
use std::cell::RefCell;

/// One waiting fetch, registered under each of its streams.
pub(super) type Watcher = Rc<RefCell<Option<oneshot::Sender<()>>>>;

#[derive(Default)]
pub(super) struct Watchers {
    by_stream: BTreeMap<StreamId, Vec<Watcher>>,
}

/// Beyond this many, registering one first drops those that gave up.
const STALE_CHECK_MIN: usize = 16;

impl Watchers {
    pub(super) fn add(&mut self, stream: StreamId, watcher: Watcher) {
        let waiting = self.by_stream.entry(stream).or_default();
        // At powers of two only, so that adding stays cheap when nobody has given up.
        if waiting.len() >= STALE_CHECK_MIN && waiting.len().is_power_of_two() {
            waiting.retain(|other| {
                other.borrow().as_ref().is_some_and(|sender| !sender.is_canceled())
            });
        }
        waiting.push(watcher);
    }

    pub(super) fn wake(&mut self, stream: StreamId) {
        for watcher in self.by_stream.remove(&stream).unwrap_or_default() {
            if let Some(sender) = watcher.borrow_mut().take() {
                // The fetch may have timed out meanwhile.
                let _ = sender.send(());
            }
        }
    }
}
