//! StartupMessage: who connects to what, with which settings, and the messages that open the session.
//!
//! Source: PostgreSQL 15, "Start-up". Authentication is trust: AuthenticationOk is the first answer.

use bytes::BytesMut;

use crate::codec::{self, Report, excerpt};
use crate::error;
use crate::session::Session;

/// A StartupMessage's contents.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) application_name: String,
    /// Run-time settings in the order given, `options` first.
    pub(crate) settings: Vec<(String, String)>,
    /// `_pq_.` options; none is known.
    pub(crate) protocol_options: Vec<String>,
}

impl Start {
    /// # Errors
    /// FATAL 28000 without a user, 0A000 for replication, 22023 for an encoding that is not UTF-8, 42601 for
    /// malformed `options`, 3D000 for a database that does not exist.
    pub(crate) fn read(parameters: Vec<(String, String)>) -> Result<Self, Report> {
        let mut start = Self {
            user: String::new(),
            database: String::new(),
            application_name: String::new(),
            settings: Vec::new(),
            protocol_options: Vec::new(),
        };
        let mut later = Vec::new();
        for (name, value) in parameters {
            match name.as_str() {
                "user" => start.user = value,
                "database" => start.database = value,
                "options" => start.settings.extend(read_options(&value)?),
                "replication" => refuse_replication(&value)?,
                _ if name.starts_with("_pq_.") => start.protocol_options.push(name),
                _ => later.push((name, value)),
            }
        }
        start.settings.append(&mut later);
        let mut settings = Vec::with_capacity(start.settings.len());
        for (name, value) in std::mem::take(&mut start.settings) {
            match name.to_ascii_lowercase().as_str() {
                "application_name" => start.application_name = value,
                "client_encoding" => check_encoding(&value)?,
                _ => settings.push((name, value)),
            }
        }
        start.settings = settings;
        if start.user.is_empty() {
            return Err(Report::fatal(
                "28000",
                "no PostgreSQL user name specified in startup packet",
            ));
        }
        if start.database.is_empty() {
            start.database.clone_from(&start.user);
        }
        if !query_api::databases(&start.user).contains(&start.database.as_str()) {
            let message = format!("database \"{}\" does not exist", excerpt(&start.database));
            return Err(Report::fatal("3D000", message));
        }
        Ok(start)
    }
}

fn refuse_replication(value: &str) -> Result<(), Report> {
    match value.to_ascii_lowercase().as_str() {
        "false" | "off" | "no" | "0" | "f" | "n" => Ok(()),
        _ => Err(Report::fatal("0A000", "replication connections are not supported")),
    }
}

/// Text is UTF-8 on both sides; `SQL_ASCII` means "send what you have" and so is UTF-8 too.
fn check_encoding(value: &str) -> Result<(), Report> {
    let plain: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    match plain.as_str() {
        "utf8" | "unicode" | "sqlascii" => Ok(()),
        _ => {
            let mut report = Report::fatal(
                "22023",
                format!("invalid value for parameter \"client_encoding\": \"{}\"", excerpt(value)),
            );
            report.hint = Some("Use client_encoding UTF8.".to_owned());
            Err(report)
        }
    }
}

/// Command-line switches: `-c name=value`, `-cname=value` and `--name=value`; a backslash keeps a space.
fn read_options(text: &str) -> Result<Vec<(String, String)>, Report> {
    let mut settings = Vec::new();
    let mut words = split_words(text).into_iter();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next().ok_or_else(|| bad_option(&word))?
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_owned()
        } else {
            return Err(bad_option(&word));
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| bad_option(&setting))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn bad_option(word: &str) -> Report {
    Report::fatal(
        "42601",
        format!("invalid command-line argument for server process: {}", excerpt(word)),
    )
}

fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(letter) = chars.next() {
        match letter {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Applies the client's settings as `SET` statements would; an error of the engine refuses the connection.
///
/// # Errors
/// FATAL with the engine's code.
pub(crate) async fn settle(session: &mut Session, start: &Start) -> Result<(), Report> {
    for (name, value) in &start.settings {
        let sql = format!("SET {} = '{}'", quote_name(name), value.replace('\'', "''"));
        let result = match session.sql.prepare(&sql, &[]).await {
            Ok((id, _)) => {
                let result = session.sql.execute(id, Vec::new()).await;
                session.sql.close(id);
                result.map(|_| ())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let report = error::report(error, "");
            return Err(Report { severity: codec::Severity::Fatal, position: None, ..report });
        }
    }
    Ok(())
}

/// A setting's name as SQL takes it: parts joined by dots, quoted unless they are plain words.
fn quote_name(name: &str) -> String {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|letter: char| letter.is_ascii_digit())
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let quote = |part: &str| {
        if plain(part) { part.to_owned() } else { format!("\"{}\"", part.replace('"', "\"\"")) }
    };
    name.split('.').map(quote).collect::<Vec<_>>().join(".")
}

/// Everything from AuthenticationOk to the first ReadyForQuery.
pub(crate) fn answer(
    session: &mut Session,
    start: &Start,
    minor: u16,
    (process_id, secret): (i32, i32),
    out: &mut BytesMut,
) {
    if minor > 0 || !start.protocol_options.is_empty() {
        let unknown: Vec<&str> = start.protocol_options.iter().map(String::as_str).collect();
        codec::negotiate_protocol_version(out, &unknown);
    }
    codec::authentication_ok(out);
    for (name, value) in statuses(session, start) {
        codec::parameter_status(out, &name, &value);
    }
    codec::backend_key_data(out, process_id, secret);
    session.ready(out);
}

/// The settings every client is told; the engine's own values win.
fn statuses(session: &Session, start: &Start) -> Vec<(String, String)> {
    let defaults: [(&str, &str); 13] = [
        ("application_name", &start.application_name),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("default_transaction_read_only", "off"),
        ("in_hot_standby", "off"),
        ("integer_datetimes", "on"),
        ("IntervalStyle", "postgres"),
        ("is_superuser", "on"),
        ("server_encoding", "UTF8"),
        ("server_version", &session.options.server_version),
        ("session_authorization", &start.user),
        ("standard_conforming_strings", "on"),
        ("TimeZone", "UTC"),
    ];
    let mut statuses: Vec<(String, String)> =
        defaults.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for (name, value) in session.sql.startup_parameters() {
        match statuses.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            Some((_, known)) => *known = value,
            None => statuses.push((name, value)),
        }
    }
    statuses
}

#[cfg(test)]
mod tests;
