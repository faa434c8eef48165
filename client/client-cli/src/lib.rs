//! The command line: every command that needs no engine, and the parts of `serve` that are not the server.
//!
//! ```text
//!  lumadb (main) ──Cli──► run ──► topic produce consume group bench   ──client-kafka──► a broker's Kafka port
//!                           ├──► sql                                  ──pg───────────► a server's PostgreSQL port
//!                           ├──► config doctor completions version
//!                           └──► Server (a trait) ◄── implemented by lumadb: serve, demo, what doctor asks of the runtime
//! ```
//!
//! Invariants:
//! - Data goes to standard output, everything else to standard error; nothing here prints past [`Terminal`].
//! - Every failure is a [`Failure`] with one of the documented exit codes ([`Exit`]).
//! - A reader that goes away (a broken pipe) ends a command silently with code 0.
//! - What is destructive asks on a terminal, and refuses without one unless `--yes` was given.
//!
//! Deliberately absent: profiles, aliases of other products' spellings, progress bars, a pager.

mod args;
mod bench;
mod config;
mod connect;
mod consume;
mod doctor;
mod exit;
mod format;
mod group;
mod input;
mod local;
mod offsets;
mod pg;
mod produce;
mod run;
mod sql;
mod terminal;
mod topic;
mod verbs;

pub use args::{Cli, Command, ConfigArgs, DemoArgs, ServeArgs, VerifyArgs};
pub use exit::{Exit, Failure};
pub use format::{Format, Rows};
pub use local::{
    DEMO_DIR_PREFIX, DataDirLock, PORTS_TRIED_MAX, PortError, bind_listener, default_data_dir,
    lock_data_dir, mark_demo, notify_ready, remove_left_demos, write_ready_file,
};
pub use run::{Server, run};
pub use terminal::Terminal;
