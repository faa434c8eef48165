//! DataFusion's and the parser's errors as [`query_api::Error`]: SQLSTATE, PostgreSQL's wording, position, hint.
//!
//! Clients parse PostgreSQL's texts (`column "x" does not exist`, `syntax error at or near "x"`), so those are kept
//! to the letter. SQLSTATEs: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.

use std::fmt;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use query_api::{Error, ErrorKind};

use crate::guard;
use crate::rewrite::shown_name;

/// What errors are told about the statement.
pub(crate) struct Text<'a> {
    pub(crate) sql: &'a str,
    pub(crate) tokens: &'a [TokenWithSpan],
}

fn invalid(sqlstate: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_sqlstate(sqlstate)
}

/// An error of a function or a planner, on its way through DataFusion.
pub(crate) fn fault(sqlstate: &'static str, message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(invalid(sqlstate, message)))
}

/// An error that knows its place in the statement.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) location: Location,
    pub(crate) error: DataFusionError,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Located {}

pub(crate) fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_sqlstate("0A000")
}

pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "canceling statement due to user request")
        .with_sqlstate("57014")
}

impl Text<'_> {
    /// Position of the first word `name`, after `qualifier.` when there is one.
    fn find(&self, qualifier: Option<&str>, name: &str) -> Option<u32> {
        let words: Vec<_> = self
            .tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)))
            .collect();
        let is = |token: &Token, name: &str| {
            matches!(token, Token::Word(word) if word.value == name
                || (word.quote_style.is_none() && word.value.to_lowercase() == name))
        };
        let at = words.iter().enumerate().position(|(index, token)| match qualifier {
            None => is(&token.token, name),
            Some(qualifier) => {
                is(&token.token, qualifier)
                    && matches!(words.get(index + 1), Some(it) if it.token == Token::Period)
                    && matches!(words.get(index + 2), Some(it) if is(&it.token, name))
            }
        })?;
        Some(guard::position(self.sql, words.get(at)?.span.start))
    }

    fn at(&self, error: Error, qualifier: Option<&str>, name: &str) -> Error {
        match self.find(qualifier, name).or_else(|| self.find(None, name)) {
            Some(position) => error.with_position(position),
            None => error,
        }
    }

    /// An error at the first word `name` that is neither qualified nor a name that is given.
    fn at_reference(&self, error: Error, name: &str) -> Error {
        let words = self.tokens.iter().filter(|it| !matches!(it.token, Token::Whitespace(_)));
        let words: Vec<_> = words.collect();
        let given = |before: &Token| match before {
            Token::Period => true,
            Token::Word(word) => word.value.eq_ignore_ascii_case("as"),
            _ => false,
        };
        let found = (0..words.len()).find(|index| {
            let is_name = matches!(&words[*index].token, Token::Word(word)
                if word.value == name || word.value.to_lowercase() == name);
            is_name && !index.checked_sub(1).is_some_and(|it| given(&words[it].token))
        });
        match found {
            Some(index) => error.with_position(guard::position(self.sql, words[index].span.start)),
            None => self.at(error, None, name),
        }
    }

    /// A value that cannot be read, at the literal that is cast.
    fn at_literal(&self, error: Error) -> Error {
        let bad = matches!(error.sqlstate, Some("22P02" | "22003" | "22007" | "22008"));
        let value = between(&error.message, "\"", "\"").map(ToOwned::to_owned);
        match value.filter(|_| bad && error.position.is_none()).and_then(|it| self.cast_of(&it)) {
            Some(position) => error.with_position(position),
            None => error,
        }
    }

    /// The literal `value` in `value::type`, `CAST(value AS type)` or `type value`.
    fn cast_of(&self, value: &str) -> Option<u32> {
        let words: Vec<_> = self
            .tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)))
            .collect();
        let word = |index: Option<usize>| match words.get(index?).map(|it| &it.token) {
            Some(Token::Word(word)) if word.quote_style.is_none() => {
                Some(word.value.to_lowercase())
            }
            _ => None,
        };
        let at = (0..words.len()).find(|index| {
            let text = matches!(&words[*index].token,
                Token::SingleQuotedString(it) if it.trim() == value.trim());
            let after = words.get(index + 1).map(|it| &it.token);
            let target = word(Some(index + 2));
            let before = word(index.checked_sub(1));
            let called = word(index.checked_sub(2));
            let typed = before.is_some_and(|it| LITERAL_TYPES.contains(&it.as_str()));
            let to_text = target.is_some_and(|it| TEXT_TYPES.contains(&it.as_str()));
            let cast = after == Some(&Token::DoubleColon) || called.as_deref() == Some("cast");
            text && (typed || (cast && !to_text))
        })?;
        Some(guard::position(self.sql, words.get(at)?.span.start))
    }

    /// From a parser message that ends in `at Line: l, Column: c`.
    pub(crate) fn syntax(&self, message: &str) -> Error {
        let Some(location) = location(message) else {
            let end = u32::try_from(self.sql.chars().count() + 1).unwrap_or(u32::MAX);
            return invalid("42601", "syntax error at end of input")
                .with_detail(message.to_owned())
                .with_position(end);
        };
        let token = self.tokens.iter().find(|token| token.span.start == location);
        let near = match token.map(|token| &token.token) {
            None | Some(Token::EOF) => return self.syntax(""),
            Some(token) => token.to_string(),
        };
        let expected = message.split(" at Line").next().unwrap_or_default();
        invalid("42601", format!("syntax error at or near \"{near}\""))
            .with_detail(expected.to_owned())
            .with_position(guard::position(self.sql, location))
    }

    /// A token that does not fit.
    pub(crate) fn near(&self, token: &TokenWithSpan) -> Error {
        invalid("42601", format!("syntax error at or near \"{}\"", token.token))
            .with_position(guard::position(self.sql, token.span.start))
    }

    /// `""` where a name belongs.
    pub(crate) fn empty_name(&self, token: &TokenWithSpan) -> Error {
        let message = format!("zero-length delimited identifier at or near \"{}\"", token.token);
        invalid("42601", message).with_position(guard::position(self.sql, token.span.start))
    }

    /// A reserved word where a name belongs.
    pub(crate) fn reserved(&self, token: &TokenWithSpan) -> Error {
        let word = token.token.to_string();
        invalid("42601", format!("syntax error at or near \"{word}\""))
            .with_hint(format!("a table of that name is written \"{}\"", word.to_lowercase()))
            .with_position(guard::position(self.sql, token.span.start))
    }

    pub(crate) fn unknown_table(&self, name: &str, known: &[&str]) -> Error {
        let error = Error::new(ErrorKind::NotFound, format!("relation \"{name}\" does not exist"))
            .with_sqlstate("42P01");
        let mut similar: Vec<_> =
            known.iter().filter_map(|other| Some((distance(name, other)?, *other))).collect();
        similar.sort_unstable();
        let names: Vec<_> = similar.iter().take(3).map(|(_, name)| format!("\"{name}\"")).collect();
        let error = if names.is_empty() {
            error.with_hint("every topic is a table; \\dt lists them")
        } else {
            error.with_hint(format!("similar tables: {}", names.join(", ")))
        };
        let last = name.rsplit('.').next().unwrap_or(name);
        self.at(error, None, last)
    }

    pub(crate) fn datafusion(&self, error: &DataFusionError) -> Error {
        let mut error = self.translated(error);
        error.message = without_debug(error.message);
        error.detail = error.detail.map(without_debug);
        error
    }

    fn translated(&self, error: &DataFusionError) -> Error {
        match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                self.datafusion(inner)
            }
            DataFusionError::Shared(inner) => self.datafusion(inner),
            DataFusionError::Collection(errors) => match errors.first() {
                Some(first) => self.datafusion(first),
                None => Error::new(ErrorKind::Internal, "unknown error"),
            },
            DataFusionError::External(inner) => self.external(inner.as_ref()),
            DataFusionError::ArrowError(inner, _) => self.arrow(inner),
            DataFusionError::SchemaError(inner, _) => self.schema(inner),
            // What runs out of memory while it runs is told by [`crate::memory`].
            DataFusionError::ResourcesExhausted(detail) => {
                Error::new(ErrorKind::LimitExceeded, "the query needs more memory than it may have")
                    .with_sqlstate("53200")
                    .with_detail(first_line(detail))
            }
            DataFusionError::NotImplemented(message) => {
                self.known(message).unwrap_or_else(|| self.not_implemented(message))
            }
            DataFusionError::SQL(inner, _) => self.syntax(&inner.to_string()),
            DataFusionError::Plan(message) | DataFusionError::Execution(message) => {
                self.message(message)
            }
            DataFusionError::Configuration(message) => invalid("22023", lower(message)),
            other => {
                let text = first_line(&other.to_string());
                self.known(&text)
                    .unwrap_or_else(|| Error::new(ErrorKind::Internal, text).with_sqlstate("XX000"))
            }
        }
    }

    fn external(&self, inner: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
        if let Some(error) = inner.downcast_ref::<Error>() {
            return self.at_literal(error.clone());
        }
        if let Some(error) = inner.downcast_ref::<DataFusionError>() {
            return self.datafusion(error);
        }
        if let Some(Located { location, error }) = inner.downcast_ref::<Located>() {
            return self.datafusion(error).with_position(guard::position(self.sql, *location));
        }
        let text = first_line(&inner.to_string());
        self.known(&text)
            .unwrap_or_else(|| Error::new(ErrorKind::Internal, text).with_sqlstate("XX000"))
    }

    fn arrow(&self, error: &ArrowError) -> Error {
        match error {
            ArrowError::DivideByZero => invalid("22012", "division by zero"),
            ArrowError::ArithmeticOverflow(detail) => {
                invalid("22003", "value out of range").with_detail(detail.clone())
            }
            ArrowError::CastError(message) | ArrowError::ParseError(message) => {
                self.at_literal(cast(message))
            }
            ArrowError::ExternalError(inner) => self.external(inner.as_ref()),
            other => self.message(&other.to_string()),
        }
    }

    fn schema(&self, error: &SchemaError) -> Error {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                self.unknown_column(field, valid_fields)
            }
            SchemaError::AmbiguousReference { field } => {
                let message = format!("column reference \"{}\" is ambiguous", field.name);
                self.at(invalid("42702", message), None, &field.name)
            }
            SchemaError::DuplicateQualifiedField { name, .. }
            | SchemaError::DuplicateUnqualifiedField { name } => {
                invalid("42712", format!("column \"{name}\" specified more than once"))
            }
        }
    }

    fn unknown_column(&self, field: &Column, valid: &[Column]) -> Error {
        let qualifier = field.relation.as_ref().map(|it| it.table().to_owned());
        if let Some(table) = &qualifier
            && !valid.iter().any(|it| it.relation.as_ref().is_some_and(|it| it.table() == table))
            && !valid.is_empty()
        {
            let message = format!("missing FROM-clause entry for table \"{table}\"");
            return self.at(invalid("42P01", message), Some(table), &field.name);
        }
        let is_equal = |it: &&Column| {
            it.name != field.name
                && shown_name(&it.name) == field.name
                && (field.relation.is_none() || it.relation == field.relation)
        };
        if valid.iter().filter(is_equal).count() > 1 {
            let message = format!("column reference \"{}\" is ambiguous", field.name);
            let error = invalid("42702", message);
            return match qualifier.as_deref() {
                Some(_) => self.at(error, qualifier.as_deref(), &field.name),
                None => self.at_reference(error, &field.name),
            };
        }
        let shown = match &qualifier {
            Some(table) => format!("column {table}.{} does not exist", field.name),
            None => format!("column \"{}\" does not exist", field.name),
        };
        let mut similar: Vec<_> = valid
            .iter()
            .filter_map(|other| Some((distance(&field.name, &other.name)?, other.name.clone())))
            .collect();
        similar.sort();
        let error = invalid("42703", shown);
        let error = match similar.first() {
            Some((_, name)) => {
                error.with_hint(format!("perhaps you meant to reference the column \"{name}\""))
            }
            None => error,
        };
        self.at(error, qualifier.as_deref(), &field.name)
    }

    fn not_implemented(&self, message: &str) -> Error {
        if message.starts_with("Physical plan does not support logical expression") {
            return unsupported("a subquery or LATERAL that refers to the outer row in this way is not supported")
                .with_hint("compare columns of the subquery with those of the outer row by = in its WHERE, or join its tables");
        }
        let Some((_, name)) = message.split_once("Unsupported SQL type ") else {
            return unsupported(lower(message));
        };
        let name = name.trim().split(['.', '(']).next().unwrap_or(name);
        let folded = name.to_lowercase();
        let message = format!("type \"{folded}\" does not exist");
        let error = Error::new(ErrorKind::NotFound, message).with_sqlstate("42704");
        self.at(error, None, &folded)
    }

    /// An error by a part of its message.
    fn known(&self, text: &str) -> Option<Error> {
        let folded = text.to_lowercase();
        let (_, sqlstate) = KNOWN.iter().find(|(part, _)| folded.contains(part))?;
        let mut text = text;
        while let Some(rest) = ORIGINS.iter().find_map(|it| text.strip_prefix(it)) {
            text = rest;
        }
        Some(match *sqlstate {
            "42883" => match between(&folded, "function '", "'") {
                Some(name) => {
                    // The planner knows it by the longer of its two names.
                    let name = if name == "character_length" { "length" } else { name };
                    let message = format!("function {name} does not exist for these arguments");
                    self.at(invalid("42883", message).with_detail(lower(text)), None, name)
                }
                None => invalid("42883", lower(text)),
            },
            sqlstate => invalid(sqlstate, lower(text)),
        })
    }

    fn message(&self, message: &str) -> Error {
        let text = first_line(message);
        if let Some(name) = between(&text, "Invalid function '", "'") {
            let error = Error::new(ErrorKind::NotFound, format!("function {name} does not exist"))
                .with_sqlstate("42883")
                .with_hint("no function matches the given name and argument types");
            return self.at(error, None, name);
        }
        if let Some(name) = between(&text, "table '", "' not found") {
            let name = name.rsplit('.').next().unwrap_or(name);
            return self.unknown_table(name, &[]);
        }
        if let Some(error) = self.known(&text) {
            return error;
        }
        let folded = text.to_lowercase();
        if folded.contains("array overflow on abs") {
            let types = ["smallint", "integer", "bigint"];
            let arrow = ["int16", "int32", "int64"].iter().position(|it| folded.contains(it));
            let name = arrow.map_or("value", |it| types[it]);
            return invalid("22003", format!("{name} out of range"));
        }
        if folded.contains("too large to store in a decimal") {
            return invalid("22003", "numeric field overflow").with_detail(lower(&text));
        }
        if folded.contains("divide by zero") {
            return invalid("22012", "division by zero");
        }
        if folded.contains("cannot cast") || folded.contains("error parsing") {
            return self.at_literal(cast(&text));
        }
        let ungrouped = between(&text, "expanding wildcard, column \"", "\"")
            .or_else(|| between(&text, "column \"", "\""));
        if let (true, Some(column)) = (folded.contains("must appear in the group by"), ungrouped) {
            let message = format!(
                "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
            );
            let name = column.rsplit('.').next().unwrap_or(column);
            return self.at(invalid("42803", message), None, name);
        }
        if folded.contains("group by") && folded.contains("must") {
            return invalid("42803", lower(&text));
        }
        if folded.contains("not supported") || folded.contains("unsupported") {
            return unsupported(lower(&text));
        }
        invalid("42804", lower(&text))
    }
}

