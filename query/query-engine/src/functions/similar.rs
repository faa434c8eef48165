//! Patterns of `SIMILAR TO` as regular expressions, anchored at both ends.
//!
//! | pattern | regular expression |
//! |---|---|
//! | `%`, `_` | `.*`, `.` |
//! | `(` | `(?:` |
//! | `\|`, `*`, `+`, `?`, `{m,n}`, `)`, `[…]` | as they are |
//! | the escape character and another | that one, as a literal; `\d`, `\s`, `\w` and their opposites are classes |
//! | everything else | itself |
//!
//! Invariants:
//! - What PostgreSQL's regular expressions refuse, or mean otherwise than those here, is refused.
//!
//! Source: `similar_escape_internal` of PostgreSQL's `regexp.c`;
//! <https://www.postgresql.org/docs/15/functions-matching.html#FUNCTIONS-SIMILARTO-REGEXP>.

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use query_api::{Error, ErrorKind};

use super::{Add, NO_TEXT, Returns, string, text};
use crate::error::{fault, unsupported};

/// `luma_similar(pattern [, escape])`.
pub(crate) const NAME: &str = "luma_similar";
const BOUND_MAX: u32 = 255;

pub(super) fn register(add: &mut Add<'_>) {
    let body = |args: &[ScalarValue]| {
        let Some(pattern) = string(args.first()) else { return Ok(NO_TEXT) };
        let escape = match args.get(1) {
            None => Some('\\'),
            Some(it) => match string(Some(it)) {
                Some(it) => escape_of(&it)?,
                None => return Ok(NO_TEXT),
            },
        };
        let mut expression = String::from("(?s)^(?:");
        Translation {
            rest: pattern.chars().peekable(),
            escape,
            depth: 0,
            quantified: Quantified::No,
        }
        .write(&mut expression)?;
        expression.push_str(")$");
        Ok(text(expression))
    };
    add(NAME, Returns::Type(DataType::Utf8), Arc::new(body));
}

fn escape_of(text: &str) -> Result<Option<char>> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (escape, None) => Ok(escape),
        _ => {
            let error = Error::new(ErrorKind::Invalid, "invalid escape string")
                .with_sqlstate("22025")
                .with_hint("Escape string must be empty or one character.");
            Err(DataFusionError::External(Box::new(error)))
        }
    }
}

fn refused(why: &str) -> DataFusionError {
    fault("2201B", format!("invalid regular expression: {why}"))
}

fn unknown(what: &str) -> DataFusionError {
    DataFusionError::External(Box::new(unsupported(format!(
        "{what} in a pattern of SIMILAR TO is not supported"
    ))))
}

/// What a quantifier would follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantified {
    /// An atom.
    No,
    /// An atom with a quantifier: only `?` may follow, once.
    Once,
    /// Nothing that can be repeated.
    Nothing,
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    escape: Option<char>,
    /// Parentheses that are open.
    depth: usize,
    quantified: Quantified,
}

impl Translation<'_> {
    fn write(mut self, out: &mut String) -> Result<()> {
        self.quantified = Quantified::Nothing;
        while let Some(it) = self.rest.next() {
            let is_escape = self.escape == Some(it);
            let is_bound = it == '{' && self.rest.peek().is_some_and(char::is_ascii_digit);
            if !is_escape && (is_bound || matches!(it, '*' | '+' | '?')) {
                self.quantifier(it, out)?;
                continue;
            }
            self.quantified = Quantified::No;
            match it {
                _ if is_escape => self.escaped(out)?,
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => {
                    self.depth += 1;
                    self.quantified = Quantified::Nothing;
                    out.push_str("(?:");
                }
                ')' => {
                    let open = self.depth.checked_sub(1);
                    self.depth = open.ok_or_else(|| refused("parentheses () not balanced"))?;
                    out.push(')');
                }
                '|' => {
                    self.quantified = Quantified::Nothing;
                    out.push('|');
                }
                '[' => self.class(out)?,
                other => literal(other, out),
            }
            // `.*` of a `%` is repeated already.
            if it == '%' && !is_escape {
                self.quantified = Quantified::Once;
            }
        }
        if self.depth > 0 {
            return Err(refused("parentheses () not balanced"));
        }
        Ok(())
    }

    fn quantifier(&mut self, it: char, out: &mut String) -> Result<()> {
        self.quantified = match (self.quantified, it) {
            (Quantified::No, _) => Quantified::Once,
            (Quantified::Once, '?') => Quantified::Nothing,
            _ => return Err(refused("quantifier operand invalid")),
        };
        out.push(it);
        if it != '{' {
            return Ok(());
        }
        let bound: String =
            std::iter::from_fn(|| self.rest.next_if(|it| it.is_ascii_digit() || *it == ','))
                .collect();
        let counts = || refused("invalid repetition count(s)");
        let (least, most) = bound.split_once(',').unwrap_or((&bound, &bound));
        let least: u32 = least.parse().map_err(|_| counts())?;
        let most: u32 =
            if most.is_empty() { BOUND_MAX } else { most.parse().map_err(|_| counts())? };
        if self.rest.next() != Some('}') || least > most || most > BOUND_MAX || least > BOUND_MAX {
            return Err(counts());
        }
        out.push_str(&bound);
        out.push('}');
        Ok(())
    }

    /// What follows an escape character, outside of a class or in it.
    fn escaped(&mut self, out: &mut String) -> Result<()> {
        match self.rest.next() {
            // PostgreSQL drops an escape character at the end.
            None => {}
            Some('"') => return Err(unknown("a separator")),
            Some(class @ ('d' | 's' | 'w' | 'D' | 'S' | 'W')) => out.extend(['\\', class]),
            Some(it) if it.is_alphanumeric() => return Err(unknown(&format!("an escaped {it}"))),
            Some(it) => literal(it, out),
        }
        Ok(())
    }

    /// `[…]`, after its bracket.
    fn class(&mut self, out: &mut String) -> Result<()> {
        let open = || refused("brackets [] not balanced");
        out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            out.push('^');
        }
        if self.rest.peek() == Some(&']') {
            return Err(unknown("a class that begins with a bracket"));
        }
        let mut is_first = true;
        loop {
            let it = self.rest.next().ok_or_else(open)?;
            match it {
                ']' => break,
                _ if self.escape == Some(it) => self.escaped(out)?,
                '[' if self.rest.peek() == Some(&':') => self.named_class(out)?,
                '[' if matches!(self.rest.peek(), Some('.' | '=')) => {
                    return Err(unknown("a collating element"));
                }
                // A range, unless it is the first or the last.
                '-' if !is_first && self.rest.peek().is_some_and(|it| *it != ']') => out.push('-'),
                '-' => out.push_str("\\-"),
                other => literal(other, out),
            }
            is_first = false;
        }
        out.push(']');
        Ok(())
    }

    /// `[:alpha:]`, after its first bracket.
    fn named_class(&mut self, out: &mut String) -> Result<()> {
        self.rest.next();
        let name: String =
            std::iter::from_fn(|| self.rest.next_if(char::is_ascii_lowercase)).collect();
        if self.rest.next() != Some(':') || self.rest.next() != Some(']') {
            return Err(refused("invalid character class"));
        }
        out.push_str(&format!("[:{name}:]"));
        Ok(())
    }
}

fn literal(it: char, out: &mut String) {
    if it.is_ascii_punctuation() && !matches!(it, '<' | '>') {
        out.push('\\');
    }
    out.push(it);
}
