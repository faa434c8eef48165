//! TCP on glommio: tried without blocking first, then awaited by a poll operation in the ring.
//!
//! Invariants:
//! - glommio's stream needs `&mut`; its `RefCell` is borrowed inside one poll and never across an await.
//! - Vectored writes go to the descriptor with `sendmsg(MSG_DONTWAIT | MSG_NOSIGNAL)`, because glommio sends the
//!   first slice only; the stream is asked for readiness when the socket buffer is full.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use log_io::LocalFuture;
use socket2::SockRef;

use super::io_error;
use crate::facade::{Connection, Listener};
use crate::net::{BoundAddr, SLICES_MAX, accept_error_is_transient, listen_socket};

pub(super) struct UringListener {
    listener: TcpListener,
    bound: BoundAddr,
}

impl UringListener {
    #[expect(unsafe_code, reason = "glommio takes an existing listener by its descriptor only")]
    pub(super) fn bind(addr: SocketAddr) -> io::Result<Self> {
        let (listener, bound) = listen_socket(addr)?;
        // SAFETY: the descriptor is a listening socket and its only owner gives it up.
        let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
        Ok(Self { listener, bound })
    }
}

impl Listener for UringListener {
    fn local_addr(&self) -> SocketAddr {
        self.bound.addr()
    }

    fn accept(&self) -> LocalFuture<'_, io::Result<Rc<dyn Connection>>> {
        Box::pin(async {
            loop {
                match self.listener.accept().await.map_err(io_error) {
                    // A peer that has gone already has no address.
                    Ok(stream) => match stream.peer_addr().map_err(io_error) {
                        Ok(peer) => return Ok(wrap(stream, peer)),
                        Err(_) => continue,
                    },
                    Err(error) if accept_error_is_transient(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

pub(super) async fn connect(addr: SocketAddr) -> io::Result<Rc<dyn Connection>> {
    let stream = TcpStream::connect(addr).await.map_err(io_error)?;
    Ok(wrap(stream, addr))
}

fn wrap(stream: TcpStream, peer: SocketAddr) -> Rc<dyn Connection> {
    let connection = UringConnection { stream: RefCell::new(stream), peer };
    // It fails only for a connection that is already gone; the first read then says so.
    let _ = connection.set_nodelay(true);
    Rc::new(connection)
}

struct UringConnection {
    stream: RefCell<TcpStream>,
    peer: SocketAddr,
}

impl UringConnection {
    #[expect(unsafe_code, reason = "glommio's stream lends its descriptor as a number only")]
    fn with_socket<T>(&self, act: impl FnOnce(SockRef<'_>) -> T) -> T {
        let stream = self.stream.borrow();
        // SAFETY: the stream owns the descriptor and stays borrowed for the call.
        let fd = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        act(SockRef::from(&fd))
    }
}

impl Connection for UringConnection {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, buf)
    }

    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bufs = &bufs[..bufs.len().min(SLICES_MAX)];
        let Some(first) = bufs.iter().find(|buf| !buf.is_empty()) else {
            return Poll::Ready(Ok(0));
        };
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        loop {
            match self.with_socket(|socket| socket.send_vectored_with_flags(bufs, flags)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Tries once more and then asks the ring to wake the task.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, first);
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.with_socket(|socket| socket.set_tcp_nodelay(nodelay))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.with_socket(|socket| socket.shutdown(Shutdown::Write))
    }

    fn close(&self) {
        // Already disconnected is what is wanted.
        let _ = self.with_socket(|socket| socket.shutdown(Shutdown::Both));
    }
}
