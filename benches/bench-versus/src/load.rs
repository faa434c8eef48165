//! The load generator: blocking sockets, one thread per connection, requests built beforehand.
//!
//! The same code drives every peer. It speaks protocol versions that Kafka 2.4 to 4.x and LumaDB share.

pub(crate) mod admin;
pub(crate) mod fetch;
pub(crate) mod open;
pub(crate) mod produce;

use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;

/// A peer that does not answer for so long has failed.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// Largest response that is read.
const RESPONSE_BYTES_MAX: u32 = 128 << 20;

pub(crate) fn connect(addr: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(addr).context("cannot connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    stream.set_write_timeout(Some(ANSWER_WAIT_MAX))?;
    Ok(stream)
}

/// Writes all of `frame` with as few system calls as the socket allows.
pub(crate) fn send(stream: &mut TcpStream, frame: &[Bytes]) -> anyhow::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = frame.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let written = stream.write_vectored(rest).context("cannot send")?;
        ensure!(written > 0, "the peer takes no more bytes");
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// Reads one response without its size field, reusing `buf`.
pub(crate) fn receive(stream: &mut impl Read, mut buf: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).context("no answer")?;
    let size = u32::from_be_bytes(size);
    ensure!((4..=RESPONSE_BYTES_MAX).contains(&size), "answer of {size} bytes");
    buf.clear();
    let read = stream.take(u64::from(size)).read_to_end(&mut buf).context("cut-off answer")?;
    ensure!(u64::try_from(read)? == u64::from(size), "cut-off answer");
    Ok(buf)
}
