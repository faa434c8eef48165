//! A client of raw bytes, and the harness that serves it.
//!
//! Answers are written as text, one message per item: `Z I`, `C SELECT 1`, `E 42601 …`, `D 1|NULL`.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use proto_pg::PgOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::double::{Counters, Double};

/// A test that waits longer than this hangs; nothing waits for time to pass.
const HANG: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) served: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Serves the double with `options` and runs `test` against it.
pub(crate) fn with_server<F: Future<Output = ()>>(
    options: PgOptions,
    test: impl FnOnce(Server) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let double = Arc::new(Double::default());
        let counters = Arc::clone(&double.counters);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let served = tokio::spawn(proto_pg::serve(listener, double, options, shutdown));
        let server = Server { address, counters, stop: Some(stop), served };
        tokio::time::timeout(HANG, test(server)).await.expect("the test hangs");
    });
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: BytesMut,
    /// From BackendKeyData.
    pub(crate) key: (i32, i32),
}

impl Client {
    /// A socket without a start-up message.
    pub(crate) async fn raw(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        Self { stream, input: BytesMut::new(), key: (0, 0) }
    }

    /// A session of user `ada` in database `luma`, past its first ReadyForQuery.
    pub(crate) async fn start(server: &Server) -> Self {
        let mut client = Self::raw(server).await;
        assert_eq!(client.log_in().await.last().unwrap(), "Z I");
        client
    }

    /// Sends the start-up message, and returns the answers up to the first ReadyForQuery.
    pub(crate) async fn log_in(&mut self) -> Vec<String> {
        self.send(&startup(3 << 16, &[("user", "ada"), ("database", "luma")])).await;
        self.until_ready().await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends, and returns the answers up to ReadyForQuery.
    pub(crate) async fn ask(&mut self, bytes: &[u8]) -> Vec<String> {
        self.send(bytes).await;
        self.until_ready().await
    }

    pub(crate) async fn until_ready(&mut self) -> Vec<String> {
        let mut answers = Vec::new();
        loop {
            let answer = self.next().await.expect("the connection ended before ReadyForQuery");
            let ready = answer.starts_with("Z ");
            answers.push(answer);
            if ready {
                return answers;
            }
        }
    }

    /// Everything up to the connection's end.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut answers = Vec::new();
        while let Some(answer) = self.next().await {
            answers.push(answer);
        }
        answers
    }

    /// The next message; `None` at the connection's end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((tag, body)) = cut(&mut self.input) {
                if tag == b'K' {
                    let mut key = body.clone();
                    self.key = (key.get_i32(), key.get_i32());
                }
                return Some(show(tag, body));
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => {
                    assert!(self.input.is_empty(), "a message was cut off: {:?}", self.input);
                    return None;
                }
                Ok(_) => {}
            }
        }
    }

    /// One byte that is not a message.
    pub(crate) async fn byte(&mut self) -> u8 {
        assert!(self.input.is_empty());
        self.stream.read_u8().await.unwrap()
    }
}

fn cut(input: &mut BytesMut) -> Option<(u8, BytesMut)> {
    let length = u32::from_be_bytes(*input.get(1..5)?.first_chunk::<4>()?) as usize;
    if input.len() < 1 + length {
        return None;
    }
    let mut message = input.split_to(1 + length);
    let tag = message[0];
    message.advance(5);
    Some((tag, message))
}

fn text(body: &mut BytesMut) -> String {
    let end = body.iter().position(|byte| *byte == 0).unwrap();
    let text = String::from_utf8(body.split_to(end).to_vec()).unwrap();
    body.advance(1);
    text
}

