//! `broker_rt::Runtime` on the simulated world: what a core of a simulated process sees.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use broker_rt::{Connection, Listener, Queue, Runtime};
use log_io::{Clock, Disk, LocalFuture, Random};
use log_testkit::SimRng;

use crate::disk::Host;
use crate::net;
use crate::random::one_in;
use crate::world::{ProcessId, World, yield_now};

/// 2025-06-01T00:00:00Z: where wall clocks start.
pub(crate) const WALL_START_MS: i64 = 1_748_736_000_000;

/// A machine's clock: true monotonic time, wall time with an offset.
pub struct HostClock {
    world: Rc<World>,
    offset_ms: Cell<i64>,
}

impl HostClock {
    #[must_use]
    pub fn new(world: &Rc<World>) -> Rc<Self> {
        Rc::new(Self { world: Rc::clone(world), offset_ms: Cell::new(0) })
    }

    /// Makes the wall clock wrong by so much from now on.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.set(offset_ms);
    }
}

impl Clock for HostClock {
    fn mono_ns(&self) -> u64 {
        self.world.now_ns()
    }

    fn wall_ms(&self) -> i64 {
        let elapsed_ms = i64::try_from(self.world.now_ns() / 1_000_000).unwrap_or(i64::MAX);
        WALL_START_MS + elapsed_ms + self.offset_ms.get()
    }
}

/// One core of one process.
#[derive(Clone)]
pub struct SimRuntime {
    world: Rc<World>,
    process: ProcessId,
    host: Rc<Host>,
    clock: Rc<HostClock>,
    random: Rc<SimRng>,
    ip: IpAddr,
}

impl SimRuntime {
    #[must_use]
    pub fn new(
        world: &Rc<World>,
        process: ProcessId,
        host: &Rc<Host>,
        clock: &Rc<HostClock>,
        ip: IpAddr,
        seed: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            process,
            host: Rc::clone(host),
            clock: Rc::clone(clock),
            random: Rc::new(SimRng::new(seed)),
            ip,
        })
    }
}

impl Runtime for SimRuntime {
    fn clock(&self) -> Rc<dyn Clock> {
        Rc::clone(&self.clock) as Rc<dyn Clock>
    }

    fn random(&self) -> Rc<dyn Random> {
        Rc::clone(&self.random) as Rc<dyn Random>
    }

    fn spawn(&self, _queue: Queue, name: &'static str, task: LocalFuture<'static, ()>) {
        self.world.spawn(self.process, name, task);
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        Box::pin(self.world.sleep(duration))
    }

    fn yield_now(&self) -> LocalFuture<'static, ()> {
        Box::pin(yield_now())
    }

    fn need_preempt(&self) -> bool {
        one_in(&self.world.random.schedule, 8)
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<Rc<dyn Listener>> {
        net::listen(&self.world, self.process, addr)
    }

    fn connect(&self, addr: SocketAddr) -> LocalFuture<'static, io::Result<Rc<dyn Connection>>> {
        let from = SocketAddr::new(self.ip, 50_000);
        Box::pin(net::connect(Rc::clone(&self.world), self.process, from, addr))
    }

    fn disk(&self, dir: &Path) -> io::Result<Rc<dyn Disk>> {
        Ok(self.host.disk(dir))
    }
}
