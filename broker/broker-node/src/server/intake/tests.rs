//! Requests of every size out of streams cut at every place.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use broker_rt::Connection;

use super::{Broken, CHUNK_BYTES_MAX, Intake, SLICE_BYTES_MAX};

/// Gives what it was scripted to give, in pieces; then the end of the stream.
struct Script(RefCell<VecDeque<Vec<u8>>>);

impl Connection for Script {
    fn poll_read(&self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut pieces = self.0.borrow_mut();
        let Some(piece) = pieces.front_mut() else { return Poll::Ready(Ok(0)) };
        let count = piece.len().min(buf.len());
        buf[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            pieces.pop_front();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        &self,
        _: &mut Context<'_>,
        _: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        unreachable!("requests are only read here")
    }

    fn peer(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1))
    }

    fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn close(&self) {}
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a script never waits"),
    }
}

fn intake(pieces: Vec<Vec<u8>>) -> Intake<impl Fn(usize)> {
    Intake::new(Rc::new(Script(RefCell::new(pieces.into()))), |_| {})
}

/// A request of `size` bytes, all different from its neighbours'.
fn request(size: usize, seed: u8) -> Vec<u8> {
    let mut bytes = u32::try_from(size).unwrap().to_be_bytes().to_vec();
    bytes.extend((0..251).map(|at| seed.wrapping_add(at)).cycle().take(size));
    bytes
}

#[test]
fn requests_of_all_sizes_come_out_as_they_went_in() {
    let sizes = [
        0,
        1,
        100,
        4 << 10,
        SLICE_BYTES_MAX - 1,
        SLICE_BYTES_MAX,
        SLICE_BYTES_MAX + 1,
        1 << 20,
        3,
        CHUNK_BYTES_MAX,
        (1 << 20) + 7,
        0,
    ];
    for piece_bytes in [1 << 30, 1 << 20, 65_536, 4097, 1021] {
        let mut stream = Vec::new();
        for (seed, size) in (0..).zip(&sizes) {
            stream.extend(request(*size, seed));
        }
        let mut intake = intake(stream.chunks(piece_bytes).map(<[u8]>::to_vec).collect());
        for (seed, size) in (0..).zip(&sizes) {
            assert_eq!(now(intake.size()), Ok(Some(*size)), "pieces of {piece_bytes}");
            let body = now(intake.body(*size)).unwrap();
            assert!(body == request(*size, seed)[4..], "{size} bytes in pieces of {piece_bytes}");
        }
        assert_eq!(now(intake.size()), Ok(None));
    }
}

#[test]
fn a_large_request_takes_nothing_of_the_next_one_and_no_more_than_its_size() {
    let size = 1 << 20;
    let mut stream = request(size, 1);
    stream.extend(request(size, 2));
    let mut intake = intake(vec![stream]);
    for seed in [1, 2] {
        assert_eq!(now(intake.size()), Ok(Some(size)));
        let body = now(intake.body(size)).unwrap().try_into_mut().unwrap();
        assert_eq!(body.capacity(), size);
        assert!(body == request(size, seed)[4..]);
        assert!(!intake.holds(1), "what follows stays in the socket");
    }
}

#[test]
fn the_end_inside_a_request_or_a_negative_size_is_an_error() {
    assert_eq!(now(intake(vec![vec![0, 0]]).size()), Err(Broken::Closed));
    assert_eq!(now(intake(vec![vec![0xff, 0xff, 0xff, 0xff]]).size()), Err(Broken::Size));
    for size in [10, 1 << 20] {
        let mut cut = request(size, 3);
        cut.pop();
        let mut intake = intake(vec![cut]);
        assert_eq!(now(intake.size()), Ok(Some(size)));
        assert_eq!(now(intake.body(size)), Err(Broken::Closed));
    }
}

#[test]
fn every_read_that_brought_something_counts_as_life() {
    let reads = Rc::new(Cell::new(0));
    let script =
        Rc::new(Script(RefCell::new(VecDeque::from([vec![0, 0, 0, 2], vec![7], vec![8]]))));
    let mut intake = {
        let reads = Rc::clone(&reads);
        Intake::new(script, move |_| reads.set(reads.get() + 1))
    };
    assert_eq!(now(intake.size()), Ok(Some(2)));
    assert_eq!(now(intake.body(2)).unwrap().as_ref(), [7, 8]);
    assert_eq!(now(intake.size()), Ok(None));
    assert_eq!(reads.get(), 3);
}
