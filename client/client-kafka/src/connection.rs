//! One TCP connection: requests out, responses back in order.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;

/// Largest response read: Kafka's own request limit plus room for headers.
pub const RESPONSE_BYTES_MAX: usize = 128 << 20;
/// Requests waiting to be written; more wait in the caller.
const CALLS_MAX: usize = 64;

struct Call {
    frame: Bytes,
    correlation_id: i32,
    reply: oneshot::Sender<Bytes>,
}

type Waiting = (i32, oneshot::Sender<Bytes>);

/// A connection whose two tasks end when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    calls: mpsc::Sender<Call>,
    client_id: StrBytes,
    next_id: std::sync::atomic::AtomicI32,
    timeout: Duration,
}

/// An answer that has not come yet.
#[derive(Debug)]
pub(crate) struct Pending<R: Request> {
    reply: oneshot::Receiver<Bytes>,
    version: i16,
    timeout: Duration,
    request: std::marker::PhantomData<fn() -> R>,
}

impl<R: Request> Pending<R> {
    /// Waits for the answer and decodes it.
    pub(crate) async fn wait(self) -> Result<R::Response, Error> {
        let answered = tokio::time::timeout(self.timeout, self.reply).await;
        let reply = answered.map_err(|_| Error::TimedOut { ms: self.timeout.as_millis() })?;
        let mut body = reply.map_err(|_| Error::Closed)?;
        let header_version = R::Response::header_version(self.version);
        ResponseHeader::decode(&mut body, header_version).map_err(Error::decode)?;
        R::Response::decode(&mut body, self.version).map_err(Error::decode)
    }
}

impl Connection {
    pub(crate) async fn open(
        addr: &str,
        client_id: &str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Connect { addr: addr.to_owned(), source };
        let connecting = tokio::time::timeout(timeout, TcpStream::connect(addr)).await;
        let stream = connecting
            .map_err(|_| failed(std::io::Error::new(std::io::ErrorKind::TimedOut, "timed out")))?
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (read, write) = stream.into_split();
        let (calls, call_queue) = mpsc::channel(CALLS_MAX);
        let (waiting, waiting_queue) = mpsc::unbounded_channel();
        tokio::spawn(write_calls(write, call_queue, waiting));
        tokio::spawn(read_replies(read, waiting_queue));
        let client_id = StrBytes::from_string(client_id.to_owned());
        Ok(Self { calls, client_id, next_id: std::sync::atomic::AtomicI32::new(0), timeout })
    }

    /// Sends and waits for the answer.
    pub(crate) async fn call<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Error> {
        self.start(version, request).await?.wait().await
    }

    /// Sends; the answer is waited for later.
    pub(crate) async fn start<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<Pending<R>, Error> {
        let (reply, receiver) = oneshot::channel();
        let correlation_id = self.next_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let frame = frame(version, request, correlation_id, &self.client_id)?;
        let call = Call { frame, correlation_id, reply };
        self.calls.send(call).await.map_err(|_| Error::Closed)?;
        Ok(Pending {
            reply: receiver,
            version,
            timeout: self.timeout,
            request: std::marker::PhantomData,
        })
    }
}

fn frame<R: Request>(
    version: i16,
    request: &R,
    id: i32,
    client_id: &StrBytes,
) -> Result<Bytes, Error> {
    let encode = |error: &dyn std::fmt::Display| Error::Encode(error.to_string());
    let mut header = RequestHeader::default();
    header.request_api_key = R::KEY;
    header.request_api_version = version;
    header.correlation_id = id;
    header.client_id = Some(client_id.clone());
    let mut buf = BytesMut::new();
    buf.put_i32(0);
    header.encode(&mut buf, R::header_version(version)).map_err(|error| encode(&error))?;
    request.encode(&mut buf, version).map_err(|error| encode(&error))?;
    let len = i32::try_from(buf.len() - 4)
        .map_err(|_| Error::Encode("the request is above 2 GiB".to_owned()))?;
    buf[..4].copy_from_slice(&len.to_be_bytes());
    Ok(buf.freeze())
}

async fn write_calls(
    mut socket: OwnedWriteHalf,
    mut calls: mpsc::Receiver<Call>,
    waiting: mpsc::UnboundedSender<Waiting>,
) {
    while let Some(call) = calls.recv().await {
        // The reply is awaited before the bytes leave, so the reader never meets an answer it does not expect.
        if waiting.send((call.correlation_id, call.reply)).is_err() {
            return;
        }
        if socket.write_all(&call.frame).await.is_err() {
            return;
        }
    }
}

async fn read_replies(mut socket: OwnedReadHalf, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    while let Some((correlation_id, reply)) = waiting.recv().await {
        let Ok(len) = socket.read_u32().await else { return };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if !(4..=RESPONSE_BYTES_MAX).contains(&len) {
            return;
        }
        let mut body = BytesMut::with_capacity(len.min(1 << 20)).limit(len);
        while body.has_remaining_mut() {
            match socket.read_buf(&mut body).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let body = body.into_inner().freeze();
        if body.clone().get_i32() != correlation_id {
            return;
        }
        // The caller may have given up; its answer is dropped.
        let _ = reply.send(body);
    }
}
