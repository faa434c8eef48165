//! Disks that are directories of one file system, which takes space as tmpfs does.

use std::io;
use std::rc::{Rc, Weak};

use super::{SimDisk, SimFile, State, yield_polls};

/// Pieces in which space is taken.
const PIECES: u64 = 16;
/// How long they are held when they were too few.
const RELEASE_POLLS: u64 = 64;

impl SimDisk {
    /// Makes the disks directories of one file system, and of no other one: `capacity_bytes` of each bounds what all hold.
    /// `allocate` takes what is free piece by piece there, and gives it back a moment later when that is too little, as
    /// tmpfs does.
    pub fn share_space(disks: &[Self]) {
        for (at, disk) in disks.iter().enumerate() {
            let others = disks[..at].iter().chain(&disks[at + 1..]);
            disk.state.borrow_mut().neighbours =
                others.map(|it| Rc::downgrade(&it.state)).collect();
        }
    }
}

impl State {
    pub(super) fn neighbours_bytes(&self) -> u64 {
        let neighbours = self.neighbours.iter().filter_map(Weak::upgrade);
        neighbours.map(|state| state.borrow().used_bytes()).sum()
    }
}

impl SimFile {
    pub(super) async fn allocate_in_pieces(&self, len: u64) -> io::Result<()> {
        let before = self.disk.state.borrow_mut().inode_mut(self.id).current_len;
        for piece in 1..=PIECES {
            let Err(refused) = self.allocate_whole(len / PIECES * piece).await else { continue };
            yield_polls(RELEASE_POLLS).await;
            self.disk.state.borrow_mut().inode_mut(self.id).current_len = before;
            return Err(refused);
        }
        self.allocate_whole(len).await
    }
}
