//! Session settings: PostgreSQL's that clients set and read, and `luma.*`.
//!
//! Invariants:
//! - Unknown names with a dot are accepted as they are in PostgreSQL (custom options), other unknown names are 42704.
//! - A setting that would change an answer is applied or refused; what is ignored makes no difference, or is warned of
//!   ([`unapplied`]).
//! - Clients are told at once about the reported settings that change ([`REPORTED`]).

mod values;

use std::collections::BTreeMap;

use query_api::{Error, ErrorKind, Timeouts};

use crate::bad::BadRecordPolicy;

/// Name, default, description. <https://www.postgresql.org/docs/15/runtime-config.html>
pub(crate) const SETTINGS: [(&str, &str, &str); 39] = [
    ("application_name", "", "Sets the application name to be reported in statistics and logs."),
    ("bytea_output", "hex", "Sets the output format for bytea."),
    ("client_encoding", "UTF8", "Sets the client's character set encoding."),
    ("client_min_messages", "notice", "Sets the message levels that are sent to the client."),
    ("datestyle", "ISO, MDY", "Sets the display format for date and time values."),
    ("default_table_access_method", "heap", "Sets the default table access method for new tables."),
    (
        "default_transaction_deferrable",
        "off",
        "Sets the default deferrable status of new transactions.",
    ),
    (
        "default_transaction_isolation",
        "repeatable read",
        "Sets the transaction isolation level of each new transaction.",
    ),
    (
        "default_transaction_read_only",
        "off",
        "Sets the default read-only status of new transactions.",
    ),
    ("escape_string_warning", "on", "Warn about backslash escapes in ordinary string literals."),
    ("extra_float_digits", "1", "Sets the number of digits displayed for floating-point values."),
    (
        "idle_in_transaction_session_timeout",
        "0",
        "Sets the maximum allowed idle time between queries, when in a transaction.",
    ),
    ("in_hot_standby", "off", "Shows whether hot standby is currently active."),
    ("integer_datetimes", "on", "Shows whether datetimes are integer based."),
    ("intervalstyle", "postgres", "Sets the display format for interval values."),
    ("is_superuser", "on", "Shows whether the current user is a superuser."),
    ("jit", "off", "Allow JIT compilation."),
    ("lc_collate", "C.UTF-8", "Shows the collation order locale."),
    ("lc_ctype", "C.UTF-8", "Shows the character classification and case conversion locale."),
    ("lc_messages", "C.UTF-8", "Sets the language in which messages are displayed."),
    ("lc_monetary", "C.UTF-8", "Sets the locale for formatting monetary amounts."),
    ("lc_numeric", "C.UTF-8", "Sets the locale for formatting numbers."),
    ("lc_time", "C.UTF-8", "Sets the locale for formatting date and time values."),
    ("lock_timeout", "0", "Sets the maximum allowed duration of any wait for a lock."),
    (
        "luma.on_bad_record",
        "skip",
        "What a query does with a record it cannot decode: skip (NULLs and a notice) or fail.",
    ),
    ("max_identifier_length", "63", "Shows the maximum identifier length."),
    ("max_index_keys", "32", "Shows the maximum number of index keys."),
    ("row_security", "on", "Enable row security."),
    (
        "search_path",
        "\"$user\", public",
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    ("server_encoding", "UTF8", "Shows the server (database) character set encoding."),
    (
        "server_version",
        concat!("15.0 (LumaDB ", env!("CARGO_PKG_VERSION"), ")"),
        "Shows the server version.",
    ),
    ("server_version_num", "150000", "Shows the server version as an integer."),
    ("session_authorization", "luma", "Sets the session user name."),
    ("standard_conforming_strings", "on", "Causes '...' strings to treat backslashes literally."),
    ("statement_timeout", "0", "Sets the maximum allowed duration of any statement."),
    ("synchronous_commit", "on", "Sets the current transaction's synchronization level."),
    ("timezone", "UTC", "Sets the time zone for displaying and interpreting time stamps."),
    ("transaction_isolation", "repeatable read", "Sets the current transaction's isolation level."),
    ("transaction_read_only", "off", "Sets the current transaction's read-only status."),
];

/// Reported by `ParameterStatus`, under the names clients expect.
const REPORTED: [(&str, &str); 13] = [
    ("server_version", "server_version"),
    ("server_encoding", "server_encoding"),
    ("client_encoding", "client_encoding"),
    ("datestyle", "DateStyle"),
    ("intervalstyle", "IntervalStyle"),
    ("timezone", "TimeZone"),
    ("integer_datetimes", "integer_datetimes"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("is_superuser", "is_superuser"),
    ("session_authorization", "session_authorization"),
    ("application_name", "application_name"),
    ("default_transaction_read_only", "default_transaction_read_only"),
    ("in_hot_standby", "in_hot_standby"),
];

const READ_ONLY: [&str; 11] = [
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "lc_collate",
    "lc_ctype",
    "max_identifier_length",
    "max_index_keys",
    "server_encoding",
    "server_version",
    "server_version_num",
    "transaction_isolation",
];

/// Values that differ from the defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// What the session began with, which RESET returns to.
    started: BTreeMap<String, String>,
    changed: BTreeMap<String, String>,
    /// To the end of the transaction block.
    local: BTreeMap<String, String>,
}

impl Settings {
    pub(crate) fn new(user: &str, application_name: &str) -> Self {
        let started = BTreeMap::from([
            ("session_authorization".to_owned(), user.to_owned()),
            ("application_name".to_owned(), application_name.to_owned()),
        ]);
        Self { started, ..Self::default() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let set = self.local.get(&name).or_else(|| self.changed.get(&name));
        set.cloned().or_else(|| self.initial(&name))
    }

    /// What RESET returns to.
    fn initial(&self, name: &str) -> Option<String> {
        let default =
            || SETTINGS.iter().find(|(known, ..)| *known == name).map(|it| it.1.to_owned());
        self.started.get(name).cloned().or_else(default)
    }

    /// Every setting with its value.
    pub(crate) fn all(&self) -> Vec<(String, String, &'static str)> {
        SETTINGS
            .iter()
            .map(|(name, default, text)| {
                ((*name).to_owned(), self.get(name).unwrap_or_else(|| (*default).to_owned()), *text)
            })
            .collect()
    }

    /// Sets, or resets when `value` is `None`, perhaps to the end of the block only; what clients must be told.
    ///
    /// # Errors
    /// 42704 unknown, 55P02 read-only, 22023 bad value.
    pub(crate) fn set(
        &mut self,
        name: &str,
        value: Option<String>,
        local: bool,
    ) -> Result<Vec<(String, String)>, Error> {
        let name = name.to_lowercase();
        let known = SETTINGS.iter().any(|(known, ..)| *known == name);
        if !known && !name.contains('.') {
            return Err(unknown(&name));
        }
        if READ_ONLY.contains(&name.as_str()) && value.is_some() && name != "transaction_isolation"
        {
            let message = format!("parameter \"{name}\" cannot be changed");
            return Err(Error::new(ErrorKind::Invalid, message).with_sqlstate("55P02"));
        }
        let value = value.map(|value| values::canonical(&name, value)).transpose()?;
        if local {
            let value = value.or_else(|| self.initial(&name)).unwrap_or_default();
            self.local.insert(name.clone(), value);
        } else {
            self.local.remove(&name);
            match value {
                Some(value) => self.changed.insert(name.clone(), value),
                None => self.changed.remove(&name),
            };
        }
        Ok(self.reported(|it| it == name))
    }

    pub(crate) fn reset_all(&mut self) -> Vec<(String, String)> {
        self.replace(Self { started: self.started.clone(), ..Self::default() })
    }

    /// As they are after the transaction block.
    pub(crate) fn without_local(&self) -> Self {
        Self { local: BTreeMap::new(), ..self.clone() }
    }

    /// Takes other values; what clients must be told.
    pub(crate) fn replace(&mut self, settings: Self) -> Vec<(String, String)> {
        let before = std::mem::replace(self, settings);
        self.reported(|name| before.get(name) != self.get(name))
    }

    /// The reported settings that `wanted` picks.
    pub(crate) fn reported(&self, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        REPORTED
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, shown)| ((*shown).to_owned(), self.get(name).unwrap_or_default()))
            .collect()
    }

    pub(crate) fn on_bad_record(&self) -> BadRecordPolicy {
        match self.get("luma.on_bad_record").as_deref() {
            Some("fail") => BadRecordPolicy::Fail,
            _ => BadRecordPolicy::Skip,
        }
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        let limit = |name| self.get(name).and_then(|text| values::duration(&text));
        Timeouts {
            statement: limit("statement_timeout"),
            idle_in_transaction: limit("idle_in_transaction_session_timeout"),
        }
    }

    /// Whether statements may not write; those that write stand alone, so the default is what counts.
    pub(crate) fn read_only(&self) -> bool {
        self.get("default_transaction_read_only").as_deref() == Some("on")
    }
}

pub(crate) fn unknown(name: &str) -> Error {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    Error::new(ErrorKind::NotFound, message).with_sqlstate("42704")
}

/// A warning for a value that is kept, because drivers send it unasked, but makes no difference.
pub(crate) fn unapplied(name: &str, value: Option<&str>) -> Option<String> {
    let value = value?;
    match name {
        "timezone" if !values::is_utc(value) => Some(format!(
            "WARNING: time zone \"{value}\" is not applied: times are computed and shown in UTC"
        )),
        "search_path" if !values::is_public(value) => Some(format!(
            "WARNING: search_path \"{value}\" is not applied: tables are in schema public"
        )),
        _ => None,
    }
}
