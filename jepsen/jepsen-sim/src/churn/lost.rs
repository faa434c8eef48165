//! Deletions whose answers were lost: what may still come of them.
//!
//! A request on a connection that broke is at work in the node as long as its process lives, beside everything that is asked on
//! later connections; Kafka promises no order between connections. So a topic that was there when its name was refused may be
//! gone a moment later. Each lost deletion takes away one topic at most, and ends with the process it was sent to.

/// One entry for each lost deletion: the start of the node it was sent to.
#[derive(Debug, Default)]
pub(super) struct LostDeletions(Vec<u32>);

impl LostDeletions {
    pub(super) fn add(&mut self, start: u32) {
        self.0.push(start);
    }

    /// A topic is gone while the node's start is `now`: whether a lost deletion explains that, which is then done.
    pub(super) fn take_effect(&mut self, now: u32) -> bool {
        self.0.retain(|start| *start == now);
        self.0.pop().is_some()
    }
}

#[cfg(test)]
mod tests;
