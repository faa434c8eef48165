//! Async helpers over [`Connection`]'s poll methods, and the socket set-up that both back ends share.
//!
//! Invariants:
//! - A helper holds no borrow of the connection's inner state across an await.
//! - A listening address is bound exclusively by its first listener in the process; the registry below counts the rest.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::{Either, select};
use socket2::{Domain, Protocol, Socket, Type};

use crate::facade::{Connection, Listener, Runtime};

/// Connections that wait to be accepted, per listening socket; the kernel caps it at `net.core.somaxconn`.
const BACKLOG_MAX: i32 = 1024;

/// Slices given to one vectored write: the kernel's `IOV_MAX`.
pub(crate) const SLICES_MAX: usize = 1024;

/// Slices gathered per write by [`write_all_vectored`]: enough for a full socket buffer of small batches, small
/// enough for the stack.
const GATHER_MAX: usize = 64;

/// Reads once; 0 means end of stream.
///
/// # Errors
/// What the socket reports, such as `ConnectionReset`.
pub async fn read(connection: &dyn Connection, buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| connection.poll_read(cx, buf)).await
}

/// Appends to `buf`, within its capacity, what one read gives; 0 means end of stream.
///
/// # Errors
/// What the socket reports, such as `ConnectionReset`.
pub async fn read_buf(connection: &dyn Connection, buf: &mut BytesMut) -> io::Result<usize> {
    poll_fn(|cx| connection.poll_read_buf(cx, buf)).await
}

/// Fills `buf`.
///
/// # Errors
/// `UnexpectedEof` when the stream ends first, otherwise what the socket reports.
pub async fn read_exact(connection: &dyn Connection, buf: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buf.len() {
        let count = read(connection, &mut buf[filled..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
    }
    Ok(())
}

/// Writes all of `buf`.
///
/// # Errors
/// What the socket reports; a prefix may have been sent.
pub async fn write_all(connection: &dyn Connection, buf: &[u8]) -> io::Result<()> {
    let mut rest = buf;
    while !rest.is_empty() {
        let slices = [IoSlice::new(rest)];
        let count = poll_fn(|cx| connection.poll_write_vectored(cx, &slices)).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[count..];
    }
    Ok(())
}

/// Writes all of `chunks` in order, without joining them, and drops each chunk as soon as it is sent.
///
/// # Errors
/// What the socket reports; a prefix may have been sent.
pub async fn write_all_vectored(
    connection: &dyn Connection,
    mut chunks: VecDeque<Bytes>,
) -> io::Result<()> {
    chunks.retain(|chunk| !chunk.is_empty());
    while !chunks.is_empty() {
        let count = {
            let mut slices = [IoSlice::new(&[]); GATHER_MAX];
            let used = chunks.len().min(GATHER_MAX);
            for (slice, chunk) in slices.iter_mut().zip(&chunks) {
                *slice = IoSlice::new(chunk);
            }
            poll_fn(|cx| connection.poll_write_vectored(cx, &slices[..used])).await?
        };
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        advance(&mut chunks, count);
    }
    Ok(())
}

fn advance(chunks: &mut VecDeque<Bytes>, mut count: usize) {
    while count > 0 {
        let Some(first) = chunks.front_mut() else {
            // The socket never reports more than it was given.
            return;
        };
        let step = count.min(first.len());
        first.advance(step);
        count -= step;
        if first.is_empty() {
            chunks.pop_front();
        }
    }
}

/// Accepts one connection; a free function so that a caller need not name the trait.
///
/// # Errors
/// See [`Listener::accept`].
pub async fn accept(listener: &dyn Listener) -> io::Result<Rc<dyn Connection>> {
    listener.accept().await
}

/// Connects, giving up after `limit`.
///
/// # Errors
/// `TimedOut` after `limit`, otherwise what `connect` reports.
pub async fn connect_timeout(
    runtime: &dyn Runtime,
    addr: SocketAddr,
    limit: Duration,
) -> io::Result<Rc<dyn Connection>> {
    match select(runtime.connect(addr), runtime.sleep(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Addresses this process listens on, with the number of sockets.
static BOUND: Mutex<BTreeMap<SocketAddr, usize>> = Mutex::new(BTreeMap::new());

fn bound() -> MutexGuard<'static, BTreeMap<SocketAddr, usize>> {
    // The map is consistent after every statement, so a poisoned lock is as good as any.
    BOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps one count in [`BOUND`]; dropped with its listener.
pub(crate) struct BoundAddr(SocketAddr);

impl BoundAddr {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.0
    }
}

impl Drop for BoundAddr {
    fn drop(&mut self) {
        let mut bound = bound();
        if let Some(count) = bound.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                bound.remove(&self.0);
            }
        }
    }
}

/// A non-blocking listening socket on `addr`; see [`Runtime::listen`] for who may share it.
///
/// `SO_REUSEPORT` alone would let a second server of the same user take half of the connections in silence. The
/// kernel compares the flags of both sockets at `bind`, so the first one binds without it and sets it afterwards.
pub(crate) fn listen_socket(addr: SocketAddr) -> io::Result<(TcpListener, BoundAddr)> {
    let mut bound = bound();
    let shared = bound.contains_key(&addr);
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&addr.into())?;
    socket.set_reuse_port(true)?;
    socket.listen(BACKLOG_MAX)?;
    let listener = TcpListener::from(socket);
    let local = listener.local_addr()?;
    *bound.entry(local).or_insert(0) += 1;
    Ok((listener, BoundAddr(local)))
}

/// Whether `accept` failed for the connection only, so that the next one may be accepted at once.
pub(crate) fn accept_error_is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