/// PostgreSQL's SQLSTATEs of messages that it words much as DataFusion does.
const KNOWN: [(&str, &str); 27] = [
    ("limit must be >=", "2201W"),
    ("offset must be >=", "2201X"),
    ("order by column out of bounds", "42P10"),
    ("aggregate functions are not allowed", "42803"),
    ("different number of columns", "42601"),
    ("should only return one column", "42601"),
    ("returned more than one row", "21000"),
    ("specified more than once", "42712"),
    ("cannot coerce arithmetic expression", "42883"),
    ("failed to match any signature", "42883"),
    ("user-defined coercion failed", "42883"),
    ("negative count not allowed", "22011"),
    ("cannot take square root of a negative number", "2201F"),
    ("zero raised to a negative power", "2201F"),
    ("factorial of a negative number", "22003"),
    ("field position must not be zero", "22023"),
    ("unsupported date_trunc granularity", "22023"),
    ("date part '", "22023"),
    ("step cannot be zero", "22023"),
    ("unable to parse date from", "22008"),
    ("aggregate function calls cannot be nested", "42803"),
    ("order by expressions", "42P10"),
    ("no function matches", "42883"),
    ("failed to coerce arguments", "42883"),
    ("unary operator '-' only supports", "42883"),
    ("regex parse error", "2201B"),
    ("regular expression", "2201B"),
];

