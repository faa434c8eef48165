//! Aligned memory for direct I/O, written once and then shared without copies.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// Memory that a back end can hand to the device: 4 KiB aligned, length a multiple of 4 KiB.
///
/// `Send + Sync` so that a filled block can be read from another core; a back end whose memory must be freed on
/// the core that allocated it arranges that in its `Drop`.
pub trait IoMemory: Send + Sync + 'static {
    fn bytes(&self) -> &[u8];
    /// Only reachable before the block is frozen, so there is exactly one owner.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// For the back end that made the block to recognise its own.
    fn as_any(&self) -> &dyn Any;
}

/// A block that is being filled.
pub type BlockMut = Box<dyn IoMemory>;

/// A filled, immutable block: written to the device and served to readers from the same memory.
pub type Block = Arc<dyn IoMemory>;

struct Slice {
    block: Block,
    range: Range<usize>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.block.bytes()[self.range.clone()]
    }
}

/// A reference-counted view of `range` of a block, without a copy.
///
/// # Panics
/// When `range` lies outside the block.
#[must_use]
pub fn block_bytes(block: &Block, range: Range<usize>) -> Bytes {
    assert!(range.end <= block.bytes().len(), "slice {range:?} lies inside the block");
    assert!(range.start <= range.end, "slice {range:?} is not reversed");
    Bytes::from_owner(Slice { block: Arc::clone(block), range })
}
