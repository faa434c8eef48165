//! Cuts a connection's bytes into requests, without copying most of them.
//!
//! ```text
//!  small, middling   read ahead into a chunk ─► a request is a slice of the chunk
//!  large             memory of exactly its size ─► filled straight from the socket
//! ```
//!
//! Invariants:
//! - Memory is reserved for at most one chunk or one request, whose size the caller has checked; pages that nothing
//!   arrives for are never touched.
//! - Nothing is zeroed first, where the back end reads into uninitialised memory.

use std::rc::Rc;

use broker_rt::{Connection, read_buf};
use bytes::{Buf, Bytes, BytesMut};

/// The length in front of each request, in bytes.
const SIZE_BYTES: usize = 4;
/// Room for one read at least; what an idle connection holds.
const CHUNK_BYTES_MIN: usize = 4 << 10;
/// Room for one read at most.
const CHUNK_BYTES_MAX: usize = 256 << 10;
/// A larger request is received into memory of its own.
const SLICE_BYTES_MAX: usize = 128 << 10;

/// Why no further request can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The socket failed.
    Read,
    /// The peer closed inside a request.
    Closed,
    /// A negative length.
    Size,
}

impl Broken {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Read => "read failed",
            Self::Closed => "closed inside a request",
            Self::Size => "negative request size",
        }
    }
}

pub(super) struct Intake<F> {
    connection: Rc<dyn Connection>,
    /// Called after each read that brought something, with how many bytes.
    arrived: F,
    buf: BytesMut,
    /// Room for the next read; follows the size of the requests.
    chunk: usize,
}

impl<F: Fn(usize)> Intake<F> {
    pub(super) fn new(connection: Rc<dyn Connection>, arrived: F) -> Self {
        Self { connection, arrived, buf: BytesMut::new(), chunk: CHUNK_BYTES_MIN }
    }

    /// The size of the next request in bytes; `None` when the peer closed before it.
    pub(super) async fn size(&mut self) -> Result<Option<usize>, Broken> {
        while self.buf.len() < SIZE_BYTES {
            let room = self.chunk;
            if !self.read(room).await? {
                return if self.buf.is_empty() { Ok(None) } else { Err(Broken::Closed) };
            }
        }
        usize::try_from(self.buf.get_i32()).map(Some).map_err(|_| Broken::Size)
    }

    /// Whether the whole body of `size` bytes is here, so that [`Intake::body`] does not wait.
    pub(super) fn holds(&self, size: usize) -> bool {
        self.buf.len() >= size
    }

    /// The body after a [`Intake::size`].
    pub(super) async fn body(&mut self, size: usize) -> Result<Bytes, Broken> {
        let large = size > SLICE_BYTES_MAX;
        // A chunk larger than the size field would take in the front of the next large request, to be copied.
        self.chunk = if large {
            CHUNK_BYTES_MIN
        } else {
            (size * 4).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
        };
        if large && !self.holds(size) {
            return self.own_memory(size).await;
        }
        while !self.holds(size) {
            let room = self.chunk.max(size - self.buf.len());
            if !self.read(room).await? {
                return Err(Broken::Closed);
            }
        }
        Ok(self.buf.split_to(size).freeze())
    }

    /// Everything buffered belongs to this request, and nothing beyond it is read.
    async fn own_memory(&mut self, size: usize) -> Result<Bytes, Broken> {
        let mut body = BytesMut::with_capacity(size);
        body.extend_from_slice(&self.buf);
        self.buf.clear();
        while body.len() < size {
            let count = read_buf(&*self.connection, &mut body).await.map_err(|_| Broken::Read)?;
            if count == 0 {
                return Err(Broken::Closed);
            }
            (self.arrived)(count);
        }
        Ok(body.freeze())
    }

    /// Reads once, with room for `room` bytes when there was none; `false` at the end of the stream.
    async fn read(&mut self, room: usize) -> Result<bool, Broken> {
        if self.buf.capacity() - self.buf.len() < CHUNK_BYTES_MIN.min(room) {
            self.buf.reserve(room);
        }
        let count = read_buf(&*self.connection, &mut self.buf).await.map_err(|_| Broken::Read)?;
        if count > 0 {
            (self.arrived)(count);
        }
        Ok(count > 0)
    }
}

#[cfg(test)]
mod tests;
