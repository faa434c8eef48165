//! The runtime facade: one executor per core, chosen at start, behind small object-safe traits.
//!
//! It is the only crate that names an executor of cores or io_uring. Everything above it (`broker-node`, the listeners)
//! sees only the traits of [`facade`](Runtime) and of `log-io`; the deterministic simulator implements the same traits
//! elsewhere.
//!
//! ```text
//!                 run_cores(options, main)            one named thread per core
//!                     │
//!             executor (tokio current_thread): tasks, timers, sockets by readiness
//!                     │
//!        ┌────────────┴───────────┐
//!   io_uring: one ring per core   epoll: a disk thread pool
//!        └────────────┬───────────┘  O_DIRECT in both
//!              dyn Runtime ─► Clock · Random · spawn · sleep · Listener/Connection · Disk
//! ```
//!
//! Invariants:
//! - A panic on a core or disk thread prints and then aborts the process: the log is the truth, a restart folds it again.
//! - A `Runtime` and all it hands out stay on their core. Only `Bytes`, `Block`s and `futures-channel` ends cross.
//! - No `RefCell` is borrowed across an await; a connection may be read and written by two tasks at once.
//! - A future that is dropped while its write is in flight leaves that write indeterminate: it may or may not happen.
//!
//! Shutdown: when `main`'s future returns, every task still alive is dropped on the core thread where it last awaited,
//! and then the executor with its sockets and files. Whoever needs an orderly end waits for its tasks inside `main`.
//!
//! Deliberately absent: TLS, UDP, file streams, joining of spawned tasks (use a oneshot), thread-safe handles.

mod choose;
mod clock;
mod cores;
mod device;
mod directory;
mod disk;
mod executor;
mod facade;
mod lone;
mod memory;
mod net;
mod pool;
mod pool_file;
mod probe;
mod removal;
mod ring;
mod ring_file;
mod traffic;

pub use choose::{Backend, Chosen, Reactor, RtError, choose};
pub use cores::{CoreId, CoreMain, Cores, Options, run_cores};
pub use facade::{Connection, Listener, Queue, Runtime};
pub use net::{accept, connect_timeout, read, read_buf, read_exact, write_all, write_all_vectored};
