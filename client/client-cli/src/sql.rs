//! `lumadb sql`: the shell, scripts from a file or standard input, and single statements with `-c`.
//!
//! ```text
//!  -c TEXT ───────────────► Run::text ──one message──────────┐
//!  -f FILE, stdin, \i ────► Run::lines ──script::Splitter────┤──► execute ──► a session, rows as they come
//!  keys ──► shell ────────► Run::entered ──script::Splitter──┘
//! ```
//!
//! What is in one `-c` goes to the server as one message and is one transaction; the statements of a script go one by one, as
//! their lines are read. The first that fails ends the run, other than in psql, unless `--on-error continue` or
//! `\set ON_ERROR_STOP off` says otherwise.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;

use crate::args::{OnError, SqlArgs};
use crate::exit::{Exit, Failure};
use crate::format::Format;
use crate::pg::{Session, Target};
use crate::terminal::Terminal;

use execute::{Empty, execute};
use meta::{Meta, meta, no_relation};
use report::Place;
use script::{Item, Splitter};

mod execute;
mod meta;
mod report;
mod script;
mod shell;

/// Scripts within scripts.
const INCLUDES_MAX: usize = 16;

pub(crate) fn run(args: &SqlArgs, format: Format, terminal: &mut Terminal) -> Result<(), Failure> {
    let target = Target::parse(&args.url)?.with(&args.target);
    let settings = Settings {
        format,
        timing: args.timing,
        expanded: false,
        on_error: args.on_error,
        connected: target.to_string(),
    };
    let session = Session::open(&target)?;
    let mut run = Run { session, settings, terminal, ran: 0, failed: 0, including: 0 };
    for text in &args.command {
        let done = run.text(text);
        run.settle(done)?;
    }
    match &args.file {
        Some(file) if file.as_os_str() != "-" => _ = run.file(file, open(file)?)?,
        None if !args.command.is_empty() => {}
        None if run.terminal.stdin_is_tty => return shell::interactive(&mut run),
        _ => {
            let mut input = std::mem::replace(
                &mut run.terminal.input,
                BufReader::new(Box::new(std::io::empty())),
            );
            run.lines("<stdin>", &mut input)?;
        }
    }
    run.end()
}

/// What `\x`, `\timing`, `\set` and the flags say.
struct Settings {
    format: Format,
    timing: bool,
    expanded: bool,
    on_error: OnError,
    /// To what, in psql's words.
    connected: String,
}

/// Whether there is more to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    More,
    Quit,
}

/// A session, what its commands change, and how its statements ended.
struct Run<'a> {
    session: Session,
    settings: Settings,
    terminal: &'a mut Terminal,
    ran: u64,
    failed: u64,
    including: usize,
}

