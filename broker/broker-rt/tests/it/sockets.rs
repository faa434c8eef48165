//! Listeners and connections, against each other and against plain std sockets.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker_rt::{
    Connection, Queue, Runtime, accept, connect_timeout, read, read_exact, write_all,
    write_all_vectored,
};
use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;

use crate::harness::{backends, on_cores, on_each};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn pair(runtime: &dyn Runtime) -> (Rc<dyn Connection>, Rc<dyn Connection>) {
    let listener = runtime.listen(ANY_PORT).expect("some port is free");
    let (client, server) =
        futures_util::join!(runtime.connect(listener.local_addr()), accept(&*listener));
    (client.expect("connected"), server.expect("accepted"))
}

/// Both directions at once, with slices of many sizes, and more than any socket buffer holds.
#[test]
fn echo_of_64_mib_with_vectored_writes() {
    const TOTAL: usize = 64 << 20;
    on_each(|runtime| async move {
        let (client, server) = pair(&*runtime).await;
        runtime.spawn(
            Queue::Latency,
            "echo",
            Box::pin(async move {
                let mut buf = vec![0; 256 << 10];
                loop {
                    let count = read(&*server, &mut buf).await.unwrap();
                    if count == 0 {
                        break;
                    }
                    write_all(&*server, &buf[..count]).await.unwrap();
                }
                server.shutdown_write().unwrap();
            }),
        );
        let source = Bytes::from(
            (0..1_000_003_usize).map(|index| (index % 251).to_le_bytes()[0]).collect::<Vec<_>>(),
        );
        let sender = Rc::clone(&client);
        let sent = source.clone();
        runtime.spawn(
            Queue::Latency,
            "send",
            Box::pin(async move {
                let (mut total, mut step) = (0, 1);
                while total < TOTAL {
                    let mut chunks = VecDeque::new();
                    for _ in 0..100 {
                        let from = total % sent.len();
                        let len = step.min(sent.len() - from).min(TOTAL - total);
                        chunks.push_back(sent.slice(from..from + len));
                        total += len;
                        step = step * 3 % 65_521;
                    }
                    write_all_vectored(&*sender, chunks).await.unwrap();
                }
                sender.shutdown_write().unwrap();
            }),
        );
        let mut buf = vec![0; 100_000];
        let mut total = 0;
        loop {
            let count = read(&*client, &mut buf).await.unwrap();
            if count == 0 {
                break;
            }
            let mut checked = 0;
            while checked < count {
                let from = total % source.len();
                let len = (count - checked).min(source.len() - from);
                assert!(buf[checked..checked + len] == source[from..from + len], "byte {total}");
                checked += len;
                total += len;
            }
        }
        assert_eq!(total, TOTAL);
    });
}

