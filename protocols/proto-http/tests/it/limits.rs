//! What a client may cost: at each limit, one above it, and with lengths of 2³¹ − 1. Time is tokio's, paused: it moves when
//! everybody waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use proto_http::{
    GroupLag, HttpCounters, HttpOptions, LagsFuture, Ops, PartitionsFuture, Readiness, Stats,
    StatsFuture, serve,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A node with more to tell than the sockets between it and its client hold.
struct Talkative;

impl Ops for Talkative {
    fn stats(&self) -> StatsFuture<'_> {
        Box::pin(async { Stats::default() })
    }

    fn group_lags(&self) -> LagsFuture<'_> {
        let lag = |n| GroupLag { group: format!("{n:0>1000}"), topic: "t".to_owned(), records: n };
        Box::pin(async move { (0..20_000).map(lag).collect() })
    }

    fn partition_ranges(&self) -> PartitionsFuture<'_> {
        Box::pin(async { Vec::new() })
    }

    fn readiness(&self) -> Readiness {
        Readiness::default()
    }
}

struct Server {
    addr: SocketAddr,
    counters: Arc<HttpCounters>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(options: HttpOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let counters = Arc::clone(&options.counters);
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let served = tokio::spawn(serve(listener, Arc::new(Talkative), options, stopped));
        Self { addr, counters, stop, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.expect("the server listens")
    }

    /// From another address of this machine.
    async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{address}:0").parse().expect("an address")).expect("loopback");
        socket.connect(self.addr).await.expect("the server listens")
    }

    /// (active, accepted, refused)
    fn counts(&self) -> (u64, u64, u64) {
        let HttpCounters { active, accepted, refused } = &*self.counters;
        (active.load(SeqCst), accepted.load(SeqCst), refused.load(SeqCst))
    }

    async fn stop(self) {
        self.stop.send(()).expect("the server waits");
        self.served.await.expect("no panic").expect("a clean end");
        assert_eq!(self.counters.active.load(SeqCst), 0);
    }
}

/// The status of one request on a connection that stays open; `None` when the server has closed it.
async fn status(stream: &mut TcpStream) -> Option<u16> {
    // A server that has closed answers with a reset, now or at the read.
    let _ = stream.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        match stream.read_buf(&mut answer).await {
            Ok(read) if read > 0 => {}
            _ => return None,
        }
    }
    Some(code(&answer))
}

fn code(answer: &[u8]) -> u16 {
    let answer = String::from_utf8_lossy(answer);
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("a status line, not {answer:?}"))
}

/// The status of `request` and that the server then ends the connection.
async fn refused(server: &Server, request: &[u8]) -> u16 {
    let mut stream = server.connect().await;
    stream.write_all(request).await.expect("the server reads");
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
    code(&answer)
}

