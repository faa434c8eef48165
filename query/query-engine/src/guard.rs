//! Limits on SQL text before anything recursive sees it, and splitting into statements.
//!
//! A parser and a planner recurse on the shape of the text, so nesting and operator chains are counted on the
//! tokens first: hostile text is an error here, never a stack overflow there (DataFusion issue 22229).
//!
//! Invariants:
//! - Text over [`SQL_BYTES_MAX`], brackets deeper than [`DEPTH_MAX`] or operator chains longer than [`CHAIN_MAX`]
//!   give SQLSTATE 54000 or 54001.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Token, TokenWithSpan, Tokenizer, Whitespace,
};
use query_api::{Error, ErrorKind};

/// Longest accepted text, in bytes.
pub(crate) const SQL_BYTES_MAX: usize = 1024 * 1024;
/// Deepest bracket nesting.
pub(crate) const DEPTH_MAX: usize = 100;
/// Longest chain of operators around one point, over all enclosing brackets.
pub(crate) const CHAIN_MAX: usize = 1000;

/// Operators and keywords that add a level to the tree they stand in.
const CHAIN_WORDS: [&str; 12] = [
    "AND",
    "OR",
    "NOT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "JOIN",
    "CASE",
    "IS",
    "IN",
    "LIKE",
    "BETWEEN",
];

/// Reserved words that the parser takes for table names. <https://www.postgresql.org/docs/15/sql-keywords-appendix.html>
const RESERVED: [&str; 20] = [
    "AND",
    "CREATE",
    "DESC",
    "ELSE",
    "END",
    "EXCEPT",
    "FETCH",
    "FOR",
    "FROM",
    "GROUP",
    "HAVING",
    "INTERSECT",
    "INTO",
    "LIMIT",
    "OFFSET",
    "ORDER",
    "THEN",
    "UNION",
    "WHEN",
    "WHERE",
];

/// The first unquoted reserved word where a table's name belongs.
pub(crate) fn reserved_name(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    let word = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    };
    let mut before: Option<String> = None;
    for token in tokens.iter().filter(|it| !matches!(it.token, Token::Whitespace(_))) {
        let now = word(token);
        let wanted = matches!(before.as_deref(), Some("FROM" | "JOIN" | "INTO"));
        if wanted && now.as_deref().is_some_and(|it| RESERVED.contains(&it)) {
            return Some(token);
        }
        before = now;
    }
    None
}

/// A name of no characters, which PostgreSQL has nowhere.
pub(crate) fn empty_name(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    tokens.iter().find(|it| {
        matches!(&it.token, Token::Word(word) if word.quote_style.is_some() && word.value.is_empty())
    })
}

/// A statement's text and its place in the string it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) start: usize,
}

