//! Errors of standard output.

use super::*;

struct Refusing(io::ErrorKind);

impl Write for Refusing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

/// On a full disk a command said "No space left on device" and nothing else.
#[test]
fn a_failed_write_says_of_what_and_a_closed_pipe_stays_one() {
    let failure = |kind| Failure::from(Named(Refusing(kind)).write_all(b"x").expect_err("refused"));
    let full = failure(io::ErrorKind::StorageFull);
    assert_eq!(
        (full.exit, full.message.as_str()),
        (Exit::Failed, "cannot write to standard output: no storage space")
    );
    assert_eq!(failure(io::ErrorKind::BrokenPipe).exit, Exit::Ok);
}
