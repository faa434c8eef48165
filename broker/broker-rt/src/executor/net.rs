//! TCP on tokio's readiness interface.
//!
//! Invariants:
//! - Reading and writing need only `&TcpStream`: readiness is polled, then the call is tried without blocking.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use log_io::LocalFuture;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use crate::facade::{Connection, Listener};
use crate::net::{BoundAddr, SLICES_MAX, accept_error_is_transient, listen_socket};

pub(super) struct TokioListener {
    listener: TcpListener,
    bound: BoundAddr,
}

impl TokioListener {
    pub(super) fn bind(addr: SocketAddr) -> io::Result<Self> {
        let (listener, bound) = listen_socket(addr)?;
        Ok(Self { listener: TcpListener::from_std(listener)?, bound })
    }
}

impl Listener for TokioListener {
    fn local_addr(&self) -> SocketAddr {
        self.bound.addr()
    }

    fn accept(&self) -> LocalFuture<'_, io::Result<Rc<dyn Connection>>> {
        Box::pin(async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, peer)) => return Ok(wrap(stream, peer)),
                    Err(error) if accept_error_is_transient(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

pub(super) async fn connect(addr: SocketAddr) -> io::Result<Rc<dyn Connection>> {
    Ok(wrap(TcpStream::connect(addr).await?, addr))
}

fn wrap(stream: TcpStream, peer: SocketAddr) -> Rc<dyn Connection> {
    // It fails only for a connection that is already gone; the first read then says so.
    let _ = stream.set_nodelay(true);
    Rc::new(TokioConnection { stream, peer, drained: Cell::new(false) })
}

struct TokioConnection {
    stream: TcpStream,
    peer: SocketAddr,
    /// The last read left room: nothing more was there, and asking again would only be told so.
    drained: Cell<bool>,
}

impl TokioConnection {
    /// Forgets the readiness that a short read has used up. What arrives meanwhile is signalled anew, and the end of the
    /// stream is remembered apart.
    fn settle(&self) {
        if self.drained.take() {
            let used_up = || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
            // It can only fail as it is told to.
            let _ = self.stream.try_io(Interest::READABLE, used_up);
        }
    }
}

impl Connection for TokioConnection {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buf) {
                // The readiness was stale; tokio has cleared it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_read_buf(&self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>> {
        let room = buf.capacity() - buf.len();
        // A full buffer would be grown by 64 bytes.
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        self.settle();
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.drained.set(result.as_ref().is_ok_and(|count| (1..room).contains(count)));
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bufs = &bufs[..bufs.len().min(SLICES_MAX)];
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.stream.set_nodelay(nodelay)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(&self.stream).shutdown(Shutdown::Write)
    }

    fn close(&self) {
        // Already disconnected is what is wanted.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }
}
