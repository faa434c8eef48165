//! Layers of values, merged by figment, each value with its origin.
//!
//! Values of the environment and of flags are text; the key's kind decides whether `5` is a number or a name. A
//! name `LUMADB_X` without a double underscore is not a key and is left alone, unless it is one but for that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::keys::{Config, Key, SECTIONS, find_key};
use crate::reference::default_toml;
use crate::units::ByteSize;

/// A configuration file that was read.
#[derive(Clone, Debug)]
pub struct FileText {
    pub path: PathBuf,
    pub text: String,
}

/// One value from the command line.
#[derive(Clone, Debug)]
pub struct Override {
    /// `section.key`.
    pub path: String,
    pub value: String,
    /// What the user wrote: `--kafka`, `--set`.
    pub flag: String,
}

/// Everything the configuration may come from, in rising precedence.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub files: Vec<FileText>,
    /// Name and value of environment variables; others than `LUMADB_*` are ignored.
    pub env: Vec<(String, String)>,
    pub overrides: Vec<Override>,
}

/// Why the configuration cannot be used. Every message names the origin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("cannot read configuration file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("cannot parse {origin}: {message}")]
    Syntax { origin: String, message: String },
    #[error("unknown key {key} in {origin}{}", suggestion.as_ref().map(|s| format!("; did you mean {s}?")).unwrap_or_default())]
    UnknownKey { key: String, origin: String, suggestion: Option<String> },
    #[error("{key} = {value:?} from {origin}: expected {expected}")]
    Value { key: String, value: String, origin: String, expected: String },
    #[error("{0}")]
    Conflict(String),
    #[error("cannot type the configuration: {0}")]
    Typed(String),
}

/// The configuration and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    origins: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
}

impl Loaded {
    /// Where the value of `section.key` came from: `default`, `file F`, `env NAME`, `flag F`.
    #[must_use]
    pub fn origin(&self, path: &str) -> &str {
        self.origins.get(path).map_or("default", String::as_str)
    }

    /// The value of `section.key` in textual form.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<&str> {
        self.values.get(path).map(String::as_str)
    }

    /// Whether nobody set the key.
    #[must_use]
    pub fn is_default(&self, path: &str) -> bool {
        !self.origins.contains_key(path)
    }
}

const SYSTEM_FILE: &str = "/etc/lumadb/lumadb.toml";
const LOCAL_FILE: &str = "lumadb.toml";

impl Sources {
    /// Reads the files and the environment of this process. Without `--config` the files are the system's and the
    /// working directory's, where they exist; with it, the named files replace the latter and must exist.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`].
    pub fn of_process(config: &[PathBuf], overrides: Vec<Override>) -> Result<Self, ConfigError> {
        let mut files = Vec::new();
        files.extend(read_file(Path::new(SYSTEM_FILE), false)?);
        if config.is_empty() {
            files.extend(read_file(Path::new(LOCAL_FILE), false)?);
        }
        for path in config {
            files.extend(read_file(path, true)?);
        }
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self { files, env, overrides })
    }
}

fn read_file(path: &Path, required: bool) -> Result<Option<FileText>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(FileText { path: path.to_owned(), text })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    }
}

/// One layer as figment sees it; its name is the origin.
struct Layer {
    origin: String,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}

/// Merges the sources, checks every value and types the result.
///
/// # Errors
/// The first wrong file, key or value in rising precedence.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut layers = Vec::new();
    for file in &sources.files {
        layers.push(toml_layer(format!("file {}", file.path.display()), &file.text)?);
    }
    for (name, value) in &sources.env {
        let Some(path) = env_path(name) else {
            if let Some(key) = meant_by(name) {
                let (key_name, origin) = (env_name(key), "the environment".to_owned());
                return Err(ConfigError::UnknownKey {
                    key: name.clone(),
                    origin,
                    suggestion: Some(key_name),
                });
            }
            continue;
        };
        layers.push(text_layer(format!("env {name}"), &path, value)?);
    }
    for set in &sources.overrides {
        layers.push(text_layer(format!("flag {}", set.flag), &set.path, &set.value)?);
    }

    let mut figment = Figment::from(toml_layer("default".to_owned(), &default_toml())?);
    for layer in layers {
        figment = figment.merge(layer);
    }
    let config: Config =
        figment.extract().map_err(|error| ConfigError::Typed(error.to_string()))?;

    let mut loaded = Loaded { config, origins: BTreeMap::new(), values: BTreeMap::new() };
    for key in SECTIONS.iter().flat_map(|section| section.keys) {
        let path = key.path();
        let value =
            figment.find_value(&path).map_err(|error| ConfigError::Typed(error.to_string()))?;
        loaded.values.insert(path.clone(), shown(&value));
        let origin = figment.find_metadata(&path).map(|metadata| metadata.name.to_string());
        if let Some(origin) = origin.filter(|origin| origin != "default") {
            loaded.origins.insert(path, origin);
        }
    }
    check_across(&loaded.config)?;
    Ok(loaded)
}

