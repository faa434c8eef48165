//! The command tree.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use client_kafka::Compression;
use config_schema::{Override, Span};

use crate::format::Format;

/// A streaming database: Kafka clients write and read, SQL queries a moment later.
#[derive(Debug, Parser)]
#[command(name = "lumadb", version)]
pub struct Cli {
    /// Output format of commands that print rows [default: table on a terminal, jsonl elsewhere].
    #[arg(
        long,
        short = 'o',
        global = true,
        value_enum,
        default_value = "auto",
        hide_default_value = true
    )]
    pub format: Format,
    /// Without a command: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (also what lumadb does without a command)
    Serve(ServeArgs),
    /// Run a server with live sample data in a temporary directory that is removed at the end
    Demo(DemoArgs),
    /// Topics
    #[command(subcommand, alias = "topics")]
    Topic(TopicCommand),
    /// Write records read from standard input, one per line
    Produce(ProduceArgs),
    /// Read records
    Consume(ConsumeArgs),
    /// Consumer groups
    #[command(subcommand, alias = "groups")]
    Group(GroupCommand),
    /// SQL shell, scripts with -f, or single statements with -c
    #[command(visible_alias = "connect", disable_help_flag = true)]
    Sql(SqlArgs),
    /// Run SQL statements and print their rows
    #[command(disable_help_flag = true)]
    Query(QueryArgs),
    /// Measure a server through its Kafka port
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Check every checksum and index of a stopped server's data directory
    Verify(VerifyArgs),
    /// Check what this machine offers the server
    Doctor(DoctorArgs),
    /// Configuration: show, explain, default, validate
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version
    Version {
        /// The same as --format json
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script: lumadb completions bash > /etc/bash_completion.d/lumadb
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration file; repeatable, later files win
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Set one key: --set kafka.num_partitions=3; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ConfigArgs {
    /// `--set` flags as configuration values.
    ///
    /// # Errors
    /// One without `=` or without a key.
    pub fn overrides(&self) -> Result<Vec<Override>, String> {
        let one = |set: &String| {
            let (path, value) = set
                .split_once('=')
                .map(|(path, value)| (path.trim(), value))
                .filter(|(path, _)| !path.is_empty())
                .ok_or_else(|| format!("--set {set:?}: expected section.key=value"))?;
            let (path, value) = (path.to_owned(), value.to_owned());
            Ok(Override { path, value, flag: "--set".to_owned() })
        };
        self.set.iter().map(one).collect()
    }
}

#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Directory of all state [default: ~/.local/share/lumadb]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the Kafka listener; port 0 takes a free one [default: 127.0.0.1:9092]
    #[arg(long, value_name = "ADDR")]
    pub kafka: Option<String>,
    /// Address of the PostgreSQL listener [default: 127.0.0.1:5432]
    #[arg(long, value_name = "ADDR")]
    pub pg: Option<String>,
    /// Address of the HTTP listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// auto, io_uring or epoll [default: auto]
    #[arg(long, value_name = "REACTOR")]
    pub reactor: Option<String>,
    /// Cores to use [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32))]
    pub cores: Option<u32>,
    /// Permit addresses beyond loopback although there is no login yet
    #[arg(long)]
    pub insecure: bool,
    /// Write the bound addresses to this file, as JSON, once clients are served
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
}

impl ServeArgs {
    /// Flags as configuration values; a flag wins over `--set`.
    ///
    /// # Errors
    /// A `--set` without `=` or without a key; a directory whose name is not UTF-8, as values of the configuration are.
    pub fn overrides(&self) -> Result<Vec<Override>, String> {
        let mut all = self.config.overrides()?;
        let mut add = |flag: &str, path: &str, value: Option<String>| {
            if let Some(value) = value {
                all.push(Override { path: path.to_owned(), value, flag: flag.to_owned() });
            }
        };
        let dir = self.data_dir.as_ref().map(|dir| match dir.to_str() {
            Some(dir) => Ok(dir.to_owned()),
            None => Err(format!("--data-dir {dir:?}: the name is not UTF-8")),
        });
        add("--data-dir", "node.data_dir", dir.transpose()?);
        add("--kafka", "kafka.addr", self.kafka.clone());
        add("--pg", "pg.addr", self.pg.clone());
        add("--http", "http.addr", self.http.clone());
        add("--reactor", "node.reactor", self.reactor.clone());
        add("--cores", "node.cores", self.cores.map(|cores| cores.to_string()));
        add("--insecure", "node.insecure", self.insecure.then(|| "true".to_owned()));
        Ok(all)
    }
}

