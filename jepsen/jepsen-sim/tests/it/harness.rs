//! A client against a node, and the steps of clients.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use broker_kafka_wire::Frame;
use broker_rt::{Connection, Runtime, read_exact, write_all};
use jepsen_sim::{Host, HostClock, SimNode, SimRuntime, Step, World};
use log_io::LocalFuture;

const NODE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 9092);

pub(crate) type Body = fn(Rc<dyn Runtime>) -> LocalFuture<'static, ()>;

/// Runs a client against a node that was started until it ends.
pub(crate) fn run_client(world: &Rc<World>, node: &Rc<SimNode>, body: Body) {
    let process = world.new_process();
    let (host, clock) = (Host::new(world), HostClock::new(world));
    let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1));
    let runtime = SimRuntime::new(world, process, &host, &clock, ip, 1) as Rc<dyn Runtime>;
    let ended = Rc::new(Cell::new(false));
    let (done, client) = (Rc::clone(&ended), body(runtime));
    world.spawn(process, "client", async move {
        client.await;
        done.set(true);
    });
    while !ended.get() {
        assert_ne!(world.step(), Step::Stalled, "the client waits for what never comes");
        assert!(world.now_ns() < 7200 * 1_000_000_000, "{:?}", world.trace.notes());
    }
    assert_eq!(node.failure(), None);
}

pub(crate) async fn connect(runtime: &Rc<dyn Runtime>) -> Rc<dyn Connection> {
    loop {
        if let Ok(connection) = runtime.connect(NODE).await {
            return connection;
        }
        runtime.sleep(Duration::from_millis(20)).await;
    }
}

/// The next answer's bytes; `None` when the node has closed.
pub(crate) async fn answer(connection: &Rc<dyn Connection>) -> Option<Vec<u8>> {
    let mut size = [0; 4];
    read_exact(&**connection, &mut size).await.ok()?;
    let mut body = vec![0; usize::try_from(i32::from_be_bytes(size)).expect("a size")];
    read_exact(&**connection, &mut body).await.ok()?;
    Some(body)
}

pub(crate) async fn send(connection: &Rc<dyn Connection>, frame: Frame) {
    write_all(&**connection, &frame.to_bytes()).await.expect("the node reads");
}
