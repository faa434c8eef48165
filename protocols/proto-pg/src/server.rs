//! The accept loop: counts connections, runs each as a task, and is where a connection's panic ends.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, poll_fn, select};
use query_api::Sql;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, warn};

use crate::cancel::CancelRegistry;
use crate::connection;
use crate::options::PgOptions;
use crate::startups::Startups;

/// Connections have this long to say goodbye at shutdown; a client that does not read is cut off then.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Between two log lines about start-ups that had to make room.
const EVICTION_LOG_PAUSE: Duration = Duration::from_secs(10);

/// A pause after an accept that failed for want of descriptors or memory, so that the loop does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What the connections of one listener share.
pub(crate) struct Shared {
    pub(crate) sql: Arc<dyn Sql>,
    pub(crate) options: PgOptions,
    pub(crate) cancels: Arc<CancelRegistry>,
    pub(crate) startups: Arc<Startups>,
    /// Sessions that passed start-up.
    pub(crate) sessions: AtomicUsize,
    /// True once shutdown began.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Serves PostgreSQL clients on `listener` until `shutdown` resolves, then ends every session with 57P01.
///
/// Runs on the tokio runtime that polls it; each connection is its own task there.
///
/// # Errors
/// When the listener is broken. A failing connection or a shortage of descriptors is logged and survived.
pub async fn serve(
    listener: TcpListener,
    sql: Arc<dyn Sql>,
    options: PgOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    // Twice the start-ups: one that makes room takes a moment to end.
    let startups = options.startups_max.saturating_mul(2);
    let sockets_max = options.connections_max.saturating_add(startups);
    let startups = Startups::new(options.startups_per_address_max, options.startups_max);
    let shared = Arc::new(Shared {
        sql,
        options,
        cancels: CancelRegistry::new(),
        startups,
        sessions: AtomicUsize::new(0),
        stopping,
    });
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let counters = Arc::clone(&shared.options.counters);
    let mut evictions = EvictionLog::default();
    loop {
        counters.active.store(connections.len() as u64, Ordering::Relaxed);
        let event = {
            let event = pin!(next_event(&listener, &mut connections));
            match select(shutdown.as_mut(), event).await {
                Either::Left(((), _)) => break,
                Either::Right((event, _)) => event,
            }
        };
        match event {
            Event::Finished(Err(error)) => log_end(&error),
            Event::Finished(Ok(())) => {}
            Event::Accepted(Ok((stream, peer))) => {
                counters.accepted.fetch_add(1, Ordering::Relaxed);
                if connections.len() >= sockets_max {
                    counters.refused.fetch_add(1, Ordering::Relaxed);
                    debug!(sockets_max, "connection closed: too many sockets");
                    continue;
                }
                let (startup, evicted) = shared.startups.enter(peer.ip());
                if let Some(address) = evicted {
                    counters.refused.fetch_add(1, Ordering::Relaxed);
                    evictions.note(address);
                }
                connections.spawn(connection::run(stream, startup, Arc::clone(&shared)));
            }
            Event::Accepted(Err(error)) => {
                if error.kind() == io::ErrorKind::InvalidInput {
                    return Err(error);
                }
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drain = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, drain).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

enum Event {
    Accepted(io::Result<(TcpStream, SocketAddr)>),
    Finished(Result<(), JoinError>),
}

/// The next new connection or the next finished one; both sources keep their place when this is dropped.
async fn next_event(listener: &TcpListener, connections: &mut JoinSet<()>) -> Event {
    poll_fn(|cx| {
        // An empty set answers `None` at once and is woken by the next spawn, which happens in this task.
        if let Poll::Ready(Some(result)) = connections.poll_join_next(cx) {
            return Poll::Ready(Event::Finished(result));
        }
        listener.poll_accept(cx).map(Event::Accepted)
    })
    .await
}

/// Says now and then that start-ups had to make room: whoever sends silent sockets must not fill the log as well.
#[derive(Default)]
struct EvictionLog {
    last: Option<tokio::time::Instant>,
    since: u64,
}

impl EvictionLog {
    fn note(&mut self, address: IpAddr) {
        self.since += 1;
        let now = tokio::time::Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < EVICTION_LOG_PAUSE) {
            return;
        }
        let closed = std::mem::take(&mut self.since);
        self.last = Some(now);
        warn!(%address, closed, "connections closed that were slow to log in: too many of them");
    }
}

fn log_end(error: &JoinError) {
    if error.is_panic() {
        // The panic hook has printed the message and the place; the other connections go on.
        error!(%error, "a connection's task panicked");
    }
}

/// One of the `connections_max` places; dropping it gives the place back.
pub(crate) struct Place(Arc<Shared>);

impl Place {
    /// `None` when all places are taken.
    pub(crate) fn take(shared: &Arc<Shared>) -> Option<Self> {
        let max = shared.options.connections_max;
        shared
            .sessions
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                (count < max).then_some(count + 1)
            })
            .ok()
            .map(|_| Self(Arc::clone(shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::SeqCst);
    }
}
