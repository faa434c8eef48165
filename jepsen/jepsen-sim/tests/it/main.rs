//! Seeds, determinism, and proof that the checkers catch what they are for.

mod bugs;
mod connections;
mod full_disk;
mod harness;
mod seeds;
mod sweep;
