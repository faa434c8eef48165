//! What the operator may set for the PostgreSQL listener.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Connections of one listener, for whoever shows them.
#[derive(Debug, Default)]
pub struct PgCounters {
    /// Sockets open now, in start-up or in a session.
    pub active: AtomicU64,
    /// Sockets accepted since the start.
    pub accepted: AtomicU64,
    /// Sockets closed before their start-up because too many were open.
    pub refused: AtomicU64,
}

/// Limits and texts of the listener. The defaults are for a listener by itself; `lumadb` sets them from its configuration.
#[derive(Clone, Debug)]
pub struct PgOptions {
    /// Sessions at once; one more is refused with SQLSTATE 53300 after its start-up message. Default 100, as in
    /// PostgreSQL.
    pub connections_max: usize,
    /// Sockets at once that have not finished start-up; the oldest of the address with most of them is closed for one more.
    /// Default 256.
    pub startups_max: usize,
    /// Those of one address; its oldest is closed for one more. Default 64.
    pub startups_per_address_max: usize,
    /// Body of a start-up message, without its length word. Default 10,000, PostgreSQL's own limit.
    pub startup_bytes_max: usize,
    /// Length word of any later message. Default 64 MiB; PostgreSQL's hard limit is 1 GiB − 1.
    pub message_bytes_max: usize,
    /// Bytes of one SQL text. Default 1 MiB.
    pub statement_bytes_max: usize,
    /// Prepared statements of one session. Default 10,000.
    pub statements_max: usize,
    /// Portals of one session. Default 1,000.
    pub portals_max: usize,
    /// SQL texts and bound parameters that one session keeps. Default 64 MiB.
    pub retained_bytes_max: usize,
    /// Output that is collected before the socket is waited for. Default 64 KiB.
    pub output_bytes_max: usize,
    /// Time from accept to the end of start-up. Default 60 s, as in PostgreSQL.
    pub startup_timeout: Duration,
    /// Time a client may take none of the output that waits for it; it is cut off then. Default 60 s, as a Kafka client.
    pub stalled_max: Duration,
    /// Time a session may wait for its client's next message; `None`, the default, is for ever.
    pub idle_timeout: Option<Duration>,
    /// Reported as `server_version` unless the engine reports its own; drivers parse the leading number.
    pub server_version: String,
    /// Counts the listener's connections.
    pub counters: Arc<PgCounters>,
}

impl Default for PgOptions {
    fn default() -> Self {
        Self {
            connections_max: 100,
            startups_max: 256,
            startups_per_address_max: 64,
            startup_bytes_max: 10_000,
            message_bytes_max: 64 << 20,
            statement_bytes_max: 1 << 20,
            statements_max: 10_000,
            portals_max: 1_000,
            retained_bytes_max: 64 << 20,
            output_bytes_max: 64 << 10,
            startup_timeout: Duration::from_secs(60),
            stalled_max: Duration::from_secs(60),
            idle_timeout: None,
            server_version: concat!("15.0 (LumaDB ", env!("CARGO_PKG_VERSION"), ")").to_owned(),
            counters: Arc::default(),
        }
    }
}
