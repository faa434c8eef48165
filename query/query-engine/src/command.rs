//! What kind of statement it is: queries are planned, the rest is answered by the session or the catalog.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CloseCursor, ContextModifier, DataType as SqlType, DiscardObject, Expr,
    ObjectType, Reset, Set, Statement, TransactionAccessMode, TransactionMode, Value as SqlValue,
};
use query_api::{Column, CopyOut, DataType, Error};

use crate::cursor::{Declaration, Reach};
use crate::error::unsupported;
use crate::rewrite::{fold, parts};
use crate::{copy, ddl};

/// A classified statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Empty,
    Query,
    Explain {
        analyze: bool,
    },
    /// Appends records.
    Insert,
    Ddl,
    Begin,
    Commit,
    Rollback,
    Savepoint {
        name: String,
    },
    Release {
        name: String,
    },
    RollbackTo {
        name: String,
    },
    /// `None` resets.
    Set {
        name: String,
        value: Option<String>,
        /// To the end of the transaction block.
        local: bool,
    },
    ResetAll,
    DiscardAll,
    Show {
        name: String,
    },
    Declare(Declaration),
    /// Gives a statement a name.
    Prepare {
        name: String,
        /// Of the parameters, as far as they were given.
        types: Vec<DataType>,
    },
    Execute {
        name: String,
    },
    /// `None` forgets all.
    Deallocate {
        name: Option<String>,
    },
    Fetch {
        name: String,
        reach: Reach,
    },
    Move {
        name: String,
        reach: Reach,
    },
    /// `None` closes all.
    Close {
        name: Option<String>,
    },
    Copy(CopyOut),
    /// Understood and without effect here.
    Accepted {
        tag: &'static str,
    },
}

impl Command {
    /// Allowed in a failed block.
    pub(crate) fn ends_transaction(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo { .. })
    }

    pub(crate) fn needs_planning(&self) -> bool {
        matches!(
            self,
            Self::Query | Self::Insert | Self::Explain { .. } | Self::Declare(_) | Self::Copy(_)
        )
    }

    /// What cannot be undone by ROLLBACK.
    pub(crate) fn writes(&self) -> bool {
        matches!(self, Self::Insert | Self::Ddl)
    }

    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Query => "SELECT",
            Self::Explain { .. } => "EXPLAIN",
            Self::Insert => "INSERT",
            Self::Ddl => "CREATE TABLE",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback | Self::RollbackTo { .. } => "ROLLBACK",
            Self::Savepoint { .. } => "SAVEPOINT",
            Self::Release { .. } => "RELEASE",
            Self::Set { value: Some(_), .. } => "SET",
            Self::Set { value: None, .. } | Self::ResetAll => "RESET",
            Self::DiscardAll => "DISCARD ALL",
            Self::Show { .. } => "SHOW",
            Self::Declare(_) => "DECLARE CURSOR",
            Self::Prepare { .. } => "PREPARE",
            Self::Execute { .. } => "EXECUTE",
            Self::Deallocate { name: Some(_) } => "DEALLOCATE",
            Self::Deallocate { name: None } => "DEALLOCATE ALL",
            Self::Fetch { .. } => "FETCH",
            Self::Move { .. } => "MOVE",
            Self::Close { name: Some(_) } => "CLOSE CURSOR",
            Self::Close { name: None } => "CLOSE CURSOR ALL",
            Self::Copy(_) => "COPY",
            Self::Accepted { tag } => tag,
        }
    }
}

/// Result columns of commands that are not planned.
pub(crate) fn columns(command: &Command) -> Vec<Column> {
    let column = |name: &str| Column { name: name.to_owned(), data_type: DataType::Text };
    match command {
        Command::Show { name } if name == "all" => {
            vec![column("name"), column("setting"), column("description")]
        }
        Command::Show { name } => vec![column(match name.as_str() {
            "datestyle" => "DateStyle",
            "intervalstyle" => "IntervalStyle",
            "timezone" => "TimeZone",
            other => other,
        })],
        _ => Vec::new(),
    }
}