/// Tokens of `sql`, checked.
///
/// # Errors
/// 42601 for text that is not SQL tokens; 54000, 54001 over a limit.
pub(crate) fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, Error> {
    if sql.len() > SQL_BYTES_MAX {
        let message = format!("the statement is longer than {SQL_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::LimitExceeded, message).with_sqlstate("54000"));
    }
    if sql.contains('\0') {
        return Err(Error::new(
            ErrorKind::Invalid,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        )
        .with_sqlstate("22021"));
    }
    let tokens =
        Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().map_err(|error| {
            Error::new(
                ErrorKind::Invalid,
                format!("syntax error: {}", error.message.to_lowercase()),
            )
            .with_sqlstate("42601")
            .with_position(position(sql, error.location))
        })?;
    check(sql, &tokens)?;
    adjacent(sql, tokens)
}

/// Strings with a new line between them are one. <https://www.postgresql.org/docs/15/sql-syntax-lexical.html>
fn adjacent(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, Error> {
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let Token::SingleQuotedString(text) = &token.token else {
            joined.push(token);
            continue;
        };
        let is_space = |it: &&TokenWithSpan| matches!(it.token, Token::Whitespace(_));
        let spaces = joined.iter().rev().take_while(is_space).count();
        let at = joined.len() - spaces;
        let Some(first) = at.checked_sub(1).filter(|it| is_string(&joined[*it].token)) else {
            joined.push(token);
            continue;
        };
        let refused = |message: String| {
            let error = Error::new(ErrorKind::Invalid, message).with_sqlstate("42601");
            error.with_position(position(sql, token.span.start))
        };
        if !is_new_line(&joined[at..]) {
            return Err(refused(format!("syntax error at or near \"{}\"", token.token)));
        }
        match &mut joined[first].token {
            Token::SingleQuotedString(whole) => whole.push_str(text),
            // Their escapes go on in the second, which was not read so.
            Token::EscapedStringLiteral(whole) if !text.contains('\\') => whole.push_str(text),
            other => {
                let message =
                    format!("strings that go on in another line are not supported: {other}");
                return Err(refused(message).with_sqlstate("0A000"));
            }
        }
        joined[first].span.end = token.span.end;
        joined.truncate(at);
    }
    Ok(joined)
}

fn is_string(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}

/// Whether these tokens between two strings are a new line: comments up to an end of line are, others are not.
fn is_new_line(spaces: &[TokenWithSpan]) -> bool {
    let mut any = false;
    for space in spaces {
        match &space.token {
            Token::Whitespace(Whitespace::Newline) => any = true,
            Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => {
                any |= comment.ends_with('\n');
            }
            Token::Whitespace(Whitespace::MultiLineComment(_)) => return false,
            _ => {}
        }
    }
    any
}

fn check(sql: &str, tokens: &[TokenWithSpan]) -> Result<(), Error> {
    let mut chains = vec![0_usize];
    let mut total = 0;
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => chains.push(0),
            Token::RParen | Token::RBracket | Token::RBrace => {
                if chains.len() > 1 {
                    total -= chains.pop().unwrap_or(0);
                }
            }
            Token::Comma | Token::SemiColon => {
                if let Some(last) = chains.last_mut() {
                    total -= *last;
                    *last = 0;
                }
            }
            Token::Whitespace(_) | Token::Number(..) | Token::Period | Token::EOF => {}
            Token::Word(word)
                if !CHAIN_WORDS.contains(&word.value.to_ascii_uppercase().as_str()) => {}
            Token::SingleQuotedString(_) | Token::Placeholder(_) => {}
            _ => {
                total += 1;
                if let Some(last) = chains.last_mut() {
                    *last += 1;
                }
            }
        }
        let what = if chains.len() > DEPTH_MAX {
            format!("brackets are nested deeper than {DEPTH_MAX}")
        } else if total > CHAIN_MAX {
            format!("an expression has more than {CHAIN_MAX} operators in a row")
        } else {
            continue;
        };
        return Err(too_complex(&what).with_position(position(sql, token.span.start)));
    }
    Ok(())
}

pub(crate) fn too_complex(what: &str) -> Error {
    let message = format!("the statement is too complex: {what}");
    Error::new(ErrorKind::LimitExceeded, message)
        .with_sqlstate("54001")
        .with_hint("split the statement, or use IN (…) or a VALUES list in place of a chain")
}

/// Splits at top-level semicolons; pieces without a token are left out.
pub(crate) fn split(sql: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut first: Option<usize> = None;
    let mut last_end = 0;
    let mut lines = Lines::new(sql);
    for token in tokens(sql)? {
        match token.token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => {
                if let Some(start) = first.take() {
                    let end = lines.byte(token.span.start).max(last_end);
                    pieces.push(Piece { text: sql[start..end].trim_end().to_owned(), start });
                }
            }
            _ => {
                if first.is_none() {
                    first = Some(lines.byte(token.span.start));
                }
                last_end = lines.byte(token.span.start);
            }
        }
    }
    if let Some(start) = first {
        pieces.push(Piece { text: sql[start..].trim_end().to_owned(), start });
    }
    Ok(pieces)
}

/// Byte offsets of ascending locations, in one pass over the text.
struct Lines<'a> {
    sql: &'a str,
    at: usize,
    line: u64,
    column: u64,
}

impl<'a> Lines<'a> {
    fn new(sql: &'a str) -> Self {
        Self { sql, at: 0, line: 1, column: 1 }
    }

    fn byte(&mut self, location: Location) -> usize {
        while (self.line, self.column) < (location.line, location.column) {
            let Some(next) = self.sql[self.at..].chars().next() else { break };
            self.at += next.len_utf8();
            if next == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at
    }
}

/// 1-based character position of a location.
pub(crate) fn position(sql: &str, location: Location) -> u32 {
    let mut lines = Lines::new(sql);
    let byte = lines.byte(location);
    let characters = sql.get(..byte).map_or(0, |before| before.chars().count());
    u32::try_from(characters + 1).unwrap_or(u32::MAX)
}
