//! Instruction counts against the committed baseline, and heap allocations per record.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod allocations;
mod gate;
