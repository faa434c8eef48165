//! Standard streams and what they are attached to, taken once so that commands are functions of them.

use std::io::{self, BufReader, Read, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::exit::{Exit, Failure};
use crate::input::Input;

/// What a pipe holds on Linux.
const INPUT_BYTES: usize = 64 << 10;

fn stdin_pauses() -> bool {
    let stdin = io::stdin();
    let mut waited_for = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut waited_for, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
}

/// Standard output, whose errors say what could not be written.
struct Named<W>(W);

impl<W> Named<W> {
    fn name<T>(done: io::Result<T>) -> io::Result<T> {
        done.map_err(|error| match error.kind() {
            // Who writes handles these.
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => error,
            kind => io::Error::new(kind, format!("cannot write to standard output: {error}")),
        })
    }
}

impl<W: Write> Write for Named<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::name(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::name(self.0.flush())
    }
}

/// The streams of a command.
pub struct Terminal {
    pub out: Box<dyn Write + Send>,
    pub err: Box<dyn Write + Send>,
    pub input: BufReader<Box<dyn Read + Send>>,
    pub stdin_is_tty: bool,
    /// Whether reading standard input would wait for whoever writes to it.
    pub input_pauses: fn() -> bool,
    pub stdout_is_tty: bool,
    /// Whether colour may be used on standard output: a terminal, and `NO_COLOR` is not set.
    pub color: bool,
    /// A variable of the environment; only the binary reads it, so that commands are functions of what they are given.
    pub env: fn(&str) -> Option<String>,
}

impl Terminal {
    /// The streams of this process. `no_color` is whether `NO_COLOR` is set to anything
    /// (<https://no-color.org>).
    #[must_use]
    pub fn of_process(no_color: bool, env: fn(&str) -> Option<String>) -> Self {
        use std::io::IsTerminal;
        let stdout_is_tty = io::stdout().is_terminal();
        Self {
            out: Box::new(io::BufWriter::new(Named(io::stdout()))),
            err: Box::new(io::stderr()),
            input: BufReader::with_capacity(INPUT_BYTES, Box::new(io::stdin())),
            stdin_is_tty: io::stdin().is_terminal(),
            input_pauses: stdin_pauses,
            stdout_is_tty,
            color: stdout_is_tty && !no_color,
            env,
        }
    }

    /// A line for the person, not for the program that reads the output.
    pub fn note(&mut self, text: &str) {
        // Nobody may be reading; the command goes on.
        let _ = writeln!(self.err, "{text}");
    }

    /// Standard input for a command that Ctrl-C may end; nothing of it is left here.
    pub(crate) fn background_input(&mut self) -> Input {
        let nothing = BufReader::new(Box::new(io::empty()) as Box<dyn Read + Send>);
        Input::start(std::mem::replace(&mut self.input, nothing), self.input_pauses)
    }

    /// Asks before something that cannot be undone.
    ///
    /// # Errors
    /// `Usage` without a terminal and without `yes`; `Failed` when the answer is no.
    pub(crate) async fn confirm(&mut self, yes: bool, what: &str) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.stdin_is_tty {
            return Err(Failure::usage(format!("refusing to {what} without confirmation"))
                .hint("add --yes, or run it on a terminal"));
        }
        let _ = write!(self.err, "{what}? [y/N] ");
        let _ = self.err.flush();
        let mut answer = Vec::new();
        let mut input = self.background_input();
        while !answer.contains(&b'\n')
            && let Some(chunk) = input.next().await?
        {
            answer.extend_from_slice(&chunk.bytes);
        }
        if matches!(answer.trim_ascii(), b"y" | b"Y" | b"yes") {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, format!("did not {what}")))
    }

    /// Prints a failure. Nothing is printed for a broken pipe.
    pub fn report(&mut self, failure: &Failure, json: bool) {
        if failure.message.is_empty() {
            return;
        }
        if json {
            let code = failure.exit as u8;
            let line = serde_json::json!({ "error": failure.message, "hint": failure.hint, "exit_code": code });
            let _ = writeln!(self.err, "{line}");
            return;
        }
        let _ = writeln!(self.err, "error: {}", failure.message);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(self.err, "hint: {hint}");
        }
    }
}

#[cfg(test)]
mod tests;