fn show(tag: u8, mut body: BytesMut) -> String {
    let letter = char::from(tag);
    match tag {
        b'Z' => format!("Z {}", char::from(body[0])),
        b'C' => format!("C {}", text(&mut body)),
        b'S' => format!("S {}={}", text(&mut body), text(&mut body)),
        b'R' => format!("R {}", body.get_i32()),
        b'K' => "K".to_owned(),
        b'v' => {
            let version = body.get_i32();
            let options: Vec<String> = (0..body.get_i32()).map(|_| text(&mut body)).collect();
            format!("v {version} {options:?}")
        }
        b'E' | b'N' => {
            let mut fields = std::collections::BTreeMap::new();
            while body[0] != 0 {
                let field = body.get_u8();
                fields.insert(field, text(&mut body));
            }
            let mut shown =
                format!("{letter} {} {} {}", fields[&b'V'], fields[&b'C'], fields[&b'M']);
            for field in [b'D', b'H', b'P'] {
                if let Some(value) = fields.get(&field) {
                    shown += &format!(" [{} {value}]", char::from(field));
                }
            }
            shown
        }
        b'T' => {
            let fields: Vec<String> = (0..body.get_u16()).map(|_| field(&mut body)).collect();
            format!("T {}", fields.join(" "))
        }
        b't' => {
            let oids: Vec<String> =
                (0..body.get_u16()).map(|_| body.get_u32().to_string()).collect();
            format!("t {}", oids.join(" "))
        }
        b'D' => {
            let values: Vec<String> = (0..body.get_u16()).map(|_| value(&mut body)).collect();
            format!("D {}", values.join("|"))
        }
        b'H' => {
            let (overall, count) = (body.get_u8(), body.get_u16());
            let formats: Vec<String> = (0..count).map(|_| body.get_u16().to_string()).collect();
            format!("H {overall} {}", formats.join(" "))
        }
        b'd' => format!("d {}", String::from_utf8_lossy(&body.split()).escape_debug()),
        _ => letter.to_string(),
    }
}

/// `name:oid:len:modifier:format`.
fn field(body: &mut BytesMut) -> String {
    let name = text(body);
    assert_eq!((body.get_u32(), body.get_i16()), (0, 0), "no table, no column number");
    let (oid, len) = (body.get_u32(), body.get_i16());
    let (modifier, format) = (body.get_i32(), body.get_i16());
    format!("{name}:{oid}:{len}:{modifier}:{format}")
}

/// Text as it is; bytes that are not printable as hex.
fn value(body: &mut BytesMut) -> String {
    let Ok(len) = usize::try_from(body.get_i32()) else { return "NULL".to_owned() };
    let bytes = body.split_to(len);
    match std::str::from_utf8(&bytes) {
        Ok(text) if !text.contains(|letter: char| letter.is_control()) => text.to_owned(),
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// A start-up packet with protocol `version`.
pub(crate) fn startup(version: i32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_i32(version);
    for (name, value) in parameters {
        put_text(&mut body, name);
        put_text(&mut body, value);
    }
    body.push(0);
    untagged(&body)
}

/// A length word and the bytes.
pub(crate) fn untagged(body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.put_u32(u32::try_from(body.len() + 4).unwrap());
    packet.extend_from_slice(body);
    packet
}

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend(untagged(body));
    message
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn texts(texts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        put_text(&mut out, text);
    }
    out
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &texts(&[sql]))
}

pub(crate) fn parse(name: &str, sql: &str, oids: &[u32]) -> Vec<u8> {
    let mut body = texts(&[name, sql]);
    body.put_u16(u16::try_from(oids.len()).unwrap());
    for oid in oids {
        body.put_u32(*oid);
    }
    message(b'P', &body)
}

pub(crate) fn bind(
    portal: &str,
    statement: &str,
    formats: &[i16],
    parameters: &[Option<&[u8]>],
    results: &[i16],
) -> Vec<u8> {
    let mut body = texts(&[portal, statement]);
    put_formats(&mut body, formats);
    body.put_u16(u16::try_from(parameters.len()).unwrap());
    for parameter in parameters {
        match parameter {
            None => body.put_i32(-1),
            Some(bytes) => body.extend(bytes_with_length(bytes)),
        }
    }
    put_formats(&mut body, results);
    message(b'B', &body)
}

fn bytes_with_length(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(u32::try_from(bytes.len()).unwrap());
    out.extend_from_slice(bytes);
    out
}

fn put_formats(out: &mut Vec<u8>, formats: &[i16]) {
    out.put_u16(u16::try_from(formats.len()).unwrap());
    for format in formats {
        out.put_i16(*format);
    }
}

/// `target` is `S` or `P`.
pub(crate) fn describe(target: u8, name: &str) -> Vec<u8> {
    named(b'D', target, name)
}

pub(crate) fn close(target: u8, name: &str) -> Vec<u8> {
    named(b'C', target, name)
}

fn named(tag: u8, target: u8, name: &str) -> Vec<u8> {
    let mut body = vec![target];
    put_text(&mut body, name);
    message(tag, &body)
}

pub(crate) fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    let mut body = texts(&[portal]);
    body.put_i32(rows_max);
    message(b'E', &body)
}

pub(crate) fn sync() -> Vec<u8> {
    message(b'S', &[])
}
