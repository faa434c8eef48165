//! What decoding a request costs: memory, which is to be reserved before, and time, which is given in slices.
//!
//! A core serves its connections on one thread. Whoever decodes or encodes very many elements yields after each
//! [`SLICE_ELEMENTS`], so that other tasks of the core run in between; any executor can drive it, because it yields by
//! waking itself.

use std::future::poll_fn;
use std::task::Poll;

/// Elements that are decoded or encoded without a yield: some 30 µs.
const SLICE_ELEMENTS: usize = 512;
/// What is copied in the time that a small element takes.
const ELEMENT_BYTES: usize = 512;
/// What an element takes besides its decoded form: its strings' allocations, its part of the answer, and what stands between
/// the two.
const ANSWER_BYTES: usize = 256;

/// What a request takes in memory while it is answered, besides its own bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Array elements, nested ones included.
    pub elements: usize,
    /// Bytes that they and their answers take at most.
    pub bytes: usize,
}

impl Cost {
    pub(crate) fn add(&mut self, elements: usize, memory_bytes: usize) {
        self.elements += elements;
        self.bytes += elements * (memory_bytes + ANSWER_BYTES);
    }
}

/// What is left of the present slice of work.
#[derive(Debug)]
pub(crate) struct Slice(usize);

impl Default for Slice {
    fn default() -> Self {
        Self(SLICE_ELEMENTS)
    }
}

impl Slice {
    /// Long strings count for several elements.
    pub(crate) fn copied(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes / ELEMENT_BYTES);
    }

    pub(crate) async fn element_done(&mut self) {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 {
            *self = Self::default();
            yield_once().await;
        }
    }
}

/// Lets everything else that is ready run first.
pub async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
