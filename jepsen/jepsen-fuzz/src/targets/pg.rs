//! PostgreSQL's wire: start-up packets and messages, split anywhere.
//!
//! Promises: how the bytes are cut into reads changes nothing; whatever is decoded took no more memory than its bytes.

use bytes::BytesMut;
use proto_pg::codec::{Message, Report, Startup, decode_frame, decode_message, decode_startup};

use crate::target::{Steps, Verdict};

/// Limit of a start-up packet's body, PostgreSQL's own.
const STARTUP_BYTES_MAX: usize = 10_000;
const MESSAGE_BYTES_MAX: usize = 1 << 20;

pub(super) const DICTIONARY: &[&[u8]] = &[
    b"\0\0\0\x08\x04\xd2\x16\x2f",
    b"\0\0\0\x08\x04\xd2\x16\x30",
    b"\0\x03\0\0",
    b"\0\x03\0\x02",
    b"user\0luma\0",
    b"_pq_.x\0y\0",
    b"S\0\0\0\x04",
    b"X\0\0\0\x04",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"SELECT $1\0",
];

fn packet(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("seeds are small");
    [&length.to_be_bytes(), body].concat()
}

fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], packet(body).as_slice()].concat()
}

pub(super) fn startup_seeds() -> Vec<Vec<u8>> {
    let start = packet(b"\0\x03\0\0user\0luma\0database\0luma\0application_name\0psql\0\0");
    let ssl = packet(&80_877_103u32.to_be_bytes());
    let gss = packet(&80_877_104u32.to_be_bytes());
    let cancel = packet(&[&80_877_102u32.to_be_bytes()[..], &[0, 0, 0, 7, 0, 0, 0, 9]].concat());
    let seeds =
        [[ssl, gss, start.clone()].concat(), cancel, start, packet(b"\0\x03\0\x02user\0u\0\0")];
    // The first byte says where the input is cut.
    seeds.into_iter().map(|seed| [&[3], seed.as_slice()].concat()).collect()
}

pub(super) fn message_seeds() -> Vec<Vec<u8>> {
    let bind = b"p\0s\0\0\x02\0\0\0\x01\0\x02\0\0\0\x021a\xff\xff\xff\xff\0\x01\0\x01";
    let extended = [
        tagged(b'P', b"s\0SELECT $1, $2\0\0\x02\0\0\0\x17\0\0\0\0"),
        tagged(b'B', bind),
        tagged(b'D', b"Pp\0"),
        tagged(b'E', b"p\0\0\0\0\x64"),
        tagged(b'C', b"Ss\0"),
        tagged(b'H', b""),
        tagged(b'S', b""),
    ]
    .concat();
    let simple = [tagged(b'Q', b"SELECT 1; SELECT 2\0"), tagged(b'X', b"")].concat();
    let other = [tagged(b'F', b"\0\0\0\x01"), tagged(b'd', b"1\t2\n"), tagged(b'c', b"")].concat();
    [extended, simple, other].into_iter().map(|seed| [&[9], seed.as_slice()].concat()).collect()
}

/// Decodes until nothing more comes, feeding `first` before the rest.
fn drain<T>(
    bytes: &[u8],
    first: usize,
    steps: &Steps,
    mut decode: impl FnMut(&mut BytesMut) -> Result<Option<T>, Report>,
) -> (Vec<T>, Option<Report>) {
    let mut buf = BytesMut::new();
    let mut decoded = Vec::new();
    let (head, tail) = bytes.split_at(first.min(bytes.len()));
    for part in [head, tail] {
        buf.extend_from_slice(part);
        loop {
            steps.step();
            let before = buf.len();
            match decode(&mut buf) {
                Ok(Some(message)) => decoded.push(message),
                Ok(None) => {
                    assert_eq!(buf.len(), before, "an incomplete message stays in the buffer");
                    break;
                }
                Err(report) => return (decoded, Some(report)),
            }
            assert!(buf.len() < before, "a decoded message is taken out of the buffer");
        }
    }
    (decoded, None)
}

fn split(input: &[u8]) -> (usize, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (usize::from(*first), rest))
}

pub(super) fn startup(input: &[u8], steps: &Steps) -> Verdict {
    let (at, bytes) = split(input);
    let decode = |buf: &mut BytesMut| decode_startup(buf, STARTUP_BYTES_MAX);
    let whole = steps.decoding(|| drain(bytes, bytes.len(), steps, decode));
    assert_eq!(whole, drain(bytes, at, steps, decode), "the cut at {at} changes what is decoded");
    for message in &whole.0 {
        if let Startup::Start { parameters, .. } = message {
            let text: usize = parameters.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(text <= bytes.len(), "parameters come from the packet");
        }
    }
    if whole.0.is_empty() { Verdict::Refused } else { Verdict::Accepted }
}

pub(super) fn messages(input: &[u8], steps: &Steps) -> Verdict {
    let (at, bytes) = split(input);
    let decode = |buf: &mut BytesMut| {
        decode_frame(buf, MESSAGE_BYTES_MAX).map(|frame| frame.map(decode_message))
    };
    let whole = steps.decoding(|| drain(bytes, bytes.len(), steps, decode));
    assert_eq!(whole, drain(bytes, at, steps, decode), "the cut at {at} changes what is decoded");
    let body = |message: &Message| match message {
        Message::Query { sql } => sql.len(),
        Message::Bind { parameters, .. } => {
            parameters.iter().flatten().map(bytes::Bytes::len).sum()
        }
        _ => 0,
    };
    let read: usize = whole.0.iter().flatten().map(body).sum();
    assert!(read <= bytes.len(), "bodies come from the input");
    if whole.0.iter().any(Result::is_ok) { Verdict::Accepted } else { Verdict::Refused }
}
