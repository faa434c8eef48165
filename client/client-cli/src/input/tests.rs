//! Whoever waits for standard input keeps nobody else waiting.

use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Ends when its sender is dropped, and waits until then.
struct Silent(Receiver<()>);

impl Read for Silent {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        // The error is the dropped sender.
        let _ = self.0.recv();
        Ok(0)
    }
}

fn input(source: impl Read + Send + 'static) -> Input {
    Input::start(BufReader::new(Box::new(source)), || true)
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(task)
}

/// Ctrl-C did nothing while `produce` or a question waited for a line: the read held the thread that would have seen it.
#[test]
fn a_read_that_waits_lets_others_run() {
    let (writer, silent) = channel();
    let mut input = input(Silent(silent));
    block_on(async {
        tokio::select! {
            biased;
            _ = input.next() => panic!("nothing was written"),
            () = std::future::ready(()) => {}
        }
        drop(writer);
        assert!(input.next().await.expect("readable").is_none());
    });
}

#[test]
fn bytes_come_as_they_are_and_the_end_stays() {
    block_on(async {
        let mut input = input(&b"a\nb"[..]);
        let chunk = input.next().await.expect("readable").expect("bytes");
        assert_eq!((chunk.bytes.as_slice(), chunk.paused), (&b"a\nb"[..], true));
        assert!(input.next().await.expect("readable").is_none());
        assert!(input.next().await.expect("readable").is_none());
    });
}

#[test]
fn what_cannot_be_read_is_named() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(ErrorKind::IsADirectory.into())
        }
    }
    let failure = block_on(async { input(Broken).next().await.err() }).expect("a failure");
    assert_eq!(failure.message, "cannot read standard input: is a directory");
}
