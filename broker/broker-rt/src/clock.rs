//! Real time and real randomness, shared by both back ends.
//!
//! Invariants:
//! - `mono_ns` has one origin for the whole process, so values of different cores compare.
//! - Random numbers come from the kernel (`getrandom`), so they may be used in identifiers that must not be guessed.

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use log_io::{Clock, Random};

static ORIGIN: OnceLock<Instant> = OnceLock::new();

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn mono_ns(&self) -> u64 {
        let elapsed = ORIGIN.get_or_init(Instant::now).elapsed().as_nanos();
        // 2^64 ns are 584 years.
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }
}

/// Words fetched per system call; `getrandom` never returns short for up to 256 bytes.
const WORDS: usize = 32;

pub(crate) struct SystemRandom {
    words: RefCell<[u64; WORDS]>,
    used: Cell<usize>,
}

impl SystemRandom {
    pub(crate) fn new() -> Self {
        Self { words: RefCell::new([0; WORDS]), used: Cell::new(WORDS) }
    }
}

impl Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        let mut words = self.words.borrow_mut();
        if self.used.get() == WORDS {
            fill(&mut words);
            self.used.set(0);
        }
        let index = self.used.get();
        self.used.set(index + 1);
        // Handed out once and forgotten, so that a later leak of memory does not reveal it.
        std::mem::take(&mut words[index])
    }
}

#[expect(unsafe_code, reason = "getrandom has no safe wrapper in std")]
fn fill(words: &mut [u64; WORDS]) {
    loop {
        let bytes = size_of_val(words);
        // SAFETY: the buffer is valid for writes of `bytes` bytes, and any bit pattern is a u64.
        let filled = unsafe { libc::getrandom(words.as_mut_ptr().cast(), bytes, 0) };
        if filled.cast_unsigned() == bytes {
            return;
        }
        let error = std::io::Error::last_os_error();
        // Without randomness nothing that follows is right, and the kernel has promised it since 3.17.
        assert!(
            filled >= 0 || error.kind() == std::io::ErrorKind::Interrupted,
            "the kernel gives random bytes: {error}"
        );
    }
}
