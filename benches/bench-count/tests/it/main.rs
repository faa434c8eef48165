//! Instruction counts against the committed baseline, and heap allocations per record.

mod allocations;
mod gate;
