//! What a request takes in memory, which is to be reserved before it is decoded.

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
