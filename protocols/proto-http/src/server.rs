//! The accept loop: gives out places, runs each connection as a task, and is where a connection's panic ends.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, warn};

use crate::deadline::Deadline;
use crate::ops::Ops;
use crate::options::HttpOptions;
use crate::pages::routes;
use crate::places::{Place, Places};

/// Answers that are being made when shutdown begins have this long to reach their clients.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A pause after an accept that failed for want of descriptors or memory, so that the loop does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves until `shutdown` resolves; open requests are answered before it returns, unless their clients do not read.
///
/// Runs on the tokio runtime that polls it; each connection is its own task there.
///
/// # Errors
/// When the listener is broken. A failing connection or a shortage of descriptors is logged and survived.
pub async fn serve(
    listener: TcpListener,
    ops: Arc<dyn Ops>,
    options: HttpOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let http = protocol(&options);
    let answer_timeout = options.answer_timeout;
    let places = Places::new(options);
    let router = routes(ops);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => log_end(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = places.take(peer.ip()) else { continue };
                    let stream = Deadline::new(stream, answer_timeout);
                    let router = router.clone();
                    connections.spawn(run(http.clone(), stream, router, stopping.clone(), place));
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
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

fn protocol(options: &HttpOptions) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout)
        .max_headers(options.headers_max)
        .max_header_size(options.head_bytes_max)
        // Of bodies as well, which nobody reads.
        .max_buf_size(options.head_bytes_max);
    http
}

async fn run(
    http: http1::Builder,
    stream: Deadline,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    _place: Place,
) {
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn log_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        // The panic hook has printed the message and the place; the other connections go on.
        error!(%error, "a connection's task panicked");
    }
}
