//! Kafka connections of one core: accept, cut requests, start them in order, answer in order.
//!
//! ```text
//!  socket ─► reader: size, body ─► Handler::begin, in order ─► Pipeline ─► writer: await, write ─► socket
//! ```
//!
//! Invariants:
//! - Requests of a connection start in the order they came and are answered in that order (Kafka's rule).
//! - Memory for a request is taken from the core's budget as its bytes arrive, never because of what its length field
//!   claims, and again before its elements are decoded; a connection holds at most [`PIPELINE_BYTES_MAX`] of both (or one
//!   larger request) and [`PIPELINE_MAX`] requests.
//! - A connection is given one answer at a time that may be large. Those of records are smaller the less is left of the core's
//!   budget for them; others wait for each other, and for those who do not take theirs no longer than some seconds.
//! - Nothing a client sends panics: a frame that does not parse closes its connection.

mod connection;
mod intake;
mod progress;

use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use broker_kafka::Handler;
use broker_rt::{Connection, Listener, Queue};

use crate::core::{Core, CoreBroker};
use connection::KafkaConnection;
use progress::{Progress, Wanted};

/// Requests of one connection in flight. Idempotent clients use 5 at most.
pub(crate) const PIPELINE_MAX: usize = 32;
/// Bytes of one connection's requests in flight.
pub(crate) const PIPELINE_BYTES_MAX: usize = 16 << 20;
/// How often it is looked whether they do.
const WANTED_CHECK: Duration = Duration::from_secs(1);
/// How many of those it takes until idle connections are looked for.
const CHECKS_PER_SWEEP: u32 = 10;
/// Pause after `accept` failed for lack of descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A live connection, for the sweep.
pub(crate) struct Live {
    pub(crate) connection: Rc<dyn Connection>,
    pub(crate) progress: Progress,
}

/// Listens and serves until the core stops. Gives the bound address.
///
/// # Errors
/// What binding reports.
pub(crate) fn serve(core: &Rc<Core>, addr: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = core.runtime.listen(addr)?;
    let bound = listener.local_addr();
    core.bound(bound);
    let accepting = accept_loop(Rc::clone(core), listener);
    core.runtime.spawn(Queue::Latency, "kafka-accept", Box::pin(accepting));
    Ok(bound)
}

async fn accept_loop(core: Rc<Core>, listener: Rc<dyn Listener>) {
    let handler = Rc::new(Handler::new(Rc::new(CoreBroker(Rc::clone(&core)))));
    let live = Rc::new(std::cell::RefCell::new(Vec::<Weak<Live>>::new()));
    let sweep = sweep_loop(Rc::clone(&core), Rc::clone(&live));
    core.runtime.spawn(Queue::Background, "kafka-idle", Box::pin(sweep));
    while !core.stopping.get() {
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                core.runtime.sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        if !core.admit(connection.peer().ip()) {
            connection.close();
            continue;
        }
        let progress = Progress::since(core.runtime.clock().mono_ns());
        let entry = Rc::new(Live { connection, progress });
        live.borrow_mut().push(Rc::downgrade(&entry));
        let serving = KafkaConnection::new(Rc::clone(&core), Rc::clone(&handler), entry).serve();
        core.runtime.spawn(Queue::Latency, "kafka-connection", Box::pin(serving));
    }
}

/// Closes connections that have been silent for too long, and those that do not take, or do not send, or let wait what they
/// hold up others with.
async fn sweep_loop(core: Rc<Core>, live: Rc<std::cell::RefCell<Vec<Weak<Live>>>>) {
    let idle_ns =
        u64::try_from(core.shared.settings.connection_idle_max.as_nanos()).unwrap_or(u64::MAX);
    for check in 1_u32.. {
        core.runtime.sleep(WANTED_CHECK).await;
        if core.stopping.get() {
            return;
        }
        let wanted = Wanted {
            answers: core.listings.is_wanted(),
            requests: core.memory.is_wanted(),
            elements: core.decoded.is_wanted(),
        };
        if !wanted.anything() && !check.is_multiple_of(CHECKS_PER_SWEEP) {
            continue;
        }
        let now_ns = core.runtime.clock().mono_ns();
        live.borrow_mut().retain(|entry| {
            let Some(entry) = entry.upgrade() else { return false };
            if entry.progress.is_overdue(now_ns, idle_ns, wanted) {
                entry.connection.close();
            }
            true
        });
    }
}
