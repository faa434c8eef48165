//! Group scenarios as text, one per rule, and the records' bytes.

mod backlog;
mod codec;
mod harness;
mod membership;
mod offsets;
mod storm;
