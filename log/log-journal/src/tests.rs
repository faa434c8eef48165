//! Tests of the journal through its interface, on the simulated disk.
//!
//! A [`Rig`] is one process: a journal, its flusher and an owner that folds every entry into a [`Model`]. A script drives
//! it; [`Rig::audit`] checks that what is on the disk is exactly a prefix of what was appended, and at least what was
//! acknowledged.

mod crash;
mod damage;
mod format;
mod pipeline;
mod read;
mod recovery;
mod rig;
mod rot;
mod roundtrip;
mod shared_space;
mod space;

use rig::{Rig, Step, append, volatile};
