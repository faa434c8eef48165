//! Seeds, determinism, and proof that the checkers catch what they are for.

mod bugs;
mod connections;
mod seeds;
mod sweep;
