//! What lz4 and snappy have in common: output is runs of literal bytes and of bytes that came out before.

/// A run that is being copied to the output.
#[derive(Default)]
pub(crate) struct Run<'a> {
    /// Left to copy from the input; they come first.
    pub(crate) literals: &'a [u8],
    /// Left to copy from the output.
    pub(crate) repeated: usize,
    /// How far back those are: between 1 and the length of the output.
    pub(crate) distance: usize,
}

impl Run<'_> {
    pub(crate) fn is_done(&self) -> bool {
        self.literals.is_empty() && self.repeated == 0
    }

    /// Copies up to `room` bytes.
    pub(crate) fn copy(&mut self, output: &mut Vec<u8>, room: usize) {
        let (now, later) = self.literals.split_at(room.min(self.literals.len()));
        output.extend_from_slice(now);
        self.literals = later;
        if !later.is_empty() {
            return;
        }
        let mut left = self.repeated.min(room - now.len());
        self.repeated -= left;
        let start = output.len() - self.distance;
        // What repeats doubles with each turn, so a run of one byte takes few.
        while left > 0 {
            let count = left.min(output.len() - start);
            output.extend_from_within(start..start + count);
            left -= count;
        }
    }
}
