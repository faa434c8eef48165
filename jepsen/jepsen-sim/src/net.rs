//! TCP between simulated processes: delays, partial reads and writes, resets.
//!
//! ```text
//!  side 0 ── write ─► pipe 0: in flight ─(delay, in order)─► readable ── read ─► side 1
//!  side 0 ◄─ read ──────────────────────────────────── pipe 1 ◄── write ── side 1
//! ```
//!
//! Invariants:
//! - Bytes of one direction arrive in order, once, or not at all after a reset.
//! - What a killed process wrote before may still arrive; which it is, is drawn per connection.
//! - A pipe holds at most [`PIPE_BYTES_MAX`]: a writer whose peer does not read waits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use broker_rt::{Connection, Listener};
use log_io::LocalFuture;

use crate::random::{between, index, one_in};
use crate::trace::Event;
use crate::world::{ProcessId, World};

/// Bytes of one direction on their way or not read yet.
const PIPE_BYTES_MAX: usize = 64 << 10;

#[derive(Default)]
struct Pipe {
    readable: VecDeque<u8>,
    in_flight: usize,
    /// The writer has said that nothing more comes, and that has arrived.
    ended: bool,
    write_shut: bool,
    arrives_ns: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Link {
    id: u64,
    processes: [ProcessId; 2],
    /// What side 0 and side 1 write.
    pipes: [RefCell<Pipe>; 2],
    closed: [Cell<bool>; 2],
    reset: Cell<bool>,
}

fn wake(slot: &mut Option<Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}

impl Link {
    fn wake_all(&self) {
        for pipe in &self.pipes {
            let mut pipe = pipe.borrow_mut();
            wake(&mut pipe.reader);
            wake(&mut pipe.writer);
        }
    }

    /// Both sides find the connection reset; what was not read is lost.
    fn reset(&self, world: &World) {
        if self.reset.replace(true) {
            return;
        }
        world.trace.fold(Event::ConnectionEnded, self.id, 1);
        for pipe in &self.pipes {
            pipe.borrow_mut().readable.clear();
        }
        self.wake_all();
    }

    fn over(&self) -> bool {
        self.reset.get() || (self.closed[0].get() && self.closed[1].get())
    }
}

struct ListenerState {
    addr: SocketAddr,
    process: ProcessId,
    queue: RefCell<VecDeque<Rc<dyn Connection>>>,
    waker: RefCell<Option<Waker>>,
}

/// All sockets of the world.
#[derive(Default)]
pub(crate) struct Network {
    listeners: RefCell<BTreeMap<SocketAddr, Vec<Weak<ListenerState>>>>,
    links: RefCell<BTreeMap<u64, Weak<Link>>>,
    next_port: Cell<u16>,
}

impl Network {
    fn live_listeners(&self, addr: SocketAddr) -> Vec<Rc<ListenerState>> {
        let listeners = self.listeners.borrow();
        listeners.get(&addr).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }

    fn live_links(&self) -> Vec<Rc<Link>> {
        let mut links = self.links.borrow_mut();
        links.retain(|_, link| link.upgrade().is_some_and(|link| !link.over()));
        links.values().filter_map(Weak::upgrade).collect()
    }

    /// Resets one connection chosen by the faults stream. `false` when there is none.
    pub(crate) fn reset_one(&self, world: &World) -> bool {
        let links = self.live_links();
        if links.is_empty() {
            return false;
        }
        links[index(&world.random.faults, links.len())].reset(world);
        true
    }