#[test]
fn half_close_lets_the_other_direction_go_on() {
    on_each(|runtime| async move {
        let (client, server) = pair(&*runtime).await;
        write_all(&*client, b"question").await.unwrap();
        client.shutdown_write().unwrap();
        let mut buf = [0; 8];
        read_exact(&*server, &mut buf).await.unwrap();
        assert_eq!(read(&*server, &mut buf).await.unwrap(), 0);
        write_all(&*server, b"answer").await.unwrap();
        drop(server);
        let mut answer = [0; 6];
        read_exact(&*client, &mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        let end = read_exact(&*client, &mut answer).await.unwrap_err();
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    });
}

/// `SO_LINGER` 0 makes the peer's close a reset.
#[test]
fn a_reset_by_the_peer_is_an_error() {
    on_each(|runtime| async move {
        let listener = runtime.listen(ANY_PORT).unwrap();
        let peer = TcpStream::connect(listener.local_addr()).unwrap();
        let server = accept(&*listener).await.unwrap();
        assert_eq!(server.peer(), peer.local_addr().unwrap());
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let mut buf = [0; 16];
        let error = read(&*server, &mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut failed = None;
        for _ in 0..100 {
            let chunks = VecDeque::from([Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
            if let Err(error) = write_all_vectored(&*server, chunks).await {
                failed = Some(error.kind());
                break;
            }
        }
        assert_eq!(failed, Some(ErrorKind::BrokenPipe), "and no signal");
    });
}

#[test]
fn a_reader_wakes_when_its_own_side_closes() {
    on_each(|runtime| async move {
        let (client, _server) = pair(&*runtime).await;
        let reader = Rc::clone(&client);
        let (tx, rx) = oneshot::channel();
        runtime.spawn(
            Queue::Latency,
            "reader",
            Box::pin(async move {
                let mut buf = [0; 16];
                tx.send(read(&*reader, &mut buf).await.unwrap_or(0)).unwrap();
            }),
        );
        runtime.yield_now().await;
        client.close();
        client.close();
        assert_eq!(rx.await.unwrap(), 0);
        assert!(write_all(&*client, b"late").await.is_err());
    });
}

/// A peer that does not read blocks the writer only; the reader of the same connection goes on.
#[test]
fn reading_goes_on_while_writing_is_blocked() {
    on_each(|runtime| async move {
        let (client, server) = pair(&*runtime).await;
        let writer = Rc::clone(&server);
        let (done_tx, done_rx) = oneshot::channel();
        runtime.spawn(
            Queue::Latency,
            "writer",
            Box::pin(async move {
                let chunk = Bytes::from(vec![7; 1 << 20]);
                write_all_vectored(&*writer, VecDeque::from(vec![chunk; 16])).await.unwrap();
                done_tx.send(()).unwrap();
            }),
        );
        for round in 0..100_u8 {
            write_all(&*client, &[round]).await.unwrap();
            let mut byte = [0];
            read_exact(&*server, &mut byte).await.unwrap();
            assert_eq!(byte, [round]);
        }
        let mut buf = vec![0; 1 << 20];
        for _ in 0..16 {
            read_exact(&*client, &mut buf).await.unwrap();
            assert!(buf.iter().all(|byte| *byte == 7));
        }
        done_rx.await.unwrap();
    });
}

#[test]
fn many_connections_at_once() {
    const MANY: usize = 200;
    on_each(|runtime| async move {
        let listener = runtime.listen(ANY_PORT).unwrap();
        let addr = listener.local_addr();
        let server = Rc::clone(&runtime);
        runtime.spawn(
            Queue::Latency,
            "accept",
            Box::pin(async move {
                for _ in 0..MANY {
                    let connection = accept(&*listener).await.unwrap();
                    server.spawn(
                        Queue::Latency,
                        "serve",
                        Box::pin(async move {
                            let mut buf = [0; 4];
                            while read_exact(&*connection, &mut buf).await.is_ok() {
                                write_all(&*connection, &buf).await.unwrap();
                            }
                        }),
                    );
                }
            }),
        );
        let (tx, rx) = mpsc::unbounded();
        for index in 0..MANY {
            let (tx, client) = (tx.clone(), Rc::clone(&runtime));
            runtime.spawn(
                Queue::Latency,
                "client",
                Box::pin(async move {
                    let limit = Duration::from_secs(60);
                    let connection = connect_timeout(&*client, addr, limit).await.unwrap();
                    for round in 0..20 {
                        let message = u32::try_from(index * 100 + round).unwrap().to_be_bytes();
                        write_all(&*connection, &message).await.unwrap();
                        let mut answer = [0; 4];
                        read_exact(&*connection, &mut answer).await.unwrap();
                        assert_eq!(answer, message);
                    }
                    tx.unbounded_send(index).unwrap();
                }),
            );
        }
        drop(tx);
        let mut seen: Vec<usize> = rx.collect().await;
        seen.sort_unstable();
        assert_eq!(seen, (0..MANY).collect::<Vec<_>>());
    });
}

#[test]
fn a_refused_connection_is_an_error() {
    on_each(|runtime| async move {
        let listener = runtime.listen(ANY_PORT).unwrap();
        let addr = listener.local_addr();
        drop(listener);
        let Err(error) = runtime.connect(addr).await else { panic!("nobody listens there") };
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

/// What the two cores of [`cores_share_a_port`] tell each other.
struct Ends {
    /// The first core's address, to the second.
    addr: (Option<oneshot::Sender<SocketAddr>>, Option<oneshot::Receiver<SocketAddr>>),
    /// The second listens.
    bound: (Option<oneshot::Sender<()>>, Option<oneshot::Receiver<()>>),
    /// Dropped by the first when all is served.
    done: (Option<oneshot::Sender<()>>, Option<oneshot::Receiver<()>>),
}

/// Port 0 on the first core, the same port on the second; whichever gets a connection serves it.
#[test]
fn cores_share_a_port() {
    fn both<T>() -> (Option<oneshot::Sender<T>>, Option<oneshot::Receiver<T>>) {
        let (tx, rx) = oneshot::channel();
        (Some(tx), Some(rx))
    }
    for backend in backends() {
        let ends = Arc::new(Mutex::new(Ends { addr: both(), bound: both(), done: both() }));
        on_cores(backend, 2, move |core, runtime| {
            let ends = Arc::clone(&ends);
            async move {
                if core.0 == 1 {
                    let (addr, bound, done) = {
                        let mut ends = ends.lock().unwrap();
                        (ends.addr.1.take(), ends.bound.0.take(), ends.done.1.take())
                    };
                    let addr = addr.unwrap().await.unwrap();
                    assert_eq!(greet(&runtime, addr), addr);
                    bound.unwrap().send(()).unwrap();
                    done.unwrap().await.unwrap_err();
                    return;
                }
                let (to_second, bound, done) = {
                    let mut ends = ends.lock().unwrap();
                    (ends.addr.0.take(), ends.bound.1.take(), ends.done.0.take())
                };
                let addr = greet(&runtime, ANY_PORT);
                assert_ne!(addr.port(), 0);
                to_second.unwrap().send(addr).unwrap();
                bound.unwrap().await.unwrap();
                for _ in 0..50 {
                    let connection = runtime.connect(addr).await.unwrap();
                    let mut buf = [0; 2];
                    read_exact(&*connection, &mut buf).await.unwrap();
                }
                drop(done);
            }
        });
    }
}

/// Listens on `addr` and says hi to whoever comes.
fn greet(runtime: &Rc<dyn Runtime>, addr: SocketAddr) -> SocketAddr {
    let listener = runtime.listen(addr).expect("the address is free or ours");
    let local = listener.local_addr();
    runtime.spawn(
        Queue::Latency,
        "greet",
        Box::pin(async move {
            while let Ok(connection) = accept(&*listener).await {
                // A client that has gone is no matter.
                let _ = write_all(&*connection, b"hi").await;
            }
        }),
    );
    local
}

/// Sharing is for this process only; another server's port is never joined in silence.
#[test]
fn a_port_of_another_process_is_in_use() {
    on_each(|runtime| async move {
        let other = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )
        .unwrap();
        // As another instance of ours would hold it after its start.
        other.set_reuse_address(true).unwrap();
        other.set_reuse_port(true).unwrap();
        other.bind(&ANY_PORT.into()).unwrap();
        other.listen(1).unwrap();
        let addr = other.local_addr().unwrap().as_socket().unwrap();
        let Err(error) = runtime.listen(addr) else { panic!("the port is taken") };
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

/// A plain blocking client on another thread, as every client outside is.
#[test]
fn a_foreign_client_is_served() {
    on_each(|runtime| async move {
        let listener = runtime.listen(ANY_PORT).unwrap();
        let addr = listener.local_addr();
        let thread = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(&[1; 100_000]).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            answer
        });
        let connection = accept(&*listener).await.unwrap();
        connection.set_nodelay(false).unwrap();
        let mut buf = vec![0; 100_000];
        read_exact(&*connection, &mut buf).await.unwrap();
        // More slices than one call takes, some of them empty.
        let chunks = (0..3000).map(|index| Bytes::from(vec![9; index % 3])).collect();
        write_all_vectored(&*connection, chunks).await.unwrap();
        drop(connection);
        assert_eq!(thread.join().unwrap(), vec![9; 3000]);
    });
}
