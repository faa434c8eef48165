//! Snappy in the two shapes Kafka clients send: xerial-framed (Java) and one raw block (librdkafka, Go).
//!
//! ```text
//! xerial = 82 'SNAPPY' 00 ┼ version i32 ┼ compatible version i32 ┼ { length i32 ┼ raw block }*
//! ```
//!
//! Invariants:
//! - A block's declared length is believed only up to 64 times its size: no element of the format expands more.
//! - The version fields are not checked: some producers write them little-endian. A repeated header between blocks
//!   is skipped, as snappy-java does.

use crate::{CodecError, Compression};
use std::io;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = 16;
const EXPANSION_MAX: usize = 64;
/// Bytes per block when compressing, snappy-java's default.
const BLOCK_BYTES: usize = 32 * 1024;

fn malformed(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CodecError {
    let source = io::Error::new(io::ErrorKind::InvalidData, reason);
    CodecError::Malformed { compression: Compression::Snappy, source }
}

pub(crate) fn decompress(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, CodecError> {
    let mut output = Vec::new();
    if !input.starts_with(&MAGIC) {
        append_block(input, bytes_max, &mut output)?;
        return Ok(output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        if rest.starts_with(&MAGIC) {
            rest = rest.get(HEADER_BYTES..).ok_or_else(|| malformed("xerial header cut off"))?;
            continue;
        }
        let (length, tail) =
            rest.split_first_chunk::<4>().ok_or_else(|| malformed("block length cut off"))?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(malformed)?;
        let (block, tail) =
            tail.split_at_checked(length).ok_or_else(|| malformed("block cut off"))?;
        append_block(block, bytes_max, &mut output)?;
        rest = tail;
    }
    Ok(output)
}

fn append_block(block: &[u8], bytes_max: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
    let declared = snap::raw::decompress_len(block).map_err(malformed)?;
    if declared > bytes_max.saturating_sub(output.len()) {
        return Err(CodecError::OutputLimit { bytes_max });
    }
    if declared > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(malformed("block declares more than it can hold"));
    }
    let start = output.len();
    output.resize(start + declared, 0);
    let target = output.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, target).map_err(malformed)?;
    if written == declared { Ok(()) } else { Err(malformed("block is shorter than it declares")) }
}

pub(crate) fn compress(input: &[u8]) -> Result<Vec<u8>, CodecError> {
    let failed = |source| CodecError::Failed { compression: Compression::Snappy, source };
    let mut output = Vec::with_capacity(HEADER_BYTES + input.len() / 2);
    output.extend_from_slice(&MAGIC);
    output.extend_from_slice(&1i32.to_be_bytes());
    output.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for chunk in input.chunks(BLOCK_BYTES) {
        let block = encoder.compress_vec(chunk).map_err(|error| failed(io::Error::other(error)))?;
        let length = i32::try_from(block.len()).map_err(|error| failed(io::Error::other(error)))?;
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(&block);
    }
    Ok(output)
}
