//! A small blocking PostgreSQL client: start-up without password, simple queries, cancel.
//!
//! postgres-protocol does the wire (<https://www.postgresql.org/docs/current/protocol-message-formats.html>); this file
//! is the conversation. Values come as text with the type of their column.
//!
//! Invariants:
//! - A failed statement leaves the session usable: everything up to `ReadyForQuery` is read.
//! - A message longer than [`MESSAGE_BYTES_MAX`] ends the session before it is buffered.
//!
//! Deliberately absent: passwords, TLS, COPY FROM, the extended protocol.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::{ErrorFields, Header, Message};
use postgres_protocol::message::frontend;

use crate::args::TargetArgs;
use crate::connect::host_and_port;
use crate::exit::{Exit, Failure};

const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// How long a server may take for its first word. One of another protocol may take what we send for the beginning of
/// something and wait for the rest.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Where to connect, from `postgres://user@host:port/database`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) user: String,
    pub(crate) addr: String,
    pub(crate) database: String,
}

impl Target {
    /// Missing parts are `luma`, `127.0.0.1`, `5432`, `luma`.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = || {
            let hint = if url.contains(char::is_whitespace) {
                format!("a statement goes after -c: lumadb sql -c {url:?}")
            } else {
                "an address is postgres://user@host:port/database".to_owned()
            };
            Failure::usage(format!("{url:?} is no address of a server")).hint(hint)
        };
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(wrong)?;
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let or = |text: &str, default: &str| {
            if text.is_empty() { default.to_owned() } else { text.to_owned() }
        };
        if user.contains(':') {
            return Err(Failure::usage("passwords are not supported yet")
                .hint("postgres://user@host:port/database"));
        }
        let database = database.split('?').next().unwrap_or_default();
        let addr = host_and_port(&or(host, "127.0.0.1"), 5432).ok_or_else(wrong)?;
        Ok(Self { user: or(user, "luma"), addr, database: or(database, "luma") })
    }

    /// With what flags say instead.
    pub(crate) fn with(self, parts: &TargetArgs) -> Self {
        let (host, port) = self.addr.rsplit_once(':').unwrap_or((&self.addr, "5432"));
        let bare_ipv6 = |host: &&str| host.contains(':') && !host.starts_with('[');
        let host = match parts.host.as_deref() {
            Some(host) if bare_ipv6(&host) => format!("[{host}]"),
            Some(chosen) => chosen.to_owned(),
            None => host.to_owned(),
        };
        let port = parts.port.map_or_else(|| port.to_owned(), |port| port.to_string());
        Self {
            addr: format!("{host}:{port}"),
            user: parts.user.clone().unwrap_or(self.user),
            database: parts.database.clone().unwrap_or(self.database),
        }
    }
}

/// As `\conninfo` says it.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { user, addr, database } = self;
        write!(f, "connected to database {database:?} as user {user:?} at {addr}")
    }
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
}

/// What the server said of a failed statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) severity: String,
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// 1-based, in characters.
    pub(crate) position: Option<usize>,
}

/// One event of a running query, in order.
#[derive(Debug)]
pub(crate) enum Event {
    Columns(Vec<Column>),
    Row(Vec<Option<String>>),
    /// What `COPY … TO STDOUT` writes, in pieces.
    CopyData(bytes::Bytes),
    Complete(String),
    Notice(ServerError),
    Error(ServerError),
}

/// Cancels what its session runs.
#[derive(Clone, Debug)]
pub(crate) struct CancelKey {
    addr: String,
    process_id: i32,
    secret: i32,
}

impl CancelKey {
    /// Asks on a connection of its own; the server answers nothing.
    pub(crate) fn cancel(&self) -> std::io::Result<()> {
        let mut buf = BytesMut::new();
        frontend::cancel_request(self.process_id, self.secret, &mut buf);
        TcpStream::connect(&self.addr)?.write_all(&buf)
    }
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    socket: TcpStream,
    buf: BytesMut,
    pub(crate) cancel_key: CancelKey,
}

fn lost(error: &std::io::Error) -> Failure {
    Failure::new(Exit::CannotConnect, format!("lost the connection to the server: {error}"))
}

impl Session {
    pub(crate) fn open(target: &Target) -> Result<Self, Failure> {
        Self::open_within(target, ANSWER_MAX)
    }

    fn open_within(target: &Target, answer_max: Duration) -> Result<Self, Failure> {
        let mut session = Self::connect(target)?;
        session.socket.set_read_timeout(Some(answer_max))?;
        match session.first_byte()? {
            // An authentication request, an error, a protocol negotiation.
            b'R' | b'E' | b'v' => {
                session.socket.set_read_timeout(None)?;
                session.log_in()
            }
            _ => Err(Failure::new(
                Exit::CannotConnect,
                format!("{} does not speak PostgreSQL's protocol", target.addr),
            )
            .hint("the server's banner names the address for SQL")),
        }
    }

    /// Connects and asks to be let in.
    fn connect(target: &Target) -> Result<Self, Failure> {
        let socket = TcpStream::connect(&target.addr).map_err(|error| {
            Failure::new(Exit::CannotConnect, format!("cannot connect to {}: {error}", target.addr))
                .hint("is the server running? its banner names the address")
        })?;
        let cancel_key = CancelKey { addr: target.addr.clone(), process_id: 0, secret: 0 };
        let mut session = Self { socket, buf: BytesMut::new(), cancel_key };
        let parameters = [
            ("user", target.user.as_str()),
            ("database", target.database.as_str()),
            ("application_name", "lumadb sql"),
            ("client_encoding", "UTF8"),
        ];
        session.send(|buf| frontend::startup_message(parameters, buf))?;
        Ok(session)
    }

