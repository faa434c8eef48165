//! One socket: start-up, then messages one at a time, with cancel, disappearance and shutdown watched meanwhile.
//!
//! - Input is read ahead while a statement runs, up to `READ_AHEAD_BYTES_MAX`: to see the client leave, and no more.
//! - Output is flushed when it exceeds its limit and before anything is waited for. A client that takes none of it for
//!   `stalled_max` is cut off, whatever its statement holds with it.
//! - Before a socket is closed with an error on its way, the client's unread bytes are drained for a moment: closing
//!   with them pending would reset the connection and the error would be lost.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::future::{Either, select};
use query_api::{BoxFuture, SqlSessionOptions};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use crate::cancel::{CancelSwitch, Registration};
use crate::codec::{self, Frame, Message, Report, Startup};
use crate::error;
use crate::ops::startup::{self, Start};
use crate::server::{Place, Shared};
use crate::session::{Session, Wire};
use crate::startups;

/// Pipelined input that is kept while a statement runs.
const READ_AHEAD_BYTES_MAX: usize = 64 << 10;
/// An empty input buffer larger than this is given back.
const INPUT_BYTES_KEPT: usize = 64 << 10;
/// An output buffer that one large row made larger than this is given back.
const OUTPUT_BYTES_KEPT: usize = 1 << 20;
const READ_BYTES: usize = 8 << 10;
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1 << 20;

/// Serves one client to the end of its connection.
pub(crate) async fn run(stream: TcpStream, mut entry: startups::Startup, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut connection = Connection {
        stream,
        input: BytesMut::new(),
        out: BytesMut::new(),
        stalled_max: shared.options.stalled_max,
        stopping: shared.stopping.clone(),
    };
    let started = {
        let startup = pin!(timeout(shared.options.startup_timeout, connection.startup(&shared)));
        match select(startup, &mut entry.evicted).await {
            Either::Left((Ok(result), _)) => Some(result),
            // PostgreSQL closes without a word too.
            Either::Left((Err(_), _)) => {
                return debug!("connection closed: start-up took too long");
            }
            Either::Right(_) => None,
        }
    };
    drop(entry);
    let Some(started) = started else { return connection.make_room() };
    let ended = match started {
        Ok(Some(started)) => connection.messages(started, &shared).await,
        Ok(None) => Ok(()),
        Err(end) => Err(end),
    };
    match ended {
        Ok(()) => {}
        Err(End::Report(report)) => connection.say_and_close(&report).await,
        Err(End::Io(error)) => debug!(%error, "connection lost"),
    }
}

/// Why a connection ends.
enum End {
    /// With a last message to the client.
    Report(Report),
    /// Without: the socket is gone.
    Io(io::Error),
}