/// Types that stand before their literals.
const LITERAL_TYPES: [&str; 13] = [
    "bigint",
    "bool",
    "boolean",
    "date",
    "float8",
    "int",
    "integer",
    "interval",
    "numeric",
    "smallint",
    "time",
    "timestamp",
    "timestamptz",
];

/// Types that every text can be cast to.
const TEXT_TYPES: [&str; 5] = ["text", "varchar", "char", "name", "bpchar"];

/// Texts around a message that say where in DataFusion it came from.
const ORIGINS: [&str; 5] = [
    "Error during planning: ",
    "Execution error: ",
    "Internal error: ",
    "Compute error: ",
    "Arrow error: ",
];

/// PostgreSQL's name of an Arrow type.
pub(crate) fn type_name(arrow: &str) -> &str {
    match arrow.split(['(', ' ']).next().unwrap_or(arrow) {
        "int16" => "smallint",
        "int32" => "integer",
        "int64" => "bigint",
        "float32" => "real",
        "float64" => "double precision",
        "decimal128" => "numeric",
        "decimal256" => "numeric",
        "utf8" => "text",
        "date32" => "date",
        "time64" => "time",
        "timestamp" => "timestamp",
        _ => arrow,
    }
}

/// Digits that an integer type cannot hold are out of range, not bad syntax.
fn is_integer(value: &str) -> bool {
    let digits = value.trim().strip_prefix(['-', '+']).unwrap_or(value.trim());
    !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit())
}

