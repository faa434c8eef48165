//! The rules of this repository, as functions that return violations; `tests/it` applies them to the checkout.
//!
//! ```text
//!  cargo metadata ──► graph ──► dependencies, budgets ─┐
//!  git ls-files   ──► tree  ──► sources, blobs        ─┼──► violations: what, where, and why it is a rule
//!  Cargo.lock     ──────────► banned packages         ─┘
//! ```
//!
//! Invariants:
//! - A rule is a pure function from plain data to violations, with a unit test in which it bites.
//! - The text of a violation carries the reason, so that the reader need not look it up.
//! - Exception lists only shrink: an entry that is no longer needed is itself a violation.
//!
//! Deliberately absent: what clippy and rustfmt check already.

pub mod dependencies;
pub mod graph;
pub mod sources;
pub mod tree;

#[cfg(test)]
mod tests;
