//! Types of config values and what they may be.

use std::fmt;

/// Type of a config value; [`ConfigType::code`] is DescribeConfigs' number (KIP-569).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl ConfigType {
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }
}

/// What values a config takes beyond its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Any,
    AtLeast(i64),
    /// Inclusive.
    Between(i64, i64),
    /// A number from 0 to 1.
    Ratio,
    OneOf(&'static [&'static str]),
    /// A list of these.
    ListOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
}

/// A refused configuration change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// INVALID_CONFIG, 40.
    InvalidConfig(String),
    /// INVALID_REQUEST, 42.
    InvalidRequest(String),
}

impl ConfigError {
    /// The Kafka error code.
    #[must_use]
    pub fn code(&self) -> i16 {
        match self {
            Self::InvalidConfig(_) => 40,
            Self::InvalidRequest(_) => 42,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::InvalidConfig(message) | Self::InvalidRequest(message)) = self;
        f.write_str(message)
    }
}

impl std::error::Error for ConfigError {}

/// Checks `value` of the config `name`.
///
/// # Errors
/// INVALID_CONFIG with Kafka's wording.
pub(super) fn check(
    name: &str,
    kind: ConfigType,
    rule: Rule,
    value: &str,
) -> Result<(), ConfigError> {
    let problem = check_type(kind, value).or_else(|| check_rule(rule, value));
    match problem {
        None => Ok(()),
        Some(problem) => {
            let shown: String = value.chars().take(100).collect();
            Err(ConfigError::InvalidConfig(format!(
                "Invalid value {shown} for configuration {name}: {problem}"
            )))
        }
    }
}

fn check_type(kind: ConfigType, value: &str) -> Option<String> {
    let value = value.trim();
    let (fits, name) = match kind {
        ConfigType::Boolean => {
            let fits = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
            return (!fits).then(|| "Expected value to be either true or false".into());
        }
        ConfigType::Int => (value.parse::<i32>().is_ok(), "INT"),
        ConfigType::Short => (value.parse::<i16>().is_ok(), "SHORT"),
        ConfigType::Long => (value.parse::<i64>().is_ok(), "LONG"),
        ConfigType::Double => (value.parse::<f64>().is_ok_and(f64::is_finite), "DOUBLE"),
        ConfigType::String | ConfigType::List | ConfigType::Class | ConfigType::Password => {
            return None;
        }
    };
    (!fits).then(|| format!("Not a number of type {name}"))
}

fn check_rule(rule: Rule, value: &str) -> Option<String> {
    let number = || value.trim().parse::<i64>().ok();
    let below = |min: i64| number().is_some_and(|number| number < min);
    let above = |max: i64| number().is_some_and(|number| number > max);
    match rule {
        Rule::Any => None,
        Rule::AtLeast(min) | Rule::Between(min, _) if below(min) => {
            Some(format!("Value must be at least {min}"))
        }
        Rule::Between(_, max) if above(max) => Some(format!("Value must be no more than {max}")),
        Rule::AtLeast(_) | Rule::Between(..) => None,
        Rule::Ratio => match value.trim().parse::<f64>() {
            Ok(ratio) if ratio < 0.0 => Some("Value must be at least 0".into()),
            Ok(ratio) if ratio > 1.0 => Some("Value must be no more than 1".into()),
            _ => None,
        },
        Rule::OneOf(allowed) => one_of(allowed, value),
        Rule::ListOf(allowed) => {
            let mut values = split_list(value).peekable();
            if values.peek().is_none() {
                return Some("Configuration must not be empty".into());
            }
            values.find_map(|value| one_of(allowed, value))
        }
        Rule::ThrottledReplicas => {
            let pair = |part: &str| {
                let number = |text: &str| text.parse::<u32>().is_ok();
                part.split_once(':').is_some_and(|(a, b)| number(a) && number(b))
            };
            let fits = value.trim() == "*" || split_list(value).all(pair);
            (!fits).then(|| {
                "Must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                    .into()
            })
        }
    }
}

fn one_of(allowed: &[&str], value: &str) -> Option<String> {
    let fits = allowed.contains(&value);
    (!fits).then(|| format!("String must be one of: {}", allowed.join(", ")))
}

/// The elements of a list value.
pub(super) fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty())
}
