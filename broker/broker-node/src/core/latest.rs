//! The node's newest catalog, one for all cores.
//!
//! A core keeps a copy and looks here, at one atomic load per question, whether there is a newer one. Without this a
//! client could see a topic on one connection and miss it on the next, served by a core that a message had yet to reach.
//!
//! Invariant: versions only grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_core::catalog::Catalog;

/// The newest catalog and its version.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    version: AtomicU64,
    catalog: Mutex<Arc<Catalog>>,
}

impl Latest {
    /// Takes a catalog over unless a newer one came first.
    pub(crate) fn offer(&self, catalog: &Arc<Catalog>) {
        let mut held = self.held();
        if catalog.version > held.version {
            *held = Arc::clone(catalog);
            self.version.store(catalog.version, Ordering::Release);
        }
    }

    /// The newest catalog, when it is newer than `version`.
    pub(crate) fn newer_than(&self, version: u64) -> Option<Arc<Catalog>> {
        if self.version.load(Ordering::Acquire) <= version {
            return None;
        }
        Some(Arc::clone(&self.held()))
    }

    fn held(&self) -> MutexGuard<'_, Arc<Catalog>> {
        // Only whole catalogs are ever stored, so a poisoned lock holds a good one.
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