/// # Errors
/// 0A000 for what is not built.
pub(crate) fn classify(statement: &Statement) -> Result<Command, Error> {
    Ok(match statement {
        Statement::Query(_) => Command::Query,
        Statement::Explain { analyze, .. } => Command::Explain { analyze: *analyze },
        Statement::Insert(_) => Command::Insert,
        Statement::CreateTable(_) => Command::Ddl,
        Statement::Drop { object_type: ObjectType::Table, .. } => Command::Ddl,
        Statement::StartTransaction { .. } => Command::Begin,
        Statement::Commit { .. } => Command::Commit,
        Statement::Rollback { savepoint: None, .. } => Command::Rollback,
        Statement::Rollback { savepoint: Some(name), .. } => {
            Command::RollbackTo { name: fold(name) }
        }
        Statement::Savepoint { name } => Command::Savepoint { name: fold(name) },
        Statement::ReleaseSavepoint { name } => Command::Release { name: fold(name) },
        Statement::Set(set) => set_command(set)?,
        Statement::Reset(reset) => match &reset.reset {
            Reset::ALL => Command::ResetAll,
            Reset::ConfigurationParameter(name) => Command::Set {
                name: parts(name).join(".").to_lowercase(),
                value: None,
                local: false,
            },
        },
        Statement::Discard { object_type: DiscardObject::ALL } => Command::DiscardAll,
        Statement::Discard { .. } => Command::Accepted { tag: "DISCARD" },
        Statement::Deallocate { name, .. } => {
            let is_all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
            Command::Deallocate { name: (!is_all).then(|| fold(name)) }
        }
        Statement::Prepare { name, data_types, .. } => {
            let types: Result<Vec<DataType>, Error> = data_types.iter().map(parameter).collect();
            Command::Prepare { name: fold(name), types: types? }
        }
        Statement::Execute { name: Some(name), immediate: false, into, using, .. }
            if into.is_empty() && using.is_empty() =>
        {
            Command::Execute { name: parts(name).join(".") }
        }
        Statement::UNLISTEN { .. } => Command::Accepted { tag: "UNLISTEN" },
        Statement::ShowVariable { variable } => {
            let words: Vec<String> = variable.iter().map(|it| it.value.to_lowercase()).collect();
            let name = match words.join(" ").as_str() {
                "transaction isolation level" => "transaction_isolation".to_owned(),
                "time zone" => "timezone".to_owned(),
                _ => words.join("."),
            };
            Command::Show { name }
        }
        Statement::Declare { stmts } => Command::Declare(Declaration::new(stmts)?),
        Statement::Close { cursor: CloseCursor::All } => Command::Close { name: None },
        Statement::Close { cursor: CloseCursor::Specific { name } } => {
            Command::Close { name: Some(fold(name)) }
        }
        Statement::Copy { .. } => Command::Copy(copy::options(statement)?),
        Statement::Update(_) | Statement::Delete(_) | Statement::Truncate(_) => {
            return Err(unsupported(
                "a topic is append-only: UPDATE, DELETE and TRUNCATE are not supported",
            )
            .with_hint("produce a newer record, or set the topic's retention"));
        }
        other => {
            let shown = other.to_string();
            let words: Vec<&str> = shown.split_whitespace().take(2).collect();
            return Err(unsupported(format!("{} is not supported", words.join(" "))));
        }
    })
}

/// The type of a parameter of PREPARE.
fn parameter(sql_type: &SqlType) -> Result<DataType, Error> {
    match sql_type {
        SqlType::Custom(name, _) if parts(name) == ["unknown"] => Ok(DataType::Unknown),
        SqlType::Array(
            ArrayElemTypeDef::SquareBracket(item, _) | ArrayElemTypeDef::AngleBracket(item),
        ) => Ok(DataType::Array(Box::new(parameter(item)?))),
        other => ddl::data_type(other),
    }
}

fn set_command(set: &Set) -> Result<Command, Error> {
    let command = match set {
        Set::SingleAssignment { variable, values, scope, .. } => {
            let name = parts(variable).join(".").to_lowercase();
            if matches!(scope, Some(ContextModifier::Global)) {
                return Err(unsupported("SET GLOBAL is not supported"));
            }
            let values: Vec<String> = values.iter().map(setting_value).collect();
            let value = match values.join(", ") {
                value if value.eq_ignore_ascii_case("default") => None,
                value => Some(value),
            };
            Command::Set { name, value, local: matches!(scope, Some(ContextModifier::Local)) }
        }
        Set::SetTimeZone { local, value } => {
            let value = setting_value(value);
            let reset =
                value.eq_ignore_ascii_case("default") || value.eq_ignore_ascii_case("local");
            let value = (!reset).then_some(value);
            Command::Set { name: "timezone".to_owned(), value, local: *local }
        }
        Set::SetNames { .. } | Set::SetNamesDefault { .. } => Command::Accepted { tag: "SET" },
        Set::SetTransaction { session: true, modes, .. } => session_modes(modes),
        // Statements read one snapshot whatever the level asked for, which is at least as strong.
        Set::SetTransaction { .. } | Set::SetSessionAuthorization(_) | Set::SetRole { .. } => {
            Command::Accepted { tag: "SET" }
        }
        _ => return Err(unsupported("this form of SET is not supported")),
    };
    Ok(command)
}

/// `SET SESSION CHARACTERISTICS AS TRANSACTION …`: the last access mode stands, as in PostgreSQL.
fn session_modes(modes: &[TransactionMode]) -> Command {
    let access = modes.iter().rev().find_map(|mode| match mode {
        TransactionMode::AccessMode(TransactionAccessMode::ReadOnly) => Some("on"),
        TransactionMode::AccessMode(TransactionAccessMode::ReadWrite) => Some("off"),
        TransactionMode::IsolationLevel(_) => None,
    });
    match access {
        Some(value) => Command::Set {
            name: "default_transaction_read_only".to_owned(),
            value: Some(value.to_owned()),
            local: false,
        },
        None => Command::Accepted { tag: "SET" },
    }
}

fn setting_value(expr: &Expr) -> String {
    match expr {
        Expr::Value(value) => match &value.value {
            SqlValue::SingleQuotedString(text) | SqlValue::EscapedStringLiteral(text) => {
                text.clone()
            }
            other => other.to_string(),
        },
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string(),
    }
}
