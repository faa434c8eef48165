//! The configuration: typed keys, where they may come from, and where each value came from.
//!
//! Precedence, low to high; a later layer replaces single keys of an earlier one:
//!
//! ```text
//!  built-in ─► /etc/lumadb/lumadb.toml ─► ./lumadb.toml or --config FILE… ─► LUMADB_SECTION__KEY ─► flags, --set a.b=c
//! ```
//!
//! Invariants:
//! - One table ([`SECTIONS`]) holds every key with its text, default, kind and range; the typed [`Config`], the
//!   reference, the example file `config/lumadb.toml` and the checks all come from it.
//! - A key that is not in the table is an error that names the layer it came from and the nearest known key.
//! - A value is checked by its key's [`Kind`] before it is typed, and the error names the layer.
//! - The environment and files are read by [`Sources::of_process`] only; everything else is a function of its arguments.
//!
//! Deliberately absent: live reload (so every key is tagged `restart`), YAML, drop-in directories, cluster settings.

mod keys;
mod kind;
mod load;
mod reference;
mod units;

pub use keys::{
    Config, Http, Kafka, Key, Log, Logging, Node, Pg, Reload, SECTIONS, Section, find_key,
};
pub use kind::Kind;
pub use load::{ConfigError, FileText, Loaded, Override, Sources, load, nearest_key};
pub use reference::{default_toml, explain};
pub use units::{ByteSize, Limit, Span, UnitError};