impl Run<'_> {
    /// One argument: a backslash command, or statements as one message.
    fn text(&mut self, text: &str) -> Result<Next, Failure> {
        match text.trim().strip_prefix('\\') {
            Some(command) => self.command(command, None),
            None => self.statement(text, false, None),
        }
    }

    /// What was typed up to the end of a statement.
    fn entered(&mut self, text: &str) -> Result<Next, Failure> {
        let (mut splitter, mut items) = (Splitter::default(), Vec::new());
        text.split_inclusive('\n').for_each(|line| splitter.feed(line, &mut items));
        items.extend(splitter.finish());
        for item in items {
            let next = match item {
                Item::Statement(it) => self.statement(&it.text, it.expanded, None)?,
                Item::Command(it) => self.command(&it.text, None)?,
            };
            if next == Next::Quit {
                return Ok(Next::Quit);
            }
        }
        Ok(Next::More)
    }

    fn file(&mut self, file: &Path, opened: File) -> Result<Next, Failure> {
        self.including += 1;
        let done = self.lines(&file.display().to_string(), &mut BufReader::new(opened));
        self.including -= 1;
        done
    }

    /// A script. Statements run when their last line was read, so that whoever writes to a pipe sees what became of them.
    fn lines(&mut self, name: &str, input: &mut dyn BufRead) -> Result<Next, Failure> {
        let (mut splitter, mut items) = (Splitter::default(), Vec::new());
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            let read = input.read_line(&mut line).map_err(|error| {
                let error = if error.kind() == ErrorKind::InvalidData {
                    "the line is not UTF-8".to_owned()
                } else {
                    error.to_string()
                };
                Failure::new(Exit::Failed, format!("{name}:{number}: cannot read it: {error}"))
            })?;
            splitter.feed(&line, &mut items);
            if read == 0 {
                items.extend(splitter.finish());
            }
            for item in items.drain(..) {
                let done = self.item(name, item);
                if self.settle(done)? == Next::Quit {
                    return Ok(Next::Quit);
                }
            }
            if read == 0 {
                break;
            }
        }
        Ok(Next::More)
    }

    fn item(&mut self, name: &str, item: Item) -> Result<Next, Failure> {
        match item {
            Item::Statement(it) => {
                self.statement(&it.text, it.expanded, Some(Place { name, line: it.line }))
            }
            Item::Command(it) => self.command(&it.text, Some(Place { name, line: it.line })),
        }
    }

    fn statement(
        &mut self,
        sql: &str,
        expanded: bool,
        place: Option<Place<'_>>,
    ) -> Result<Next, Failure> {
        let before = self.settings.expanded;
        self.settings.expanded |= expanded;
        let done =
            execute(&mut self.session, sql, &self.settings, Empty::Shown, place, self.terminal);
        self.settings.expanded = before;
        done.map(|_| Next::More)
    }

    /// A backslash command without its backslash.
    fn command(&mut self, text: &str, place: Option<Place<'_>>) -> Result<Next, Failure> {
        let placed = |failure| match place {
            Some(place) => place.before(failure),
            None => failure,
        };
        match meta(text, &mut self.settings).map_err(placed)? {
            Meta::Done(said) => self.terminal.note(&said),
            Meta::Echo(text) => writeln!(self.terminal.out, "{text}")?,
            Meta::Query(sql) => return self.statement(&sql, false, place),
            Meta::Relation { name, sql } => {
                let (session, settings) = (&mut self.session, &self.settings);
                if execute(session, &sql, settings, Empty::Silent, place, self.terminal)? == 0 {
                    return Err(placed(no_relation(&name)));
                }
            }
            Meta::Include(_) if self.including >= INCLUDES_MAX => {
                let message = format!("scripts include each other more than {INCLUDES_MAX} deep");
                return Err(placed(Failure::new(Exit::Failed, message)));
            }
            Meta::Include(file) => {
                let opened = open(&file).map_err(placed)?;
                return self.file(&file, opened);
            }
            Meta::Quit => return Ok(Next::Quit),
        }
        Ok(Next::More)
    }

    /// Counts what ran. A failure that shall not end the run is reported.
    ///
    /// # Errors
    /// The failure, when it ends the run.
    fn settle(&mut self, done: Result<Next, Failure>) -> Result<Next, Failure> {
        self.ran += 1;
        let failure = match done {
            Ok(next) => return Ok(next),
            Err(failure) => failure,
        };
        let last = matches!(failure.exit, Exit::Ok | Exit::CannotConnect | Exit::Interrupted);
        if last || self.settings.on_error == OnError::Stop {
            return Err(failure);
        }
        self.failed += 1;
        self.terminal.report(&failure, self.settings.format.json());
        Ok(Next::More)
    }

    /// # Errors
    /// `Partly` when some failed, `Failed` when all did.
    fn end(&self) -> Result<(), Failure> {
        let (failed, ran) = (self.failed, self.ran);
        if failed == 0 {
            return Ok(());
        }
        let exit = if failed == ran { Exit::Failed } else { Exit::Partly };
        Err(Failure::new(exit, format!("{failed} of {ran} statements and commands failed")))
    }
}

fn open(file: &Path) -> Result<File, Failure> {
    let opened = File::open(file).and_then(|opened| match opened.metadata()?.is_dir() {
        true => Err(ErrorKind::IsADirectory.into()),
        false => Ok(opened),
    });
    opened.map_err(|error| {
        let exit = match error.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::PermissionDenied => Exit::NotPermitted,
            _ => Exit::Failed,
        };
        Failure::new(exit, format!("cannot read {}: {error}", file.display()))
    })
}

#[cfg(test)]
mod tests;
