//! Standard input for commands that Ctrl-C may end.
//!
//! A read cannot be broken off, and Ctrl-C is a future beside the command (`connect::block_on`): whoever read in place would
//! not see it before the next line. A thread reads instead; one that still waits ends with the process.

use std::io::{BufRead, BufReader, ErrorKind, Read};

use tokio::sync::mpsc;

use crate::exit::{Exit, Failure};

/// Chunks that are read before the command takes one.
const CHUNKS_MAX: usize = 4;

/// Bytes as they came, cut anywhere.
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    /// Whether the next read would have waited.
    pub(crate) paused: bool,
}

/// What a thread reads.
pub(crate) struct Input {
    chunks: mpsc::Receiver<std::io::Result<Chunk>>,
}

impl Input {
    /// Starts the thread. `pauses` says whether a read would wait.
    pub(crate) fn start(mut source: BufReader<Box<dyn Read + Send>>, pauses: fn() -> bool) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        std::thread::spawn(move || {
            loop {
                let read = read(&mut source, pauses);
                let last = !matches!(&read, Ok(chunk) if !chunk.bytes.is_empty());
                // A command that has ended takes nothing more.
                if sender.blocking_send(read).is_err() || last {
                    return;
                }
            }
        });
        Self { chunks }
    }

    /// The next bytes, `None` at the end.
    ///
    /// # Errors
    /// `Failed` when standard input cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>, Failure> {
        match self.chunks.recv().await {
            Some(Ok(chunk)) if !chunk.bytes.is_empty() => Ok(Some(chunk)),
            Some(Err(error)) => {
                Err(Failure::new(Exit::Failed, format!("cannot read standard input: {error}")))
            }
            _ => Ok(None),
        }
    }
}

/// What is there, after waiting for a first byte; nothing at the end.
fn read(source: &mut impl BufRead, pauses: fn() -> bool) -> std::io::Result<Chunk> {
    let bytes = loop {
        match source.fill_buf() {
            Ok(bytes) => break bytes.to_vec(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    source.consume(bytes.len());
    Ok(Chunk { bytes, paused: pauses() })
}

#[cfg(test)]
mod tests;
