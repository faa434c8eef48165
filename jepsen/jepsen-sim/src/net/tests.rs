//! Connections: bytes arrive whole and in order whatever the splits; ends and resets are seen.

use super::*;
use crate::world::{SCENARIO, Step};
use broker_rt::{read, read_exact, write_all};

const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// Runs `server` in its own process on the accepted end and `client` on the other until nothing moves.
fn pair<S, C>(
    seed: u64,
    server: impl FnOnce(Rc<dyn Connection>) -> S + 'static,
    client: impl FnOnce(Rc<dyn Connection>) -> C + 'static,
) -> (Rc<World>, ProcessId)
where
    S: Future<Output = ()> + 'static,
    C: Future<Output = ()> + 'static,
{
    let world = World::new(seed);
    let process = world.new_process();
    let listener = listen(&world, process, ADDR).unwrap();
    world.spawn(process, "server", async move {
        server(listener.accept().await.unwrap()).await;
    });
    let connecting = connect(Rc::clone(&world), SCENARIO, ADDR, ADDR);
    world.spawn(SCENARIO, "client", async move {
        client(connecting.await.unwrap()).await;
    });
    (world, process)
}

#[test]
fn bytes_arrive_in_order_and_the_end_is_seen() {
    for seed in 0..20 {
        let sent: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
        let (expected, done) = (sent.clone(), Rc::new(Cell::new(false)));
        let flag = Rc::clone(&done);
        let server = |connection: Rc<dyn Connection>| async move {
            let mut received = vec![0; expected.len()];
            read_exact(&*connection, &mut received).await.unwrap();
            assert!(received == expected, "the bytes are the same");
            assert_eq!(read(&*connection, &mut [0; 8]).await.unwrap(), 0, "then the end");
            flag.set(true);
        };
        let client = |connection: Rc<dyn Connection>| async move {
            write_all(&*connection, &sent).await.unwrap();
            connection.shutdown_write().unwrap();
        };
        let (world, _) = pair(seed, server, client);
        while world.step() != Step::Stalled {}
        assert!(done.get(), "seed {seed}: the server saw everything");
    }
}

#[test]
fn the_peer_of_a_killed_process_finds_out() {
    for seed in 0..20 {
        let ended = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ended);
        let server = |connection: Rc<dyn Connection>| async move {
            std::future::pending::<()>().await;
            drop(connection);
        };
        let client = |connection: Rc<dyn Connection>| async move {
            let end = read(&*connection, &mut [0; 8]).await;
            assert!(end.is_err() || end.is_ok_and(|count| count == 0), "an end or a reset");
            flag.set(true);
        };
        let (world, process) = pair(seed, server, client);
        while world.step() != Step::Stalled {}
        assert!(!ended.get(), "it waits");
        world.kill(process);
        while world.step() != Step::Stalled {}
        assert!(ended.get(), "seed {seed}: it knows");
        let refused = Rc::new(Cell::new(false));
        let (inner, flag) = (Rc::clone(&world), Rc::clone(&refused));
        world.spawn(SCENARIO, "late", async move {
            flag.set(connect(inner, SCENARIO, ADDR, ADDR).await.is_err());
        });
        while world.step() != Step::Stalled {}
        assert!(refused.get(), "nobody listens any more");
    }
}
