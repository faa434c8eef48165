//! What clients send: start-up packets, then tagged messages.
//!
//! Decoding has two steps so that a bad body does not cost the connection: [`decode_frame`] cuts one message out
//! of the buffer (its errors are FATAL), [`decode_message`] reads the body (its errors are ERROR).

use bytes::{Buf, Bytes, BytesMut};

use super::Report;

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;

/// Limit of messages that carry no user data, as in PostgreSQL (`PQ_SMALL_MESSAGE_LIMIT`).
const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;

/// A packet before a session exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup {
    SslRequest,
    GssEncRequest,
    /// Ends what another connection runs.
    CancelRequest {
        process_id: i32,
        secret: i32,
    },
    /// A cancel request of the wrong length: closed without an answer.
    CancelRequestMalformed,
    /// Protocol 3.`minor` with the client's parameters in order.
    Start {
        minor: u16,
        parameters: Vec<(String, String)>,
    },
}

/// One message as cut out of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

/// A message of a running session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Query {
        sql: String,
    },
    Parse {
        name: String,
        sql: String,
        /// OIDs; 0 leaves the type to the server.
        parameter_types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        /// None, one for all, or one per parameter; 0 text, 1 binary.
        parameter_formats: Vec<i16>,
        /// `None` is NULL.
        parameters: Vec<Option<Bytes>>,
        /// None, one for all, or one per column.
        result_formats: Vec<i16>,
    },
    Describe {
        target: Target,
        name: String,
    },
    Execute {
        portal: String,
        /// No limit when zero or negative.
        rows_max: i32,
    },
    Close {
        target: Target,
        name: String,
    },
    Flush,
    Sync,
    Terminate,
    FunctionCall,
    /// CopyData, CopyDone or CopyFail.
    Copy,
}

/// Takes one start-up packet from the front of `buf`; `None` when it is not complete yet.
///
/// `bytes_max` bounds the body (all but the length word).
///
/// # Errors
/// FATAL 08P01 for a length out of range or a malformed parameter list, 0A000 for another protocol version.
pub fn decode_startup(buf: &mut BytesMut, bytes_max: usize) -> Result<Option<Startup>, Report> {
    let Some(&length) = buf.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(length) as usize;
    if length < 8 || length - 4 > bytes_max {
        return Err(Report::fatal("08P01", "invalid length of startup packet"));
    }
    if buf.len() < length {
        return Ok(None);
    }
    let mut body = buf.split_to(length).freeze();
    body.advance(4);
    let code = body.get_u32();
    match code {
        CANCEL_REQUEST if body.len() == 8 => {
            Ok(Some(Startup::CancelRequest { process_id: body.get_i32(), secret: body.get_i32() }))
        }
        CANCEL_REQUEST => Ok(Some(Startup::CancelRequestMalformed)),
        SSL_REQUEST if body.is_empty() => Ok(Some(Startup::SslRequest)),
        GSSENC_REQUEST if body.is_empty() => Ok(Some(Startup::GssEncRequest)),
        _ => decode_start(code, body).map(Some),
    }
}

fn decode_start(code: u32, mut body: Bytes) -> Result<Startup, Report> {
    let (major, minor) = (code >> 16, u16::try_from(code & 0xffff).expect("masked to 16 bits"));
    if major != 3 {
        let message =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0");
        return Err(Report::fatal("0A000", message));
    }
    let mut parameters = Vec::new();
    loop {
        match take_terminated(&mut body) {
            Some(name) if name.is_empty() => break,
            Some(name) => {
                let value = take_terminated(&mut body).ok_or_else(bad_startup_layout)?;
                parameters.push((startup_text(&name)?, startup_text(&value)?));
            }
            None => return Err(bad_startup_layout()),
        }
    }
    if !body.is_empty() {
        return Err(bad_startup_layout());
    }
    Ok(Startup::Start { minor, parameters })
}

fn bad_startup_layout() -> Report {
    Report::fatal("08P01", "invalid startup packet layout: expected terminator as last byte")
}

fn startup_text(bytes: &Bytes) -> Result<String, Report> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        Report::fatal("22021", "invalid byte sequence for encoding \"UTF8\" in startup packet")
    })?;
    Ok(text.to_owned())
}

/// Takes one message from the front of `buf`; `None` when it is not complete yet.
///
/// `bytes_max` bounds the length word.
///
/// # Errors
/// FATAL 08P01 for an unknown tag or a length out of range.
pub fn decode_frame(buf: &mut BytesMut, bytes_max: usize) -> Result<Option<Frame>, Report> {
    let Some(&tag) = buf.first() else { return Ok(None) };
    let limit = match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => bytes_max,
        b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' => {
            bytes_max.min(SMALL_MESSAGE_BYTES_MAX)
        }
        _ => return Err(Report::fatal("08P01", format!("invalid frontend message type {tag}"))),
    };
    let Some(length) = buf.get(1..5).and_then(|bytes| bytes.first_chunk::<4>()) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length < 4 || length > limit {
        return Err(Report::fatal("08P01", "invalid message length"));
    }
    if buf.len() - 1 < length {
        return Ok(None);
    }
    let mut body = buf.split_to(1 + length).freeze();
    body.advance(5);
    Ok(Some(Frame { tag, body }))
}