impl From<Report> for End {
    fn from(report: Report) -> Self {
        Self::Report(report)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Connection {
    stream: TcpStream,
    /// Received, not yet decoded.
    input: BytesMut,
    /// Encoded, not yet sent; whole messages, but for a first one that is partly sent.
    out: BytesMut,
    stalled_max: Duration,
    stopping: watch::Receiver<bool>,
}

/// What start-up leaves behind.
struct Started {
    session: Session,
    switch: Arc<CancelSwitch>,
    // Given back when the connection ends, however it ends.
    _registration: Registration,
    _place: Place,
}

impl Connection {
    /// Negotiates until a session is open; `None` when the connection had another purpose or the client left.
    async fn startup(&mut self, shared: &Arc<Shared>) -> Result<Option<Started>, End> {
        let (mut ssl_refused, mut gss_refused) = (false, false);
        loop {
            match codec::decode_startup(&mut self.input, shared.options.startup_bytes_max)? {
                None => {
                    if !self.read_or_stop().await? {
                        return Ok(None);
                    }
                }
                Some(Startup::CancelRequest { process_id, secret }) => {
                    shared.cancels.cancel(process_id, secret);
                    return Ok(None);
                }
                Some(Startup::CancelRequestMalformed) => return Ok(None),
                Some(Startup::SslRequest) => self.refuse(&mut ssl_refused, 5679, "SSL").await?,
                Some(Startup::GssEncRequest) => {
                    self.refuse(&mut gss_refused, 5680, "GSSAPI encryption").await?;
                }
                Some(Startup::Start { minor, parameters }) => {
                    return self.start(minor, parameters, shared).await.map(Some);
                }
            }
        }
    }

    /// Answers 'N' to an encryption request, once per kind.
    async fn refuse(&mut self, refused: &mut bool, minor: u16, name: &str) -> Result<(), End> {
        if std::mem::replace(refused, true) {
            let message =
                format!("unsupported frontend protocol 1234.{minor}: server supports 3.0 to 3.0");
            return Err(Report::fatal("0A000", message).into());
        }
        self.out.extend_from_slice(b"N");
        self.wire(0).flush().await?;
        if self.input.is_empty() {
            return Ok(());
        }
        let mut report =
            Report::fatal("08P01", format!("received unencrypted data after {name} request"));
        report.detail = Some(
            "This could be either a client-software bug or evidence of an attempted \
             man-in-the-middle attack."
                .to_owned(),
        );
        Err(report.into())
    }

    async fn start(
        &mut self,
        minor: u16,
        parameters: Vec<(String, String)>,
        shared: &Arc<Shared>,
    ) -> Result<Started, End> {
        let start = Start::read(parameters)?;
        let place = Place::take(shared)
            .ok_or_else(|| Report::fatal("53300", "sorry, too many clients already"))?;
        let registration = shared.cancels.register();
        let options = SqlSessionOptions {
            user: start.user.clone(),
            database: start.database.clone(),
            application_name: start.application_name.clone(),
            process_id: registration.process_id,
        };
        let mut session = Session::new(shared.sql.open_session(options), shared.options.clone());
        let switch = Arc::new(CancelSwitch::default());
        registration.arm(Arc::clone(&switch), session.canceller());
        startup::settle(&mut session, &start).await?;
        let key = (registration.process_id, registration.secret);
        startup::answer(&mut session, &start, minor, key, &mut self.out);
        Ok(Started { session, switch, _registration: registration, _place: place })
    }

    /// Handles messages until the client leaves (`Ok`) or the connection has to end.
    async fn messages(&mut self, mut started: Started, shared: &Arc<Shared>) -> Result<(), End> {
        loop {
            match codec::decode_frame(&mut self.input, shared.options.message_bytes_max)? {
                Some(frame) => {
                    if !self.message(&mut started, frame, shared).await? {
                        return Ok(());
                    }
                }
                None => {
                    self.wire(0).flush().await?;
                    if self.input.is_empty() && self.input.capacity() > INPUT_BYTES_KEPT {
                        self.input = BytesMut::new();
                    }
                    let limit = idle_limit(&started.session, shared.options.idle_timeout);
                    if !self.read_idle(limit).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Handles one message; false when the client left.
    async fn message(
        &mut self,
        started: &mut Started,
        frame: Frame,
        shared: &Arc<Shared>,
    ) -> Result<bool, End> {
        let tag = frame.tag;
        let message = match codec::decode_message(frame) {
            Ok(Message::Terminate) => return Ok(false),
            other => other,
        };
        started.switch.begin();
        let interrupt = {
            let mut wire = SocketWire {
                stream: &self.stream,
                out: &mut self.out,
                stalled_max: self.stalled_max,
                out_bytes_max: shared.options.output_bytes_max,
            };
            let handled = pin!(started.session.handle(tag, message, &mut wire));
            let interrupted =
                pin!(interrupt(&self.stream, &mut self.input, &started.switch, &mut self.stopping));
            match select(handled, interrupted).await {
                Either::Left((result, _)) => {
                    result?;
                    None
                }
                Either::Right((interrupt, _)) => Some(interrupt),
            }
        };
        started.switch.finish();
        match interrupt {
            None => Ok(true),
            Some(Interrupt::Cancelled) => {
                started.session.interrupted(error::cancelled(), &mut self.out);
                Ok(true)
            }
            Some(Interrupt::Gone) => Ok(false),
            Some(Interrupt::Stopping) => Err(stopping().into()),
        }
    }

    async fn read_idle(&mut self, limit: Option<(Duration, Report)>) -> Result<bool, End> {
        let Some((limit, report)) = limit else { return self.read_or_stop().await };
        match timeout(limit, self.read_or_stop()).await {
            Ok(result) => result,
            Err(_) => Err(report.into()),
        }
    }

    /// Waits for more input; false at its end.
    async fn read_or_stop(&mut self) -> Result<bool, End> {
        let read = pin!(read_some(&self.stream, &mut self.input));
        let stop = pin!(stop_requested(&mut self.stopping));
        match select(read, stop).await {
            Either::Left((result, _)) => Ok(result? > 0),
            Either::Right(_) => Err(stopping().into()),
        }
    }

    /// Says why, if the socket takes it at once, and closes.
    fn make_room(&mut self) {
        let message = "too many connections that have not logged in: the oldest is closed";
        codec::error_response(&mut self.out, &Report::fatal("53300", message));
        if let Err(error) = self.stream.try_write(&self.out) {
            debug!(%error, "connection lost");
        }
    }

    /// Sends a last error and closes so that the client can read it.
    async fn say_and_close(&mut self, report: &Report) {
        codec::error_response(&mut self.out, report);
        let linger = async {
            self.wire(0).flush().await?;
            self.stream.shutdown().await?;
            let mut drained = 0;
            while drained < LINGER_BYTES_MAX {
                self.input.clear();
                match read_some(&self.stream, &mut self.input).await? {
                    0 => break,
                    count => drained += count,
                }
            }
            io::Result::Ok(())
        };
        match timeout(LINGER, linger).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => debug!(%error, "connection lost"),
        }
    }

    fn wire(&mut self, out_bytes_max: usize) -> SocketWire<'_> {
        let stalled_max = self.stalled_max;
        SocketWire { stream: &self.stream, out: &mut self.out, stalled_max, out_bytes_max }
    }
}

/// How long the client may be silent now, and what it is told then.
fn idle_limit(session: &Session, idle_timeout: Option<Duration>) -> Option<(Duration, Report)> {
    let idle = idle_timeout.map(|limit| {
        (limit, Report::fatal("57P05", "terminating connection due to idle-session timeout"))
    });
    let in_block = session.timeouts().idle_in_transaction.filter(|_| session.in_transaction());
    let in_block = in_block.map(|limit| {
        (limit, Report::fatal("25P03", "terminating connection due to idle-in-transaction timeout"))
    });
    [idle, in_block].into_iter().flatten().min_by_key(|(limit, _)| *limit)
}

fn stopping() -> Report {
    Report::fatal("57P01", "terminating connection due to administrator command")
}

/// Why a message was not handled to its end.
enum Interrupt {
    /// A cancel request named this connection.
    Cancelled,
    /// The client closed its side.
    Gone,
    Stopping,
}

/// Watches everything that may end the running message; reads ahead meanwhile.
async fn interrupt(
    stream: &TcpStream,
    input: &mut BytesMut,
    switch: &CancelSwitch,
    stopping: &mut watch::Receiver<bool>,
) -> Interrupt {
    let gone = pin!(async {
        while input.len() < READ_AHEAD_BYTES_MAX {
            match read_some(stream, input).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        // No more is read: that the client left shows when writing to it fails.
        std::future::pending().await
    });
    let cancelled = pin!(switch.cancelled());
    let stop = pin!(stop_requested(stopping));
    match select(cancelled, select(gone, stop)).await {
        Either::Left(_) => Interrupt::Cancelled,
        Either::Right((Either::Left(_), _)) => Interrupt::Gone,
        Either::Right((Either::Right(_), _)) => Interrupt::Stopping,
    }
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")
}

async fn stop_requested(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone means the accept loop is gone: the same as a stop.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Appends what the socket has to `input`; 0 at its end. Dropping it loses nothing.
async fn read_some(stream: &TcpStream, input: &mut BytesMut) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        input.reserve(READ_BYTES);
        match stream.try_read_buf(input) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

/// The output side as the session sees it.
struct SocketWire<'a> {
    stream: &'a TcpStream,
    out: &'a mut BytesMut,
    stalled_max: Duration,
    out_bytes_max: usize,
}

impl Wire for SocketWire<'_> {
    fn out(&mut self) -> &mut BytesMut {
        self.out
    }

    fn full(&self) -> bool {
        self.out.len() > self.out_bytes_max
    }

    fn flush(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            while !self.out.is_empty() {
                match self.stream.try_write(self.out) {
                    Ok(count) => self.out.advance(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let writable = timeout(self.stalled_max, self.stream.writable());
                        writable.await.unwrap_or_else(|_| Err(stalled()))?;
                    }
                    Err(error) => return Err(error),
                }
            }
            if self.out.capacity() > OUTPUT_BYTES_KEPT {
                *self.out = BytesMut::new();
            }
            Ok(())
        })
    }

    fn timer(&self, after: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(after))
    }
}