fn cast(message: &str) -> Error {
    let text = first_line(message);
    if let Some((_, target)) = text.split_once(" is out of range Int") {
        let name = type_name(&format!("int{target}")).to_owned();
        return invalid("22003", format!("{name} out of range"));
    }
    let out_of_range =
        text.split_once("an't cast value ").and_then(|(_, it)| it.split_once(" to type "));
    if let Some((value, target)) = out_of_range {
        let name = type_name(&target.to_lowercase()).to_owned();
        return invalid("22003", format!("{name} out of range")).with_detail(value.to_owned());
    }
    if let Some(value) = between(&text, "timestamp from '", "'") {
        if is_time(value) {
            return field_out_of_range(value);
        }
        return invalid("22007", format!("invalid input syntax for type timestamp: \"{value}\""));
    }
    if let Some(value) = between(&text, "annot cast value '", "' to value of Boolean type") {
        return invalid("22P02", format!("invalid input syntax for type boolean: \"{value}\""));
    }
    let quoted = between(&text, "string '", "'").or_else(|| between(&text, "\"", "\""));
    let error = match quoted {
        Some(value) => {
            let target = between(&text, "value of ", " type").unwrap_or("interval").to_lowercase();
            let name = type_name(&target);
            if target.starts_with("int") && is_integer(value) {
                let message = format!("value \"{value}\" is out of range for type {name}");
                return invalid("22003", message);
            }
            if (name == "date" || name.starts_with("time")) && is_time(value) {
                return field_out_of_range(value);
            }
            if name == "date" || name.starts_with("time") || name == "interval" {
                let message = format!("invalid input syntax for type {name}: \"{value}\"");
                return invalid("22007", message);
            }
            format!("invalid input syntax for type {name}: \"{value}\"")
        }
        None => lower(&text),
    };
    invalid("22P02", error)
}