/// Reads the body of a message.
///
/// # Errors
/// ERROR 08P01 when the body is too short, too long or not terminated; 22021 when text is not UTF-8.
pub fn decode_message(frame: Frame) -> Result<Message, Report> {
    let mut body = frame.body;
    let message = match frame.tag {
        b'Q' => Message::Query { sql: take_text(&mut body)? },
        b'P' => decode_parse(&mut body)?,
        b'B' => decode_bind(&mut body)?,
        b'D' => Message::Describe { target: take_target(&mut body)?, name: take_text(&mut body)? },
        b'E' => Message::Execute { portal: take_text(&mut body)?, rows_max: take_i32(&mut body)? },
        b'C' => Message::Close { target: take_target(&mut body)?, name: take_text(&mut body)? },
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => return Ok(Message::Terminate),
        // Their bodies are of no interest: both are answered without being read.
        b'F' => return Ok(Message::FunctionCall),
        b'd' | b'c' | b'f' => return Ok(Message::Copy),
        tag => return Err(Report::fatal("08P01", format!("invalid frontend message type {tag}"))),
    };
    if !body.is_empty() {
        return Err(Report::error("08P01", "invalid message format"));
    }
    Ok(message)
}

fn decode_parse(body: &mut Bytes) -> Result<Message, Report> {
    let name = take_text(body)?;
    let sql = take_text(body)?;
    let count = take_count(body, 4)?;
    let mut parameter_types = Vec::with_capacity(count);
    for _ in 0..count {
        parameter_types.push(body.try_get_u32().map_err(|_| insufficient())?);
    }
    Ok(Message::Parse { name, sql, parameter_types })
}

fn decode_bind(body: &mut Bytes) -> Result<Message, Report> {
    let portal = take_text(body)?;
    let statement = take_text(body)?;
    let parameter_formats = take_formats(body)?;
    let count = take_count(body, 4)?;
    let mut parameters = Vec::with_capacity(count);
    for _ in 0..count {
        parameters.push(match take_i32(body)? {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| insufficient())?;
                if length > body.len() {
                    return Err(insufficient());
                }
                Some(body.split_to(length))
            }
        });
    }
    let result_formats = take_formats(body)?;
    Ok(Message::Bind { portal, statement, parameter_formats, parameters, result_formats })
}

fn take_formats(body: &mut Bytes) -> Result<Vec<i16>, Report> {
    let count = take_count(body, 2)?;
    let mut formats = Vec::with_capacity(count);
    for _ in 0..count {
        formats.push(body.try_get_i16().map_err(|_| insufficient())?);
    }
    Ok(formats)
}

/// A 16-bit count of items that take at least `item_bytes_min` each.
fn take_count(body: &mut Bytes, item_bytes_min: usize) -> Result<usize, Report> {
    let count = usize::from(body.try_get_u16().map_err(|_| insufficient())?);
    if count * item_bytes_min > body.len() {
        return Err(insufficient());
    }
    Ok(count)
}

fn take_i32(body: &mut Bytes) -> Result<i32, Report> {
    body.try_get_i32().map_err(|_| insufficient())
}

fn take_target(body: &mut Bytes) -> Result<Target, Report> {
    match body.try_get_u8().map_err(|_| insufficient())? {
        b'S' => Ok(Target::Statement),
        b'P' => Ok(Target::Portal),
        other => Err(Report::error("08P01", format!("invalid message subtype {other}"))),
    }
}

/// A zero-terminated string in the client's encoding, which is always UTF-8.
fn take_text(body: &mut Bytes) -> Result<String, Report> {
    let bytes =
        take_terminated(body).ok_or_else(|| Report::error("08P01", "invalid string in message"))?;
    utf8(&bytes).map(str::to_owned)
}

fn take_terminated(body: &mut Bytes) -> Option<Bytes> {
    let end = body.iter().position(|&byte| byte == 0)?;
    let text = body.split_to(end);
    body.advance(1);
    Some(text)
}

/// Text in the only encoding there is.
///
/// # Errors
/// ERROR 22021 with the first bytes that are not UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Report> {
    std::str::from_utf8(bytes).map_err(|error| {
        let bad = bytes.get(error.valid_up_to()..).unwrap_or_default();
        let bad = &bad[..error.error_len().unwrap_or(bad.len()).min(4)];
        let hex: Vec<String> = bad.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" "));
        Report::error("22021", message)
    })
}

fn insufficient() -> Report {
    Report::error("08P01", "insufficient data left in message")
}