// Its directory is a temporary one.
#[derive(Args, Clone, Debug)]
#[command(mut_arg("data_dir", |arg| arg.hide(true)))]
pub struct DemoArgs {
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Live orders per second
    #[arg(long, default_value_t = 25)]
    pub rate: u32,
    /// The same seed gives the same records
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Directory of a stopped server [default: the server's]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Which broker, and how long to wait for it.
#[derive(Args, Clone, Debug)]
pub struct BrokerArgs {
    /// Kafka address of the server
    #[arg(
        long,
        short = 'b',
        env = "LUMADB_BROKERS",
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT"
    )]
    pub brokers: String,
    /// How long to wait for the connection and for each answer
    #[arg(long, default_value = "30s", value_name = "TIME")]
    pub timeout: Span,
}

#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// List topics
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        broker: BrokerArgs,
        /// Show internal topics too
        #[arg(long)]
        internal: bool,
    },
    /// Create a topic
    Create {
        #[command(flatten)]
        broker: BrokerArgs,
        /// Name of the topic: letters, digits, '.', '_' and '-'
        name: String,
        /// Partitions [default: the server's]
        #[arg(long, short = 'p', allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Copies of each partition: one server keeps one
        #[arg(long, short = 'r', value_parser = clap::value_parser!(i16).range(1..=1), value_name = "1")]
        replication_factor: Option<i16>,
        /// Topic configuration: -c retention.ms=1000; repeatable
        #[arg(
            long = "topic-config",
            visible_alias = "config",
            short = 'c',
            value_name = "KEY=VALUE"
        )]
        configs: Vec<String>,
    },
    /// Show partitions, offsets and configuration
    Describe {
        #[command(flatten)]
        broker: BrokerArgs,
        /// Name of the topic
        name: String,
    },
    /// Change configuration or add partitions
    Alter {
        #[command(flatten)]
        broker: BrokerArgs,
        /// Name of the topic
        name: String,
        /// New number of partitions
        #[arg(long, short = 'p', allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Set: -c retention.ms=1000; repeatable
        #[arg(
            long = "topic-config",
            visible_alias = "config",
            short = 'c',
            value_name = "KEY=VALUE"
        )]
        configs: Vec<String>,
        /// Reset to the default; repeatable
        #[arg(long, value_name = "KEY")]
        reset: Vec<String>,
    },
    /// Delete a topic and its records
    #[command(alias = "rm")]
    Delete {
        #[command(flatten)]
        broker: BrokerArgs,
        /// Name of the topic
        name: String,
        /// Do not ask
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct ProduceArgs {
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// Topic to write to, created when missing
    pub topic: String,
    /// Partition [default: by key, else in turn]
    #[arg(long, short = 'p', allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Key of every record
    #[arg(long, short = 'k', conflicts_with = "key_separator")]
    pub key: Option<String>,
    /// Split each line into key and value at the first occurrence
    #[arg(long, short = 'K', value_name = "TEXT")]
    pub key_separator: Option<String>,
    /// Header of every record: -H name=value; repeatable
    #[arg(long, short = 'H', value_name = "NAME=VALUE")]
    pub header: Vec<String>,
    /// Compression: none, gzip, snappy, lz4, zstd
    #[arg(long, short = 'z', default_value = "none", value_parser = parse_compression)]
    pub compression: Compression,
}

#[derive(Debug, Args)]
pub struct ConsumeArgs {
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// Topic to read; records are printed as one JSON object per line, or as --template says
    pub topic: String,
    /// Partitions [default: all]
    #[arg(long, short = 'p', value_delimiter = ',', allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Vec<i32>,
    /// start, end, a number, -10 (that many before the end), +10 (after the start), @2h (ago), @TIME (RFC 3339 or
    /// milliseconds), n-m (up to m, excluded)
    #[arg(long, short = 'O', default_value = "start", allow_hyphen_values = true)]
    pub offset: String,
    /// Stop after this many records
    #[arg(long, short = 'n', allow_negative_numbers = true)]
    pub num: Option<u64>,
    /// Wait for new records at the end
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// Format of each record: %t topic, %p partition, %o offset, %d timestamp, %k key, %v value, %h headers;
    /// %k{hex}, %v{hex}; %K, %V, %T lengths, %H number of headers; \n, \t, %%
    #[arg(long, short = 'F', value_name = "TEXT")]
    pub template: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List groups
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Members, committed offsets and lag
    Describe {
        #[command(flatten)]
        broker: BrokerArgs,
        /// Name of the group
        group: String,
    },
    /// Move a group that has no members; one that does not exist is created
    Seek {
        #[command(flatten)]
        broker: BrokerArgs,
        /// Name of the group
        group: String,
        /// Topic on which it is moved, all partitions
        #[arg(long)]
        topic: String,
        /// start, end, a number, -10 (that many before the end), +10 (after the start), @2h (ago), @TIME (RFC 3339 or
        /// milliseconds)
        #[arg(long, allow_hyphen_values = true, value_name = "OFFSET")]
        to: String,
        /// Do not ask
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

/// Parts of a server's address, with psql's flags.
#[derive(Clone, Debug, Default, Args)]
pub struct TargetArgs {
    /// Print help; -h is the host, as in psql
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
    /// Host, instead of the URL's
    #[arg(long, short = 'h', value_name = "HOST")]
    pub host: Option<String>,
    /// Port, instead of the URL's
    #[arg(long, short = 'p', value_name = "PORT")]
    pub port: Option<u16>,
    /// User, instead of the URL's
    #[arg(long, short = 'U', alias = "username", value_name = "USER")]
    pub user: Option<String>,
    /// Database, instead of the URL's
    #[arg(long, short = 'd', alias = "dbname", value_name = "DATABASE")]
    pub database: Option<String>,
}

/// What a script does after a statement that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnError {
    #[default]
    Stop,
    /// As psql does; the exit code is 8 when a part was done
    Continue,
}

#[derive(Debug, Args)]
pub struct SqlArgs {
    /// postgres://user@host:port/database
    #[arg(env = "LUMADB_URL", default_value = "postgres://luma@127.0.0.1:5432/luma")]
    pub url: String,
    #[command(flatten)]
    pub target: TargetArgs,
    /// Run this, all of it as one transaction, and leave; repeatable
    #[arg(long, short = 'c', value_name = "SQL")]
    pub command: Vec<String>,
    /// Run the statements of a file one by one and leave; - is standard input
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "command")]
    pub file: Option<PathBuf>,
    /// What to do after a statement that failed
    #[arg(
        long,
        value_name = "stop|continue",
        value_enum,
        default_value = "stop",
        hide_possible_values = true
    )]
    pub on_error: OnError,
    /// Print how long each statement took
    #[arg(long)]
    pub timing: bool,
}

