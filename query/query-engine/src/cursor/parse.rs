//! `FETCH` and `MOVE`, read from tokens: the parser knows no MOVE and wants FROM in every FETCH.
//!
//! ```text
//!  FETCH │ MOVE   [ NEXT │ PRIOR │ FIRST │ LAST │ ABSOLUTE n │ RELATIVE n │ n │ ALL
//!                 │ FORWARD [ n │ ALL ] │ BACKWARD [ n │ ALL ] ]   [ FROM │ IN ]   name
//! ```

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use query_api::Error;

use super::Reach;
use crate::command::Command;
use crate::error::Text;

/// The command, or `None` when the statement is another one.
///
/// # Errors
/// 42601.
pub(crate) fn parse(sql: &str, tokens: &[TokenWithSpan]) -> Result<Option<Command>, Error> {
    let significant: Vec<&TokenWithSpan> = tokens
        .iter()
        .filter(|it| !matches!(it.token, Token::Whitespace(_) | Token::SemiColon | Token::EOF))
        .collect();
    let mut words = Words { words: &significant };
    let moves = match words.keyword().as_deref() {
        Some("FETCH") => false,
        Some("MOVE") => true,
        _ => return Ok(None),
    };
    let parsed = reach(&mut words).and_then(|reach| {
        if matches!(words.peek().as_deref(), Some("FROM" | "IN")) && words.words.len() > 1 {
            words.advance();
        }
        Some((reach, words.name()?))
    });
    match (parsed, words.words) {
        (Some((reach, name)), []) if moves => Ok(Some(Command::Move { name, reach })),
        (Some((reach, name)), []) => Ok(Some(Command::Fetch { name, reach })),
        (_, rest) => {
            let text = Text { sql, tokens };
            Err(match rest.first() {
                Some(token) => text.near(token),
                None => text.syntax(""),
            })
        }
    }
}

struct Words<'a> {
    words: &'a [&'a TokenWithSpan],
}

impl Words<'_> {
    fn advance(&mut self) {
        self.words = self.words.get(1..).unwrap_or_default();
    }

    /// The next unquoted word in upper case, which stays.
    fn peek(&self) -> Option<String> {
        match &self.words.first()?.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
            _ => None,
        }
    }

    fn keyword(&mut self) -> Option<String> {
        let word = self.peek()?;
        self.advance();
        Some(word)
    }

    /// A number with its sign.
    fn number(&mut self) -> Option<i64> {
        let negative = matches!(self.words.first()?.token, Token::Minus);
        let at = usize::from(negative || matches!(self.words.first()?.token, Token::Plus));
        let Token::Number(digits, _) = &self.words.get(at)?.token else { return None };
        let number: i64 = digits.parse().ok()?;
        self.words = self.words.get(at + 1..).unwrap_or_default();
        Some(if negative { -number } else { number })
    }

    /// A cursor's name, which must be the last word.
    fn name(&mut self) -> Option<String> {
        let Token::Word(word) = &self.words.first()?.token else { return None };
        let name = match word.quote_style {
            Some(_) => word.value.clone(),
            None => word.value.to_lowercase(),
        };
        self.advance();
        Some(name)
    }
}

fn reach(words: &mut Words<'_>) -> Option<Reach> {
    // A lone word is the cursor's name, whatever it is called.
    if words.words.len() == 1 {
        return Some(Reach::Forward(Some(1)));
    }
    let signed = |number: i64, forward: fn(u64) -> Reach| {
        u64::try_from(number).map_or(Reach::Backward, forward)
    };
    let Some(word) = words.peek() else {
        return Some(match words.number() {
            Some(number) => signed(number, |it| Reach::Forward(Some(it))),
            // A quoted name follows, or nothing that fits.
            None => Reach::Forward(Some(1)),
        });
    };
    let reach = match word.as_str() {
        "NEXT" => Reach::Forward(Some(1)),
        "FIRST" => Reach::Absolute(1),
        "ALL" => Reach::Forward(None),
        "PRIOR" | "LAST" => Reach::Backward,
        "ABSOLUTE" | "RELATIVE" => {
            words.advance();
            let number = words.number()?;
            let forward = if word == "ABSOLUTE" { Reach::Absolute } else { Reach::Relative };
            return Some(signed(number, forward));
        }
        "FORWARD" | "BACKWARD" => {
            words.advance();
            return Some(counted(words, word == "FORWARD"));
        }
        // FROM, IN or the name itself.
        _ => return Some(Reach::Forward(Some(1))),
    };
    words.advance();
    Some(reach)
}

/// What follows FORWARD or BACKWARD.
fn counted(words: &mut Words<'_>, forward: bool) -> Reach {
    let all = words.words.len() > 1 && words.peek().as_deref() == Some("ALL");
    let count = if all {
        words.advance();
        None
    } else {
        Some(words.number().unwrap_or(1))
    };
    match count {
        None if forward => Reach::Forward(None),
        Some(count) if (count >= 0) == forward || count == 0 => {
            Reach::Forward(Some(count.unsigned_abs()))
        }
        // BACKWARD -n is forward.
        Some(count) if !forward && count < 0 => Reach::Forward(Some(count.unsigned_abs())),
        _ => Reach::Backward,
    }
}
