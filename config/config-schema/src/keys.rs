//! Every key: its text, default, kind and tag, and the typed structs made of the same lines.
//!
//! Few keys on purpose: a constant in the code becomes a key when somebody needs to change it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::kind::{Kind, split_host_port};
use crate::units::{ByteSize, Limit, Span};

/// When a change of a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// While the server runs.
    Live,
    /// At the next start.
    Restart,
}

impl Reload {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
        }
    }
}

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    /// Lines of text, each with the leading space of its doc comment.
    pub doc: &'static [&'static str],
    /// The default in textual form, without TOML's quotes.
    pub default: &'static str,
    pub kind: Kind,
    pub reload: Reload,
}

impl Key {
    /// `section.name`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `LUMADB_SECTION__NAME`.
    #[must_use]
    pub fn env(&self) -> String {
        format!("LUMADB_{}__{}", self.section.to_uppercase(), self.name.to_uppercase())
    }
}

/// A TOML table of the configuration.
#[derive(Debug)]
pub struct Section {
    pub name: &'static str,
    pub doc: &'static [&'static str],
    pub keys: &'static [Key],
}

/// Looks a key up by `section.name`.
#[must_use]
pub fn find_key(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.')?;
    let section = SECTIONS.iter().find(|known| known.name == section)?;
    section.keys.iter().find(|key| key.name == name)
}

macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Struct:ident {
            $(
                $(#[doc = $key_doc:literal])+
                $key:ident: $Type:ty = $default:literal, $kind:expr, $reload:ident;
            )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $Struct {
                $( $(#[doc = $key_doc])+ pub $key: $Type, )+
            }
        )+

        /// The whole configuration, typed.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Config {
            $( $(#[doc = $section_doc])+ pub $section: $Struct, )+
        }

        /// Every section and key, in the order of the reference.
        pub static SECTIONS: &[Section] = &[$(
            Section {
                name: stringify!($section),
                doc: &[$($section_doc),+],
                keys: &[$(
                    Key {
                        section: stringify!($section),
                        name: stringify!($key),
                        doc: &[$($key_doc),+],
                        default: $default,
                        kind: $kind,
                        reload: Reload::$reload,
                    },
                )+],
            },
        )+];
    };
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

settings! {
    /// The process: where its data lives and what it runs on.
    node: Node {
        /// Directory of the journal and all other state, created when missing. Empty: `$STATE_DIRECTORY` under
        /// systemd, else `$XDG_DATA_HOME/lumadb`, else `~/.local/share/lumadb`.
        data_dir: String = "", Kind::Text, Restart;
        /// Cores to run shards on; 0 takes all that the process may use.
        cores: u32 = "0", Kind::Int { min: 0, max: 1024 }, Restart;
        /// How files are driven. `auto` takes io_uring where the kernel allows it, and a pool of threads (`epoll`) elsewhere.
        reactor: String = "auto", Kind::OneOf(&["auto", "io_uring", "epoll"]), Restart;
        /// Permits addresses beyond loopback although nobody has to log in yet.
        insecure: bool = "false", Kind::Bool, Restart;
    }

    /// The Kafka listener.
    kafka: Kafka {
        /// Address to listen on; port 0 takes a free one.
        addr: SocketAddr = "127.0.0.1:9092", Kind::Addr, Restart;
        /// Host and port that clients are told to connect to. Empty: the address that is listened on, which is of no use to
        /// other machines where that is 0.0.0.0.
        advertised_addr: String = "", Kind::HostPortOrEmpty, Restart;
        /// Connections at one time; one more is closed at once. Each core takes its share.
        connections_max: u32 = "10000", Kind::Int { min: 1, max: 1_000_000 }, Restart;
        /// Connections of one client address at one time; one more is closed at once. Each core takes its share. Raise it
        /// where many clients come from one address: behind a proxy, or as the pods of one node.
        connections_per_address_max: u32 = "1000", Kind::Int { min: 1, max: 1_000_000 }, Restart;
        /// Largest request; a longer one closes the connection.
        request_bytes_max: ByteSize = "100MiB", Kind::Bytes { min: 64 * KIB, max: 1024 * MIB }, Restart;
        /// Memory per core for the bytes of requests in flight, and as much again for what many small elements become;
        /// connections are not read while it is used up.
        request_memory_bytes_max: ByteSize = "256MiB", Kind::Bytes { min: MIB, max: 1024 * GIB }, Restart;
        /// Whether a topic that is asked for and does not exist is created.
        auto_create_topics: bool = "true", Kind::Bool, Restart;
        /// Partitions of a topic created without a number.
        num_partitions: u32 = "1", Kind::Int { min: 1, max: 10_000 }, Restart;
        /// Milliseconds that a new consumer group waits for more members before its first assignment (KIP-134).
        group_initial_rebalance_delay_ms: u32 = "3000", Kind::Int { min: 0, max: 600_000 }, Restart;
        /// Consumer groups that each shard keeps; one more is refused with POLICY_VIOLATION.
        groups_per_shard_max: u32 = "100000", Kind::Int { min: 1, max: 100_000_000 }, Restart;
    }

    /// The PostgreSQL listener.
    pg: Pg {
        /// Address to listen on; port 0 takes a free one.
        addr: SocketAddr = "127.0.0.1:5432", Kind::Addr, Restart;
        /// Connections at one time; one more is refused with SQLSTATE 53300.
        connections_max: u32 = "1000", Kind::Int { min: 1, max: 100_000 }, Restart;
        /// Memory that sorts, joins, aggregates and window functions of one query may take, and as much again what it has
        /// read and what waits for its client; more is SQLSTATE 53200.
        query_memory_bytes_max: ByteSize = "128MiB", Kind::Bytes { min: MIB, max: 1024 * GIB }, Restart;
        /// Memory that all running queries may take together; 256 KiB of each kind are granted to every query beside it.
        memory_bytes_max: ByteSize = "512MiB", Kind::Bytes { min: MIB, max: 1024 * GIB }, Restart;
    }

    /// The HTTP listener: health, metrics, statistics.
    http: Http {
        /// Address to listen on; port 0 takes a free one.
        addr: SocketAddr = "127.0.0.1:8080", Kind::Addr, Restart;
        /// Connections at one time; one more is closed at once. Each holds at most one request head of 16 KiB and one answer,
        /// and 60 s without a request or with an answer that is not read to its end cut it off.
        connections_max: u32 = "256", Kind::Int { min: 1, max: 100_000 }, Restart;
        /// Connections of one client address at one time; one more is closed at once.
        connections_per_address_max: u32 = "64", Kind::Int { min: 1, max: 100_000 }, Restart;
    }

    /// The log: defaults of topics, and the journal beneath them.
    log: Log {
        /// How long records are kept, unless a topic sets `retention.ms`.
        retention: Limit<Span> = "7d", Kind::SpanOrNone { min_ms: 1 }, Restart;
        /// How many bytes of records a partition keeps, unless a topic sets `retention.bytes`.
        retention_bytes: Limit<ByteSize> = "none", Kind::BytesOrNone { min: 1 }, Restart;
        /// Size of a journal segment file. Twice `log.message_bytes_max` fit into it.
        segment_bytes: ByteSize = "64MiB", Kind::Bytes { min: MIB, max: GIB }, Restart;
        /// Largest record batch, unless a topic sets `max.message.bytes`.
        message_bytes_max: ByteSize = "1048588B", Kind::Bytes { min: KIB, max: 64 * MIB }, Restart;
        /// Memory per core for the newest records, from which consumers at the tail are served.
        tail_bytes_max: ByteSize = "64MiB", Kind::Bytes { min: MIB, max: 1024 * GIB }, Restart;
    }

    /// The server's own log messages, on standard error.
    logging: Logging {
        /// `text` for people, `json` for machines.
        format: String = "text", Kind::OneOf(&["text", "json"]), Restart;
        /// Which messages are written: a level, `off` for none, or levels per target such as `info,proto_pg=debug`.
        level: String = "info", Kind::LogFilter, Restart;
    }
}

impl Kafka {
    /// The advertised host and port, when one is set.
    #[must_use]
    pub fn advertised(&self) -> Option<(String, u16)> {
        split_host_port(&self.advertised_addr).map(|(host, port)| (host.to_owned(), port))
    }
}