    /// The byte that the server's answer begins with; it stays to be read.
    fn first_byte(&mut self) -> Result<u8, Failure> {
        let mut first = [0];
        match self.socket.peek(&mut first) {
            Ok(1) => Ok(first[0]),
            Ok(_) => Err(Failure::new(
                Exit::CannotConnect,
                format!("{} closed the connection at once", self.cancel_key.addr),
            )
            .hint("the server's log says why; its banner names the address for SQL")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Failure::new(
                    Exit::TimedOut,
                    format!("{} took the connection and says nothing", self.cancel_key.addr),
                )
                .hint("is it the address for SQL? the server's banner names it"))
            }
            Err(error) => Err(lost(&error)),
        }
    }

    fn log_in(mut self) -> Result<Self, Failure> {
        loop {
            match self.receive()? {
                Message::AuthenticationOk
                | Message::ParameterStatus(_)
                | Message::NoticeResponse(_) => {}
                Message::BackendKeyData(key) => {
                    self.cancel_key.process_id = key.process_id();
                    self.cancel_key.secret = key.secret_key();
                }
                Message::ReadyForQuery(_) => return Ok(self),
                Message::ErrorResponse(body) => {
                    let error = server_error(body.fields());
                    let exit = if error.sqlstate.starts_with("28") {
                        Exit::NotPermitted
                    } else {
                        Exit::CannotConnect
                    };
                    return Err(Failure::new(
                        exit,
                        format!("{} ({})", error.message, error.sqlstate),
                    ));
                }
                _ => {
                    return Err(Failure::new(
                        Exit::NotPermitted,
                        "the server asks for a login that is not supported",
                    ));
                }
            }
        }
    }

    /// Runs a string of statements; `visit` gets each event. An error of `visit` is returned after the rest was read.
    pub(crate) fn query(
        &mut self,
        sql: &str,
        mut visit: impl FnMut(Event) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if sql.contains('\0') {
            return Err(Failure::usage("a statement cannot hold a NUL character"));
        }
        self.send(|buf| frontend::query(sql, buf))?;
        let mut first_error = Ok(());
        loop {
            let event = match self.receive()? {
                Message::ReadyForQuery(_) => return first_error,
                Message::RowDescription(body) => {
                    Event::Columns(columns(&body).map_err(|e| lost(&e))?)
                }
                Message::DataRow(body) => Event::Row(row(&body).map_err(|e| lost(&e))?),
                Message::CopyData(body) => Event::CopyData(body.into_bytes()),
                Message::CommandComplete(body) => {
                    Event::Complete(body.tag().map_err(|e| lost(&e))?.to_owned())
                }
                Message::NoticeResponse(body) => Event::Notice(server_error(body.fields())),
                Message::ErrorResponse(body) => Event::Error(server_error(body.fields())),
                _ => continue,
            };
            let fatal = matches!(&event, Event::Error(error) if error.severity == "FATAL");
            if first_error.is_ok() {
                first_error = visit(event);
            }
            if fatal {
                return first_error;
            }
        }
    }

    fn send(
        &mut self,
        encode: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let mut buf = BytesMut::new();
        encode(&mut buf).and_then(|()| self.socket.write_all(&buf)).map_err(|error| lost(&error))
    }

    fn receive(&mut self) -> Result<Message, Failure> {
        loop {
            if let Some(header) = Header::parse(&self.buf).map_err(|error| lost(&error))? {
                let len = usize::try_from(header.len()).unwrap_or(usize::MAX);
                if len > MESSAGE_BYTES_MAX {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("the server sent a message of {len} bytes"),
                    ));
                }
            }
            if let Some(message) = Message::parse(&mut self.buf).map_err(|error| lost(&error))? {
                return Ok(message);
            }
            let mut chunk = [0; 16 << 10];
            match self.socket.read(&mut chunk).map_err(|error| lost(&error))? {
                0 => return Err(lost(&ErrorKind::UnexpectedEof.into())),
                read => self.buf.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

fn columns(
    body: &postgres_protocol::message::backend::RowDescriptionBody,
) -> std::io::Result<Vec<Column>> {
    use postgres_protocol::message::backend::Field;
    let column =
        |field: Field<'_>| Ok(Column { name: field.name().to_owned(), type_oid: field.type_oid() });
    fallible_collect(body.fields(), column)
}

fn row(
    body: &postgres_protocol::message::backend::DataRowBody,
) -> std::io::Result<Vec<Option<String>>> {
    fallible_collect(body.ranges(), |range: Option<std::ops::Range<usize>>| {
        let Some(range) = range else { return Ok(None) };
        let bytes = body.buffer().get(range).ok_or(ErrorKind::InvalidData)?;
        Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
    })
}

/// Collects postgres-protocol's iterators, which can fail at each step.
fn fallible_collect<I: fallible_iterator::FallibleIterator<Error = std::io::Error>, T>(
    mut items: I,
    convert: impl Fn(I::Item) -> std::io::Result<T>,
) -> std::io::Result<Vec<T>> {
    let mut all = Vec::new();
    while let Some(item) = items.next()? {
        all.push(convert(item)?);
    }
    Ok(all)
}

fn server_error(mut fields: ErrorFields<'_>) -> ServerError {
    use fallible_iterator::FallibleIterator;
    let mut error = ServerError::default();
    // A field that cannot be read ends the list; what was read is still worth showing.
    while let Ok(Some(field)) = fields.next() {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'V' => error.severity = text,
            b'S' if error.severity.is_empty() => error.severity = text,
            b'C' => error.sqlstate = text,
            b'M' => error.message = text,
            b'D' => error.detail = Some(text),
            b'H' => error.hint = Some(text),
            b'P' => error.position = text.parse().ok(),
            _ => {}
        }
    }
    error
}

#[cfg(test)]
mod tests;
