//! The interactive loop: multi-line editing, history, completion, Ctrl-C cancels the running statement.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reedline::{
    ColumnarMenu, DefaultCompleter, DefaultPrompt, DefaultPromptSegment, Emacs, FileBackedHistory,
    KeyCode, KeyModifiers, MenuBuilder, Reedline, ReedlineEvent, ReedlineMenu, Signal,
    ValidationResult, Validator, default_emacs_keybindings,
};

use super::meta::TABLES;
use super::script::Splitter;
use super::{Next, Run};
use crate::exit::{Exit, Failure};
use crate::pg::{CancelKey, Event, Session};

const HISTORY_LINES_MAX: usize = 10_000;

/// What completed words hold besides letters and digits: without these a word would end before them.
const WORD_SIGNS: &[char] = &['_', '-', '.', '"', '(', '*', ')'];

const WORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "limit",
    "offset",
    "join",
    "left join",
    "having",
    "distinct",
    "count(*)",
    "sum(",
    "avg(",
    "min(",
    "max(",
    "create table",
    "drop table",
    "explain",
    "show",
    "with",
    "union all",
    "_partition",
    "_offset",
    "_timestamp",
    "_key",
    "_headers",
];

/// A statement goes on until what ends it in a script as well; psql's three words need no end.
struct UntilEnd;

impl Validator for UntilEnd {
    fn validate(&self, text: &str) -> ValidationResult {
        let mut splitter = Splitter::default();
        text.split_inclusive('\n').for_each(|line| splitter.feed(line, &mut Vec::new()));
        match splitter.pending() && word(text).is_none() {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Complete,
        }
    }
}

/// The command that a whole text without a backslash means, as in psql.
fn word(text: &str) -> Option<&'static str> {
    match text.trim().trim_end_matches(';') {
        "quit" | "exit" => Some("\\q"),
        "help" => Some("\\?"),
        _ => None,
    }
}

pub(super) fn interactive(run: &mut Run<'_>) -> Result<(), Failure> {
    let mut editor =
        editor(&mut run.session, (run.terminal.env)("HOME"))?.with_ansi_colors(run.terminal.color);
    let prompt = DefaultPrompt::new(
        DefaultPromptSegment::Basic("luma".to_owned()),
        DefaultPromptSegment::Empty,
    );
    let running = Arc::new(AtomicBool::new(false));
    cancel_on_interrupt(run.session.cancel_key.clone(), Arc::clone(&running))?;
    run.terminal.note("\\? for help, \\q to leave; a statement ends with ;");
    loop {
        match editor.read_line(&prompt) {
            Ok(Signal::Success(text)) => {
                running.store(true, Ordering::SeqCst);
                let done = run.entered(word(&text).unwrap_or(&text));
                running.store(false, Ordering::SeqCst);
                match done {
                    Ok(Next::More) => {}
                    Ok(Next::Quit) => return Ok(()),
                    Err(failure) => {
                        run.terminal.report(&failure, false);
                        if failure.exit == Exit::CannotConnect {
                            return Err(Failure::new(Exit::CannotConnect, ""));
                        }
                    }
                }
            }
            Ok(Signal::CtrlD) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn editor(session: &mut Session, home: Option<String>) -> Result<Reedline, Failure> {
    let mut words: Vec<String> = WORDS.iter().map(|&word| word.to_owned()).collect();
    // Completion is a comfort: a catalog that cannot be read leaves the keywords.
    let _ = session.query(TABLES, |event| {
        if let Event::Row(cells) = event {
            words.extend(cells.into_iter().flatten().map(identifier));
        }
        Ok(())
    });
    let mut completer = DefaultCompleter::with_inclusions(WORD_SIGNS).set_min_word_len(2);
    completer.insert(words);
    let menu = Box::new(ColumnarMenu::default().with_name("completion"));
    let mut keys = default_emacs_keybindings();
    let next = ReedlineEvent::UntilFound(vec![
        ReedlineEvent::Menu("completion".to_owned()),
        ReedlineEvent::MenuNext,
    ]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, next);
    let mut editor = Reedline::create()
        .with_completer(Box::new(completer))
        .with_menu(ReedlineMenu::EngineCompleter(menu))
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_validator(Box::new(UntilEnd));
    if let Some(home) = home {
        let path = Path::new(&home).join(".local/state/lumadb/history");
        // Without a place for it the history lives as long as the shell.
        if make_private(&path).is_ok()
            && let Ok(history) = FileBackedHistory::with_file(HISTORY_LINES_MAX, path)
        {
            editor = editor.with_history(Box::new(history));
        }
    }
    Ok(editor)
}

/// Makes a file that only its owner reads, as psql's history is: statements hold what is in tables.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(OWNER_ONLY).open(path)?;
    // One of an earlier version was for everybody.
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))
}

/// A name as SQL writes it: quoted unless it is plain.
fn identifier(name: String) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return name;
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// While a statement runs the terminal is in its normal mode, so Ctrl-C is a signal: it cancels that statement.
fn cancel_on_interrupt(key: CancelKey, running: Arc<AtomicBool>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if running.load(Ordering::SeqCst) {
                    // The terminal has shown the key where the cursor stood; what follows begins on a line of its own.
                    let _ = writeln!(io::stderr());
                    // The statement goes on when the server cannot be reached; the next Ctrl-C tries again.
                    let _ = key.cancel();
                }
            }
        });
    });
    Ok(())
}
