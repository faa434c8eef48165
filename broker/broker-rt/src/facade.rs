//! The traits that a core's tasks program against; no runtime is named here.
//!
//! Invariants:
//! - Every object is used as `Rc<dyn _>` on the core that made it.
//! - `poll_*` methods take `&self`; reads and writes of one connection may be polled from two different tasks, but at
//!   most one task reads and one task writes at a time (the last waker wins).

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use log_io::{Clock, Disk, LocalFuture, Random};

/// Which of a core's two queues a task runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Network, produce and commit: runs within about a millisecond of being woken.
    Latency,
    /// Everything that may wait: compaction, retention, statistics. Loops yield when [`Runtime::need_preempt`] says so.
    ///
    /// The executor of `broker-rt` has one queue for both: the yields alone keep the latency of the others.
    Background,
}

/// One core's executor: time, tasks, sockets and files.
pub trait Runtime {
    fn clock(&self) -> Rc<dyn Clock>;
    fn random(&self) -> Rc<dyn Random>;
    /// Runs `task` detached on this core until it ends or the core's main future returns. `name` is for diagnostics.
    fn spawn(&self, queue: Queue, name: &'static str, task: LocalFuture<'static, ()>);
    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()>;
    /// Lets every other ready task and the reactor run once.
    fn yield_now(&self) -> LocalFuture<'static, ()>;
    /// Whether the running task has used up its time slice (some hundred microseconds) and should yield.
    fn need_preempt(&self) -> bool;
    /// Binds and listens.
    ///
    /// The first listener of an address in this process binds it exclusively, so a port that another process
    /// serves is `AddrInUse`; further ones of the same address (one per core) share it by `SO_REUSEPORT`. With port 0
    /// the kernel chooses: take [`Listener::local_addr`] on the first core and pass that to the others.
    ///
    /// # Errors
    /// What `socket`, `bind` and `listen` return; `AddrInUse` and `PermissionDenied` are the common ones.
    fn listen(&self, addr: SocketAddr) -> io::Result<Rc<dyn Listener>>;
    fn connect(&self, addr: SocketAddr) -> LocalFuture<'static, io::Result<Rc<dyn Connection>>>;
    /// Opens `dir` as a flat directory of files and creates it (with parents) when it is missing.
    ///
    /// # Errors
    /// When it cannot be created or is not a directory.
    fn disk(&self, dir: &Path) -> io::Result<Rc<dyn Disk>>;
}

/// A listening TCP socket.
pub trait Listener {
    /// The bound address, with the port that the kernel chose when 0 was asked for.
    fn local_addr(&self) -> SocketAddr;
    /// The next connection. One task accepts at a time.
    ///
    /// Resource shortage (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`) is an error after which accepting may be tried
    /// again later; a connection that was reset while queued is skipped.
    fn accept(&self) -> LocalFuture<'_, io::Result<Rc<dyn Connection>>>;
}

/// A TCP connection with `TCP_NODELAY` set.
pub trait Connection {
    /// Reads into `buf`; 0 means that the peer has closed its side (or that `buf` is empty).
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Reads into the spare capacity of `buf` and appends what arrived; 0 means that the peer has closed its side (or
    /// that there is no spare capacity).
    ///
    /// This default zeroes the capacity first; a back end that reads into uninitialised memory does better.
    fn poll_read_buf(&self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>> {
        let filled = buf.len();
        buf.resize(buf.capacity(), 0);
        let read = self.poll_read(cx, &mut buf[filled..]);
        let count = match &read {
            Poll::Ready(Ok(count)) => *count,
            _ => 0,
        };
        buf.truncate(filled + count);
        read
    }
    /// Writes a prefix of the concatenation of `bufs` and returns its length; at most 1024 slices are looked at.
    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;
    fn peer(&self) -> SocketAddr;
    fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;
    /// Tells the peer that nothing more will be written; reading goes on.
    fn shutdown_write(&self) -> io::Result<()>;
    /// Ends both directions at once: pending and later reads give 0 or an error, writes an error. Idempotent.
    /// The descriptor is released when the last `Rc` is dropped.
    fn close(&self);
}
