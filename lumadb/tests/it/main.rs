//! The binary as its users meet it: servers, commands against them, exit codes.

mod bare;
mod commands;
mod demo;
mod descriptors;
mod harness;
mod offline;
mod scripts;
mod serve;
mod streaming;
mod terminal;