/// Digits in the form of a date or a time: what cannot be read is out of range, not bad syntax.
fn is_time(value: &str) -> bool {
    let value = value.trim();
    value.starts_with(|it: char| it.is_ascii_digit())
        && value.contains(['-', ':'])
        && value.bytes().all(|it| it.is_ascii_digit() || b"-:. TZ+".contains(&it))
}

fn field_out_of_range(value: &str) -> Error {
    invalid("22008", format!("date/time field value out of range: \"{value}\""))
}

fn location(message: &str) -> Option<Location> {
    let line = between(message, "Line: ", ",")?.trim().parse().ok()?;
    let column = message.rsplit("Column: ").next()?.trim();
    let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
    Some(Location { line, column: digits.parse().ok()? })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A message up to where it shows a value of the parser as Rust writes it: `Name("…")`, `Name { … }`, `Some(Name("…"))`.
fn without_debug(text: String) -> String {
    let begin = |at: usize| {
        let name = text[..at].rsplit(|it: char| !it.is_ascii_alphanumeric()).next().unwrap_or("");
        let camel = name.starts_with(|it: char| it.is_ascii_uppercase())
            && name.contains(|it: char| it.is_ascii_lowercase());
        camel.then(|| at - name.len())
    };
    let marks = ["(\"", " { "].into_iter().flat_map(|mark| text.match_indices(mark));
    let Some(start) = marks.filter_map(|(at, _)| begin(at)).min() else { return text };
    let mut rest = &text[..start];
    while let Some(wrapper) = rest.strip_suffix('(') {
        rest = wrapper.trim_end_matches(|it: char| it.is_ascii_alphanumeric());
    }
    match rest.trim_end_matches([' ', ':', ',', '\'', '"', '`']) {
        "" => "this is not supported".to_owned(),
        rest => rest.to_owned(),
    }
}

fn lower(text: &str) -> String {
    let text = first_line(text);
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if text.chars().nth(1).is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// Edit distance when it is small against the length, for hints.
fn distance(left: &str, right: &str) -> Option<usize> {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let limit = (left.len().max(right.len()) / 3).max(1);
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}
