//! SQL text cut into statements and backslash commands, line by line, by psql's rules
//! (<https://www.postgresql.org/docs/current/app-psql.html>, `psqlscan.l`).
//!
//! A statement ends at a `;` that stands in no quotes, comment or parentheses, or at `\g` and `\gx`. A backslash command
//! is the rest of its line; within a statement it runs first and the statement goes on. `\;` is a `;` that ends nothing,
//! `\r` forgets what was begun.
//!
//! | text | ends at |
//! |---|---|
//! | `'…'` `"…"` | the quote, unless doubled; in `E'…'` a backslash takes the next character along |
//! | `$tag$…$tag$` | the same tag |
//! | `--…` | the end of the line |
//! | `/*…*/` | its own end: comments nest |
//!
//! What stands before the first word of a statement, comments included, is not a part of it, so that its line is the one a
//! person looks for.
//!
//! Deliberately absent: variables (`:name`), the bodies of `BEGIN ATOMIC`, several commands on one line.

/// What a script consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Statement(Statement),
    Command(Command),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// With its `;`.
    pub(super) text: String,
    /// Of its first word, 1-based.
    pub(super) line: usize,
    /// Ended by `\gx`: one column per line.
    pub(super) expanded: bool,
}

/// A backslash command without its backslash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) text: String,
    pub(super) line: usize,
}

/// What the next character belongs to.
#[derive(Debug, Default)]
enum Inside {
    #[default]
    Code,
    Quotes {
        quote: u8,
        escapes: bool,
    },
    /// The delimiter, such as `$tag$`.
    Dollars(String),
    /// How deep comments are nested.
    Comment(u32),
}

/// What a piece of a line is.
enum Piece {
    Text,
    Comment,
    /// A `;` that ends the statement.
    End,
    /// `\;`
    Semicolon,
    /// A command, to the end of the line.
    Backslash,
}

/// Cuts lines into [`Item`]s.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    inside: Inside,
    parentheses: u32,
    /// Of the statement that has begun.
    text: String,
    text_line: usize,
    /// Of the line that was fed last.
    line: usize,
}

impl Splitter {
    /// Takes one line, with the character that ends it, and appends what it completes.
    pub(super) fn feed(&mut self, line: &str, items: &mut Vec<Item>) {
        self.line += 1;
        // Editors of Windows mark a file so.
        let mut rest = if self.line == 1 { line.trim_start_matches('\u{feff}') } else { line };
        while !rest.is_empty() {
            let (taken, piece) = self.piece(rest);
            let (text, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
            rest = after;
            match piece {
                Piece::Comment | Piece::End if self.text.is_empty() => {}
                Piece::Text | Piece::Comment => self.push(text),
                Piece::Semicolon => self.push(";"),
                Piece::End => {
                    self.push(";");
                    items.push(self.take(false));
                }
                Piece::Backslash => self.backslash(text, items),
            }
        }
    }

    /// Whether a statement, or a comment, has begun and not ended.
    pub(super) fn pending(&self) -> bool {
        !self.text.is_empty() || !matches!(self.inside, Inside::Code)
    }

    /// The statement that the end of the text ends.
    pub(super) fn finish(&mut self) -> Option<Item> {
        (!self.text.is_empty()).then(|| self.take(false))
    }

    /// What `rest`, which is not empty, begins with, and how many bytes that is.
    fn piece(&mut self, rest: &str) -> (usize, Piece) {
        let first = rest.chars().next().map_or(0, char::len_utf8);
        match &mut self.inside {
            Inside::Code => return self.code(rest),
            Inside::Quotes { quote, escapes } => match rest.as_bytes() {
                [b'\\', ..] if *escapes => {
                    return (rest.chars().take(2).map(char::len_utf8).sum(), Piece::Text);
                }
                [one, two, ..] if one == quote && two == quote => return (2, Piece::Text),
                [one, ..] if one == quote => self.inside = Inside::Code,
                _ => {}
            },
            Inside::Dollars(tag) if rest.starts_with(tag.as_str()) => {
                let taken = tag.len();
                self.inside = Inside::Code;
                return (taken, Piece::Text);
            }
            Inside::Dollars(_) => {}
            Inside::Comment(depth) => {
                let taken = match rest.get(..2) {
                    Some("/*") => {
                        *depth += 1;
                        2
                    }
                    Some("*/") => {
                        *depth -= 1;
                        2
                    }
                    _ => first,
                };
                if *depth == 0 {
                    self.inside = Inside::Code;
                }
                return (taken, Piece::Comment);
            }
        }
        (first, Piece::Text)
    }

    fn code(&mut self, rest: &str) -> (usize, Piece) {
        match rest.as_bytes() {
            [b'\\', b';', ..] => return (2, Piece::Semicolon),
            [b'\\', ..] => return (rest.len(), Piece::Backslash),
            [b'-', b'-', ..] => return (rest.len(), Piece::Comment),
            [b'/', b'*', ..] => {
                self.inside = Inside::Comment(1);
                return (2, Piece::Comment);
            }
            [b';', ..] if self.parentheses == 0 => return (1, Piece::End),
            [b'(', ..] => self.parentheses += 1,
            [b')', ..] => self.parentheses = self.parentheses.saturating_sub(1),
            &[quote @ (b'\'' | b'"'), ..] => {
                let escapes = quote == b'\'' && escape_prefix(&self.text);
                self.inside = Inside::Quotes { quote, escapes };
            }
            [b'$', ..] if !self.text.ends_with(in_name) => {
                if let Some(tag) = dollar_tag(rest) {
                    self.inside = Inside::Dollars(tag.to_owned());
                    return (tag.len(), Piece::Text);
                }
            }
            _ => {}
        }
        (rest.chars().next().map_or(0, char::len_utf8), Piece::Text)
    }

    fn push(&mut self, text: &str) {
        if self.text.is_empty() {
            self.text_line = self.line;
            self.text.push_str(text.trim_start());
        } else {
            self.text.push_str(text);
        }
    }

    /// A command, or what ends or forgets the statement.
    fn backslash(&mut self, text: &str, items: &mut Vec<Item>) {
        let text = text.strip_prefix('\\').unwrap_or(text).trim();
        match text {
            "g" | "gx" if !self.text.is_empty() => items.push(self.take(text == "gx")),
            "r" | "reset" => _ = self.take(false),
            _ => {
                items.push(Item::Command(Command { text: text.to_owned(), line: self.line }));
                // The lines of the statement keep their numbers.
                if !self.text.is_empty() {
                    self.text.push('\n');
                }
            }
        }
    }

    fn take(&mut self, expanded: bool) -> Item {
        self.parentheses = 0;
        let text = std::mem::take(&mut self.text).trim_end().to_owned();
        Item::Statement(Statement { text, line: self.text_line, expanded })
    }
}

/// Whether a quote after `before` begins a string with backslash escapes: `E` as a word of its own.
fn escape_prefix(before: &str) -> bool {
    let Some(rest) = before.strip_suffix(['e', 'E']) else { return false };
    !rest.ends_with(in_name)
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The delimiter that `rest` begins with: `$$`, or `$name$`. `$1` is a parameter.
fn dollar_tag(rest: &str) -> Option<&str> {
    let name = rest.strip_prefix('$')?;
    let len = name.find(|c| c == '$' || !in_name(c))?;
    let name = name.get(..len).filter(|name| !name.starts_with(|c: char| c.is_ascii_digit()))?;
    let tag = rest.get(..name.len() + 2)?;
    tag.ends_with('$').then_some(tag)
}

#[cfg(test)]
mod tests;
