//! What is said of a statement that failed: the message, its place, how to fix it.

use crate::exit::{Exit, Failure};
use crate::pg::ServerError;

/// How much of a line is shown on either side of the place of an error, in characters.
const SIDE_CHARS_MAX: usize = 60;

/// Where a statement or a command stands in a script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
}

impl Place<'_> {
    /// The failure with this place before its message.
    pub(super) fn before(self, mut failure: Failure) -> Failure {
        // A reader that went away says nothing.
        if !failure.message.is_empty() {
            failure.message = format!("{}:{}: {}", self.name, self.line, failure.message);
        }
        failure
    }
}

/// A failed statement; in a script with the line of its error, or of its first word where the error has no place.
pub(super) fn failure(sql: &str, error: &ServerError, place: Option<Place<'_>>) -> Failure {
    let mut message = format!("{} (SQLSTATE {})", error.message, error.sqlstate);
    let line = error.position.map_or(0, |position| line_of(sql, position));
    match (error.position, place) {
        (Some(position), _) => message.push_str(&caret(sql, position)),
        (None, Some(_)) => message.push_str(&format!("\n  {}", excerpt(sql, 0, 0).0)),
        (None, None) => {}
    }
    if let Some(detail) = &error.detail {
        message.push_str(&format!("\ndetail: {detail}"));
    }
    let mut failure = Failure::new(exit_of_sqlstate(&error.sqlstate), message);
    failure.hint = error.hint.clone().or_else(|| habit(sql, error));
    match place {
        Some(Place { name, line: first }) => Place { name, line: first + line }.before(failure),
        None => failure,
    }
}

/// A notice, with what the server adds to it.
pub(super) fn notice(said: &ServerError) -> String {
    let mut text = format!("{}: {}", said.severity.to_lowercase(), said.message);
    for (name, more) in [("detail", &said.detail), ("hint", &said.hint)] {
        if let Some(more) = more {
            text.push_str(&format!("\n{name}: {more}"));
        }
    }
    text
}

/// What is written otherwise in other databases.
fn habit(sql: &str, error: &ServerError) -> Option<String> {
    let place = error.position.and_then(|position| sql.chars().nth(position.checked_sub(1)?));
    if error.sqlstate == "42703" && place == Some('"') {
        return Some(
            "text stands in single quotes: 'text'; double quotes are for names".to_owned(),
        );
    }
    let words: Vec<String> =
        sql.split([' ', ';', '\n']).take(3).map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["show", "tables" | "topics", ..] => Some("\\dt lists the tables".to_owned()),
        ["show", "databases", ..] => Some("\\l lists the databases".to_owned()),
        ["describe" | "desc", name, ..] => Some(format!("\\d {name} shows the columns")),
        ["use", ..] => Some("the database is a part of the server's address".to_owned()),
        _ => None,
    }
}

fn exit_of_sqlstate(sqlstate: &str) -> Exit {
    match sqlstate {
        "42P01" | "3D000" | "3F000" => Exit::NotFound,
        "42P07" | "23505" | "40001" => Exit::Conflict,
        "42501" => Exit::NotPermitted,
        "57014" => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

/// Index of the line of `sql` that holds the 1-based character `position`.
fn line_of(sql: &str, position: usize) -> usize {
    sql.chars().take(position.saturating_sub(1)).filter(|&c| c == '\n').count()
}

/// The line of `sql` that holds the 1-based character `position`, with a caret below.
pub(super) fn caret(sql: &str, position: usize) -> String {
    let before: Vec<char> = sql.chars().take(position.saturating_sub(1)).collect();
    let column = before.iter().rev().take_while(|&&c| c != '\n').count();
    let (text, column) = excerpt(sql, line_of(sql, position), column);
    format!("\n  {text}\n  {}^", " ".repeat(column))
}

/// What a person needs to see of a line, and where `column` is in that.
fn excerpt(sql: &str, line: usize, column: usize) -> (String, usize) {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let line: Vec<char> = sql.lines().nth(line).unwrap_or_default().chars().map(shown).collect();
    let from = column.saturating_sub(SIDE_CHARS_MAX).min(line.len());
    let to = column.saturating_add(SIDE_CHARS_MAX).clamp(from, line.len());
    let mut text: String = line.get(from..to).unwrap_or_default().iter().collect();
    let mut column = column - from;
    if from > 0 {
        text.insert(0, '…');
        column += 1;
    }
    if to < line.len() {
        text.push('…');
    }
    (text, column)
}
