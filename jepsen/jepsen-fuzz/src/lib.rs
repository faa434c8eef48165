//! Mutation fuzzing of every decoder that untrusted bytes reach, on stable Rust and in a plain binary.
//!
//! ```text
//!  corpus/<target>.txt ─┐                       ┌─ Refused: forgotten
//!  regressions ─────────┼─► pool ─► mutate ─► run ─ Accepted: joins the pool (bounded), so that mutations go deeper
//!  built-in seeds ──────┘             ▲          └─ panic, broken promise, over budget: Finding, written to a file
//!                                   seed
//! ```
//!
//! Invariants:
//! - The same target, corpus, seed and number of executions give the same inputs in the same order.
//! - An execution is one call of [`Target::run`]; what a target promises is checked inside it, by assertions.
//! - Memory: the peak of live bytes during an execution stays within [`Target::memory`] (64 KiB + 16 × input unless the
//!   target says why not). Time: the number of steps stays within [`Target::steps`]; a step is an allocation or a turn
//!   of a loop that the target counts. The wall clock is a generous guard only, since it depends on the machine.
//!
//! Deliberately absent: coverage feedback (it needs a nightly compiler), threads, a network. "Was accepted" stands in
//! for "reached something new".

pub mod alloc;
pub mod corpus;
pub mod mutate;
pub mod rng;
pub mod run;
pub mod target;
pub mod targets;

pub use run::{Finding, Report, replay, run};
pub use target::{Limit, Steps, Target, Verdict};
pub use targets::TARGETS;
