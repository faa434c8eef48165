//! What the operator may set for the HTTP listener, and what it counts.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Connections of one listener, for whoever shows them.
#[derive(Debug, Default)]
pub struct HttpCounters {
    /// Sockets open now.
    pub active: AtomicU64,
    /// Sockets accepted since the start.
    pub accepted: AtomicU64,
    /// Of those, sockets closed at once because too many were open.
    pub refused: AtomicU64,
}

/// Limits of the listener; [`HttpOptions::default`] is what a bare `lumadb` uses.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Sockets at once; one more is closed at once. Default 256.
    pub connections_max: usize,
    /// Those of one address; one more is closed at once. Default 64.
    pub connections_per_address_max: usize,
    /// Bytes of a request line with its header fields; a longer one is 431. Default 16 KiB, at least 8 KiB.
    pub head_bytes_max: usize,
    /// Header fields of a request; one more is 431. Default 100.
    pub headers_max: usize,
    /// Time from accept, or from the end of the last answer, to the last byte of a request head. Default 60 s: a scraper that
    /// keeps its connection comes back in that time.
    pub head_timeout: Duration,
    /// Time a client may take to read an answer once its socket is full. Default 60 s, as for the other listeners.
    pub answer_timeout: Duration,
    /// Counts the listener's connections.
    pub counters: Arc<HttpCounters>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connections_max: 256,
            connections_per_address_max: 64,
            head_bytes_max: 16 << 10,
            headers_max: 100,
            head_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(60),
            counters: Arc::default(),
        }
    }
}