#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The statements, separated by ;
    pub sql: String,
    /// postgres://user@host:port/database
    #[arg(long, env = "LUMADB_URL", default_value = "postgres://luma@127.0.0.1:5432/luma")]
    pub url: String,
    #[command(flatten)]
    pub target: TargetArgs,
    /// Print how long they took
    #[arg(long)]
    pub timing: bool,
}

impl From<QueryArgs> for SqlArgs {
    fn from(args: QueryArgs) -> Self {
        Self {
            url: args.url,
            target: args.target,
            command: vec![args.sql],
            file: None,
            on_error: OnError::Stop,
            timing: args.timing,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// Topic, created when missing
    #[arg(long, default_value = "bench")]
    pub topic: String,
    /// Partitions when the topic is created
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Bytes of each record's value
    #[arg(long, default_value = "1KiB")]
    pub record_size: config_schema::ByteSize,
    /// How long to measure
    #[arg(long, default_value = "10s")]
    pub duration: Span,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Throughput and acknowledgement latency of producing
    Produce {
        #[command(flatten)]
        common: BenchArgs,
        /// Bytes of records per batch
        #[arg(long, default_value = "64KiB")]
        batch_size: config_schema::ByteSize,
        /// Requests in flight (closed loop)
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
        in_flight: u16,
        /// Batches per second (open loop: latency counts from when a batch was due)
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        rate: Option<u32>,
        /// -1 all, 1 leader
        #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_parser = parse_acks)]
        acks: i16,
    },
    /// Throughput of reading from the start
    Consume {
        #[command(flatten)]
        common: BenchArgs,
    },
    /// Time from producing a record to receiving it, at a fixed rate
    Latency {
        #[command(flatten)]
        common: BenchArgs,
        /// Records per second
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
    },
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Directory to try [default: the server's]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration in force
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Explain one key, or list all
    Explain {
        /// section.key [default: all]
        key: Option<String>,
    },
    /// Print the commented default file
    Default,
    /// Check files, environment and flags
    Validate {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    let found = Compression::ALL.into_iter().find(|codec| codec.name() == text);
    found.ok_or_else(|| "expected none, gzip, snappy, lz4 or zstd".to_owned())
}

fn parse_acks(text: &str) -> Result<i16, String> {
    match text {
        "-1" | "all" => Ok(-1),
        "1" => Ok(1),
        _ => Err("expected -1 (all) or 1".to_owned()),
    }
}

impl BrokerArgs {
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

#[cfg(test)]
mod tests;
