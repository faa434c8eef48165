//! A core without threads, sockets and files: a disk in memory, and a clock that stands.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use broker_rt::{Connection, Listener, Queue, Runtime};
use log_io::{Clock, Disk, LocalFuture, Random};
use log_testkit::{SimClock, SimDisk, SimRng};

/// What a shard needs of its core.
pub(in crate::shard) struct InMemory {
    disk: SimDisk,
    clock: Rc<SimClock>,
}

impl InMemory {
    pub(in crate::shard) fn new(disk: &SimDisk) -> Self {
        Self { disk: disk.clone(), clock: Rc::new(SimClock::new(1_000)) }
    }
}

impl Runtime for InMemory {
    fn clock(&self) -> Rc<dyn Clock> {
        Rc::clone(&self.clock) as Rc<dyn Clock>
    }
    fn random(&self) -> Rc<dyn Random> {
        Rc::new(SimRng::new(7))
    }
    fn spawn(&self, _: Queue, name: &'static str, _: LocalFuture<'static, ()>) {
        unreachable!("a shard starts no tasks: {name}");
    }
    fn sleep(&self, _: Duration) -> LocalFuture<'static, ()> {
        Box::pin(pending())
    }
    fn yield_now(&self) -> LocalFuture<'static, ()> {
        Box::pin(log_io::yield_once())
    }
    fn need_preempt(&self) -> bool {
        false
    }
    fn listen(&self, _: SocketAddr) -> io::Result<Rc<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn connect(&self, _: SocketAddr) -> LocalFuture<'static, io::Result<Rc<dyn Connection>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
    fn disk(&self, _: &Path) -> io::Result<Rc<dyn Disk>> {
        Ok(Rc::new(self.disk.clone()))
    }
}