/// Rules that concern two keys.
fn check_across(config: &Config) -> Result<(), ConfigError> {
    let (message, request) = (config.log.message_bytes_max, config.kafka.request_bytes_max);
    if message > request {
        return Err(ConfigError::Conflict(format!(
            "log.message_bytes_max ({message}) is above kafka.request_bytes_max ({request}): such a batch could never be sent"
        )));
    }
    let (segment, two) = (config.log.segment_bytes, ByteSize(message.0.saturating_mul(2)));
    if two > segment {
        return Err(ConfigError::Conflict(format!(
            "log.message_bytes_max ({message}) is above half of log.segment_bytes ({segment}): such a batch could never be \
             stored; set log.segment_bytes to {two} or more, or log.message_bytes_max to {} or less",
            ByteSize(segment.0 / 2)
        )));
    }
    Ok(())
}

/// `LUMADB_KAFKA__ADDR` is `kafka.addr`.
fn env_path(name: &str) -> Option<String> {
    let (section, key) = name.strip_prefix("LUMADB_")?.split_once("__")?;
    Some(format!("{}.{}", section.to_lowercase(), key.to_lowercase()))
}

/// `kafka.addr` is `LUMADB_KAFKA__ADDR`.
fn env_name(key: &Key) -> String {
    format!("LUMADB_{}__{}", key.section.to_uppercase(), key.name.to_uppercase())
}

/// The key whose variable is written with one underscore too few.
fn meant_by(name: &str) -> Option<&'static Key> {
    let same = |key: &&Key| env_name(key).replacen("__", "_", 1) == name;
    SECTIONS.iter().flat_map(|section| section.keys).find(same)
}

fn toml_layer(origin: String, text: &str) -> Result<Layer, ConfigError> {
    let syntax = |error: figment::Error| ConfigError::Syntax {
        origin: origin.clone(),
        message: error.to_string().trim_end().to_owned(),
    };
    let mut data = Toml::string(text).data().map_err(syntax)?;
    let dict = data.remove(&Profile::Default).unwrap_or_default();
    for (section, value) in &dict {
        let Some(table) = value.as_dict() else { return Err(unknown(section, &origin)) };
        for (name, value) in table {
            let key = known_key(&format!("{section}.{name}"), &origin)?;
            check(key, &shown(value), &origin)?;
        }
    }
    Ok(Layer { origin, dict })
}

fn text_layer(origin: String, path: &str, text: &str) -> Result<Layer, ConfigError> {
    let key = known_key(path, &origin)?;
    check(key, text, &origin)?;
    // A bare kind was checked above, so figment's own reading of the text gives the number or the truth value.
    let parsed = if key.kind.bare() { text.parse::<Value>().ok() } else { None };
    let value = parsed.unwrap_or_else(|| Value::from(text));
    let dict = Dict::from([(
        key.section.to_owned(),
        Value::from(Dict::from([(key.name.to_owned(), value)])),
    )]);
    Ok(Layer { origin, dict })
}

fn check(key: &Key, text: &str, origin: &str) -> Result<(), ConfigError> {
    key.kind.check(text).map_err(|expected| ConfigError::Value {
        key: key.path(),
        value: text.chars().take(100).collect(),
        origin: origin.to_owned(),
        expected,
    })
}

fn known_key(path: &str, origin: &str) -> Result<&'static Key, ConfigError> {
    find_key(path).ok_or_else(|| unknown(path, origin))
}

fn unknown(path: &str, origin: &str) -> ConfigError {
    ConfigError::UnknownKey {
        key: path.chars().take(100).collect(),
        origin: origin.to_owned(),
        suggestion: nearest_key(path),
    }
}

/// The key that `path` may have been meant to be, as `section.key`.
#[must_use]
pub fn nearest_key(path: &str) -> Option<String> {
    /// Below this similarity (0 to 1) a suggestion would be a guess.
    const SIMILARITY_MIN: f64 = 0.7;
    let best = SECTIONS
        .iter()
        .flat_map(|section| section.keys)
        .map(|key| (strsim::jaro_winkler(path, &key.path()), key.path()))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(similarity, _)| *similarity >= SIMILARITY_MIN).map(|(_, key)| key)
}

/// A value as a person would write it, without quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Char(_, c) => c.to_string(),
        Value::Bool(_, fact) => fact.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map(|n| n.to_string())
            .or_else(|| number.to_u128_lossy().map(|n| n.to_string()))
            .or_else(|| number.to_f64().map(|n| n.to_string()))
            .unwrap_or_default(),
        Value::Empty(..) => String::new(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
    }
}

#[cfg(test)]
mod tests;
