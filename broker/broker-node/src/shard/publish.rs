//! From a durable catalog change to the catalog of every core; in the meta shard only.
//!
//! ```text
//!  logged ─► unpublished ─► durable ─► streams are added ─► every core's catalog ─► streams are removed ─► answered
//! ```
//!
//! Invariants:
//! - Changes are published in the order of the log, whoever waits for them: a catalog names also what earlier changes have
//!   made, and their streams must be there first.
//! - An answer that tells of a change, a refusal because of it among them, comes when the change is published.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use broker_core::catalog::Catalog;
use broker_kafka::Turns;
use broker_kafka::broker::Fatal;
use log_types::Position;

use crate::core::{PlacesChanged, Shared};

use super::Shard;

/// A logged change that cores may not know of yet, and the catalog right after it.
pub(super) struct Unpublished {
    pub(super) position: Position,
    pub(super) catalog: Arc<Catalog>,
    pub(super) changed: PlacesChanged,
}

/// The changes on their way.
pub(super) struct Publishing {
    changes: RefCell<VecDeque<Unpublished>>,
    /// Where the newest change of the catalog lies, published or not.
    logged: Cell<Position>,
    /// Whose turn it is to publish.
    turn: Turns,
}

impl Publishing {
    /// Everything that was replayed is durable: nothing has to be waited for.
    pub(super) fn new() -> Self {
        let (changes, logged) = (RefCell::default(), Cell::new(Position(0)));
        Self { changes, logged, turn: Turns::new(1) }
    }

    pub(super) fn logged(&self) -> Position {
        self.logged.get()
    }

    pub(super) fn log(&self, change: Unpublished) {
        assert!(change.position >= self.logged.get(), "changes are logged in order");
        self.logged.set(change.position);
        self.changes.borrow_mut().push_back(change);
    }

    /// The changes up to `position` as one, oldest first; `None` when all of them are taken.
    fn take(&self, position: Position) -> Option<(Arc<Catalog>, PlacesChanged)> {
        let mut changes = self.changes.borrow_mut();
        let count = changes.partition_point(|change| change.position <= position);
        let (mut newest, mut places) = (None, PlacesChanged::default());
        for Unpublished { catalog, changed, .. } in changes.drain(..count) {
            newest = Some(catalog);
            places.added.extend(changed.added);
            places.removed.extend(changed.removed);
        }
        newest.map(|catalog| (catalog, places))
    }
}

impl Shard {
    /// Completes when every core knows of all changes that are durable now.
    pub(super) async fn publish_durable(&self, shared: &Shared) -> Result<(), Fatal> {
        // Whoever has published what is asked for here had it before.
        let _turn = self.publishing.turn.take().await;
        let Some((catalog, places)) = self.publishing.take(self.journal.durable()) else {
            return Ok(());
        };
        shared.publish(catalog, places).await
    }
}