    /// The sockets of a process that is gone.
    pub(crate) fn kill(&self, world: &World, process: ProcessId) {
        for listeners in self.listeners.borrow_mut().values_mut() {
            listeners.retain(|listener| listener.upgrade().is_some_and(|l| l.process != process));
        }
        for link in self.live_links() {
            let Some(side) = (0..2).find(|side| link.processes[*side] == process) else { continue };
            link.closed[side].set(true);
            let arrives_ns = link.pipes[side].borrow().arrives_ns;
            if one_in(&world.random.network, 2) {
                link.reset(world);
            } else {
                let link = Rc::clone(&link);
                world.run_at(arrives_ns, move || {
                    let mut pipe = link.pipes[side].borrow_mut();
                    pipe.ended = true;
                    wake(&mut pipe.reader);
                });
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.links.borrow_mut().clear();
        self.listeners.borrow_mut().clear();
    }
}

/// Binds for a process.
pub(crate) fn listen(
    world: &Rc<World>,
    process: ProcessId,
    addr: SocketAddr,
) -> io::Result<Rc<dyn Listener>> {
    let network = &world.network;
    let mut addr = addr;
    if addr.port() == 0 {
        network.next_port.set(network.next_port.get() + 1);
        addr.set_port(40_000 + network.next_port.get());
    }
    if network.live_listeners(addr).iter().any(|listener| listener.process != process) {
        return Err(io::Error::from(io::ErrorKind::AddrInUse));
    }
    let state = Rc::new(ListenerState {
        addr,
        process,
        queue: RefCell::default(),
        waker: RefCell::default(),
    });
    network.listeners.borrow_mut().entry(addr).or_default().push(Rc::downgrade(&state));
    Ok(Rc::new(SimListener(state)))
}

/// Connects from `process` at `from`; the node's cores share an address, one of them is drawn.
pub(crate) async fn connect(
    world: Rc<World>,
    process: ProcessId,
    from: SocketAddr,
    to: SocketAddr,
) -> io::Result<Rc<dyn Connection>> {
    let delay_ns = delay_ns(&world);
    world.sleep(Duration::from_nanos(delay_ns)).await;
    let listeners = world.network.live_listeners(to);
    if listeners.is_empty() {
        return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
    }
    let listener = &listeners[index(&world.random.network, listeners.len())];
    let link = Rc::new(Link {
        id: world.next_id(),
        processes: [process, listener.process],
        pipes: Default::default(),
        closed: Default::default(),
        reset: Cell::new(false),
    });
    world.trace.fold(Event::ConnectionOpened, link.id, world.now_ns());
    world.network.links.borrow_mut().insert(link.id, Rc::downgrade(&link));
    let end = |side: usize, peer| -> Rc<dyn Connection> {
        Rc::new(SimConnection { world: Rc::clone(&world), link: Rc::clone(&link), side, peer })
    };
    listener.queue.borrow_mut().push_back(end(1, from));
    wake(&mut listener.waker.borrow_mut());
    Ok(end(0, to))
}

/// 20–120 µs; one packet in 64 takes up to 20 ms.
fn delay_ns(world: &World) -> u64 {
    let rng = &world.random.network;
    if one_in(rng, 64) {
        between(rng, 1_000_000, 20_000_000)
    } else {
        between(rng, 20_000, 120_000)
    }
}

struct SimListener(Rc<ListenerState>);

impl Listener for SimListener {
    fn local_addr(&self) -> SocketAddr {
        self.0.addr
    }

    fn accept(&self) -> LocalFuture<'_, io::Result<Rc<dyn Connection>>> {
        Box::pin(poll_fn(|cx| {
            if let Some(connection) = self.0.queue.borrow_mut().pop_front() {
                return Poll::Ready(Ok(connection));
            }
            self.0.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        }))
    }
}

struct SimConnection {
    world: Rc<World>,
    link: Rc<Link>,
    side: usize,
    peer: SocketAddr,
}

impl SimConnection {
    /// Sends the end of this side's bytes after all of them.
    fn send_end(&self) {
        let mut pipe = self.link.pipes[self.side].borrow_mut();
        if std::mem::replace(&mut pipe.write_shut, true) {
            return;
        }
        pipe.arrives_ns = pipe.arrives_ns.max(self.world.now_ns() + delay_ns(&self.world));
        let (link, side) = (Rc::clone(&self.link), self.side);
        self.world.run_at(pipe.arrives_ns, move || {
            let mut pipe = link.pipes[side].borrow_mut();
            pipe.ended = true;
            wake(&mut pipe.reader);
        });
    }

    fn send(&self, pipe: &mut Pipe, bytes: Vec<u8>) {
        let world = &self.world;
        let crc = u64::from(crc32fast::hash(&bytes));
        world.trace.fold(Event::PacketSent, self.link.id, crc);
        pipe.in_flight += bytes.len();
        pipe.arrives_ns = pipe.arrives_ns.max(world.now_ns() + delay_ns(world));
        let (link, side, weak) = (Rc::clone(&self.link), self.side, Rc::downgrade(world));
        world.run_at(pipe.arrives_ns, move || {
            let Some(world) = weak.upgrade() else { return };
            let mut pipe = link.pipes[side].borrow_mut();
            pipe.in_flight -= bytes.len();
            if link.reset.get() {
                return;
            }
            world.trace.fold(Event::PacketDelivered, link.id, crc);
            pipe.readable.extend(bytes);
            wake(&mut pipe.reader);
        });
    }

    /// All of `len` mostly, a part of it sometimes.
    fn part(&self, len: usize) -> usize {
        let rng = &self.world.random.network;
        if len > 1 && one_in(rng, 6) { 1 + index(rng, len) } else { len }
    }
}

impl Connection for SimConnection {
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.link.closed[self.side].get() || buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut pipe = self.link.pipes[1 - self.side].borrow_mut();
        if !pipe.readable.is_empty() {
            let count = self.part(pipe.readable.len().min(buf.len()));
            for (slot, byte) in buf.iter_mut().zip(pipe.readable.drain(..count)) {
                *slot = byte;
            }
            wake(&mut pipe.writer);
            return Poll::Ready(Ok(count));
        }
        if self.link.reset.get() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
        }
        if pipe.ended {
            return Poll::Ready(Ok(0));
        }
        pipe.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let link = &self.link;
        let mut pipe = link.pipes[self.side].borrow_mut();
        if link.reset.get() || pipe.write_shut || link.closed.iter().any(Cell::get) {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::BrokenPipe)));
        }
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = PIPE_BYTES_MAX.saturating_sub(pipe.readable.len() + pipe.in_flight);
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = self.part(total.min(room));
        let mut bytes = Vec::with_capacity(count);
        for buf in bufs {
            let left = count - bytes.len();
            bytes.extend_from_slice(&buf[..left.min(buf.len())]);
        }
        self.send(&mut pipe, bytes);
        Poll::Ready(Ok(count))
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn set_nodelay(&self, _nodelay: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.send_end();
        Ok(())
    }

    fn close(&self) {
        if self.link.closed[self.side].replace(true) {
            return;
        }
        self.world.trace.fold(Event::ConnectionEnded, self.link.id, 0);
        self.send_end();
        self.link.wake_all();
    }
}

impl Drop for SimConnection {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
