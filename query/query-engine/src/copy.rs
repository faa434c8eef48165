//! `COPY … TO STDOUT`: its query, and the options in both of their spellings.
//! <https://www.postgresql.org/docs/15/sql-copy.html>
//!
//! Absent: COPY FROM (records are produced), files and programs on the server, the binary format.

use datafusion::sql::sqlparser::ast::{
    CopyLegacyCsvOption, CopyLegacyOption, CopyOption, CopySource, CopyTarget, Expr, Ident,
    ObjectName, Query, Select, SelectItem, Statement, TableFactor, TableWithJoins,
    WildcardAdditionalOptions,
};
use query_api::{CopyFormat, CopyOut, Error, ErrorKind};

use crate::error::unsupported;
use crate::rewrite::{empty_select, fold, query_of};

/// What a COPY statement writes and how.
///
/// # Errors
/// 0A000 for what is not built, 22023 and 42601 for options that do not fit together.
pub(crate) fn options(statement: &Statement) -> Result<CopyOut, Error> {
    let Statement::Copy { to, target, options, legacy_options, .. } = statement else {
        return Err(unsupported("this statement is no COPY"));
    };
    if !to {
        return Err(unsupported("COPY FROM is not supported").with_hint(
            "produce the records with a Kafka client or `lumadb produce`, or INSERT them",
        ));
    }
    if *target != CopyTarget::Stdout {
        return Err(unsupported("COPY to a file or a program on the server is not supported")
            .with_hint("COPY … TO STDOUT, or psql's \\copy, which writes on the client"));
    }
    let mut copy = Options::default();
    for option in options {
        copy.option(option)?;
    }
    for option in legacy_options {
        copy.legacy(option)?;
    }
    copy.finish()
}

#[derive(Default)]
struct Options {
    csv: bool,
    header: bool,
    delimiter: Option<char>,
    null: Option<String>,
    quote: Option<char>,
    escape: Option<char>,
    force_quote: Vec<String>,
}

impl Options {
    fn option(&mut self, option: &CopyOption) -> Result<(), Error> {
        match option {
            CopyOption::Format(name) => match fold(name).as_str() {
                "csv" => self.csv = true,
                "text" => self.csv = false,
                "binary" => return Err(unsupported("COPY in binary format is not supported")),
                other => {
                    return Err(invalid(format!("COPY format \"{other}\" not recognized")));
                }
            },
            CopyOption::Delimiter(it) => self.delimiter = Some(*it),
            CopyOption::Null(it) => self.null = Some(it.clone()),
            CopyOption::Header(it) => self.header = *it,
            CopyOption::Quote(it) => self.quote = Some(*it),
            CopyOption::Escape(it) => self.escape = Some(*it),
            CopyOption::ForceQuote(names) => self.force_quote = names.iter().map(fold).collect(),
            CopyOption::Encoding(name)
                if matches!(name.to_lowercase().as_str(), "utf8" | "utf-8") => {}
            other => return Err(unsupported(format!("COPY option {other} is not supported"))),
        }
        Ok(())
    }

    fn legacy(&mut self, option: &CopyLegacyOption) -> Result<(), Error> {
        match option {
            CopyLegacyOption::Delimiter(it) => self.delimiter = Some(*it),
            CopyLegacyOption::Null(it) => self.null = Some(it.clone()),
            CopyLegacyOption::Header => self.header = true,
            CopyLegacyOption::Csv(options) => {
                self.csv = true;
                for option in options {
                    match option {
                        CopyLegacyCsvOption::Header => self.header = true,
                        CopyLegacyCsvOption::Quote(it) => self.quote = Some(*it),
                        CopyLegacyCsvOption::Escape(it) => self.escape = Some(*it),
                        CopyLegacyCsvOption::ForceQuote(names) => {
                            self.force_quote = names.iter().map(fold).collect();
                        }
                        CopyLegacyCsvOption::ForceNotNull(_) => {
                            return Err(unsupported("COPY option FORCE NOT NULL is not supported"));
                        }
                    }
                }
            }
            other => return Err(unsupported(format!("COPY option {other} is not supported"))),
        }
        Ok(())
    }

    fn finish(self) -> Result<CopyOut, Error> {
        let csv = self.csv;
        if !csv && (self.quote.is_some() || self.escape.is_some() || !self.force_quote.is_empty()) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "COPY quote, escape and force quote are available only in CSV mode",
            )
            .with_sqlstate("0A000"));
        }
        let delimiter = byte(self.delimiter, if csv { b',' } else { b'\t' }, "delimiter")?;
        let quote = byte(self.quote, b'"', "quote")?;
        let escape = byte(self.escape, quote, "escape")?;
        let null = self.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() });
        if null.contains(['\r', '\n']) {
            return Err(invalid("COPY null representation cannot use newline or carriage return"));
        }
        if null.as_bytes().contains(&delimiter) {
            return Err(invalid("COPY delimiter must not appear in the NULL specification"));
        }
        if csv && delimiter == quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        if !csv && (delimiter.is_ascii_alphanumeric() || matches!(delimiter, b'\\' | b'.')) {
            let shown = char::from(delimiter);
            return Err(invalid(format!("COPY delimiter cannot be \"{shown}\"")));
        }
        let format = if csv {
            CopyFormat::Csv { quote, escape, force_quote: self.force_quote }
        } else {
            CopyFormat::Text
        };
        Ok(CopyOut { format, delimiter, null, header: self.header })
    }
}

fn byte(wanted: Option<char>, default: u8, what: &str) -> Result<u8, Error> {
    let Some(wanted) = wanted else { return Ok(default) };
    match u8::try_from(wanted) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'\r' | b'\n' | 0) => Ok(byte),
        _ => Err(invalid(format!("COPY {what} must be a single one-byte character"))),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_sqlstate("22023")
}

/// The query whose rows are written.
pub(crate) fn query(source: &CopySource) -> Query {
    match source {
        CopySource::Query(query) => (**query).clone(),
        CopySource::Table { table_name, columns } => table(table_name, columns),
    }
}

fn table(name: &ObjectName, columns: &[Ident]) -> Query {
    let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    let named = columns.iter().map(|it| SelectItem::UnnamedExpr(Expr::Identifier(it.clone())));
    let projection = if columns.is_empty() { vec![all] } else { named.collect() };
    let relation = TableFactor::Table {
        name: name.clone(),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    };
    let from = vec![TableWithJoins { relation, joins: Vec::new() }];
    query_of(Select { projection, from, ..empty_select() })
}