#[tokio::test(start_paused = true)]
async fn one_connection_above_the_limit_is_closed() {
    let options = HttpOptions { connections_max: 2, ..HttpOptions::default() };
    let server = Server::start(options).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    assert_eq!((status(&mut first).await, status(&mut second).await), (Some(200), Some(200)));
    let mut third = server.connect().await;
    assert_eq!(status(&mut third).await, None);
    assert_eq!(server.counts(), (2, 3, 1));
    assert_eq!(status(&mut first).await, Some(200), "the others stay");
    drop(first);
    while server.counts().0 == 2 {
        tokio::task::yield_now().await;
    }
    let mut fourth = server.connect().await;
    assert_eq!(status(&mut fourth).await, Some(200));
    drop((second, fourth));
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_address_leaves_places_to_others() {
    let options = HttpOptions { connections_per_address_max: 2, ..HttpOptions::default() };
    let server = Server::start(options).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    assert_eq!((status(&mut first).await, status(&mut second).await), (Some(200), Some(200)));
    assert_eq!(status(&mut server.connect().await).await, None);
    let mut other = server.connect_from("127.0.0.2").await;
    assert_eq!(status(&mut other).await, Some(200));
    assert_eq!(server.counts(), (3, 4, 1));
    drop((first, second, other));
    server.stop().await;
}

/// Silent, in the middle of a request head, and after an answer: each used to hold a socket for ever.
#[tokio::test(start_paused = true)]
async fn who_sends_no_request_in_time_is_cut_off() {
    let server = Server::start(HttpOptions::default()).await;
    for sent in [&b""[..], b"GET /live HTTP/1.1\r\nHos", b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let started = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(sent).await.expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an end without an error");
        assert_eq!(started.elapsed().as_secs(), 60, "{}", String::from_utf8_lossy(sent));
    }
    // One byte every now and then is not a request either.
    let started = Instant::now();
    let mut stream = server.connect().await;
    let head = b"GET /live HTTP/1.1\r\nHost: x\r\nX: ";
    stream.write_all(head).await.expect("the server reads");
    while stream.write_all(b"x").await.is_ok() {
        tokio::time::sleep(SECOND).await;
    }
    assert!(started.elapsed() < 63 * SECOND, "{:?}", started.elapsed());
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut_off() {
    let server = Server::start(HttpOptions::default()).await;
    let request = b"GET /metrics?detail=groups HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut silent = server.connect().await;
    silent.write_all(request).await.expect("the server reads");
    // Takes a little now and then: the page waits in memory all the same.
    let mut slow = server.connect().await;
    slow.write_all(request).await.expect("the server reads");
    let mut taken = vec![0; 64 << 10];
    let started = Instant::now();
    let cut_off = loop {
        tokio::time::sleep(SECOND).await;
        if slow.read_exact(&mut taken).await.is_err() {
            break started.elapsed();
        }
        assert!(started.elapsed() < 1000 * SECOND, "a slow reader got all it wanted");
        if started.elapsed() < 59 * SECOND {
            assert_eq!(server.counts().0, 2, "after {:?}", started.elapsed());
        } else if started.elapsed() > 62 * SECOND {
            assert_eq!(server.counts().0, 0, "after {:?}", started.elapsed());
        }
    };
    assert!(cut_off > 60 * SECOND, "{cut_off:?}");
    // Who reads gets all of it.
    let mut reader = server.connect().await;
    reader.write_all(b"GET /metrics?detail=groups HTTP/1.0\r\n\r\n").await.expect("it reads");
    let mut page = Vec::new();
    reader.read_to_end(&mut page).await.expect("the whole page");
    assert!(page.len() > 20 << 20, "{} bytes", page.len());
    // Shutdown does not wait for those who do not.
    silent = server.connect().await;
    silent.write_all(request).await.expect("the server reads");
    while server.counts().0 == 0 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    server.stop().await;
    assert!(started.elapsed() < 3 * SECOND, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_head_is_bounded() {
    let server = Server::start(HttpOptions::default()).await;
    let head = |bytes: usize| {
        let start = "GET /live HTTP/1.1\r\nConnection: close\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4)).into_bytes()
    };
    assert_eq!(refused(&server, &head(16 << 10)).await, 200);
    assert_eq!(refused(&server, &head((16 << 10) + 1)).await, 431);
    let fields = |count: usize| {
        let fields = "X: x\r\n".repeat(count - 1);
        format!("GET /live HTTP/1.1\r\nConnection: close\r\n{fields}\r\n").into_bytes()
    };
    assert_eq!(refused(&server, &fields(100)).await, 200);
    assert_eq!(refused(&server, &fields(101)).await, 431);
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    assert!(matches!(refused_early(&server, target.as_bytes()).await, None | Some(414 | 431)));
    server.stop().await;
}

/// The status of a request that is too long to be read to its end: closing on unread bytes may take the answer with it.
async fn refused_early(server: &Server, request: &[u8]) -> Option<u16> {
    let mut stream = server.connect().await;
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
    (!answer.is_empty()).then(|| code(&answer))
}

/// Bodies are never read, whatever length they claim.
#[tokio::test(start_paused = true)]
async fn a_body_is_not_waited_for() {
    let server = Server::start(HttpOptions::default()).await;
    let started = Instant::now();
    for (head, expected) in [
        ("GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 2147483647\r\n\r\n", 200),
        ("POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 2147483647\r\n\r\n", 405),
        ("GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n", 400),
        ("GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        ("GET /live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n", 200),
        (
            "GET /live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             fffffffffffffffff\r\n",
            200,
        ),
    ] {
        assert_eq!(refused(&server, head.as_bytes()).await, expected, "{head}");
    }
    assert_eq!(started.elapsed(), Duration::ZERO, "each was answered and closed at once");
    server.stop().await;
}
