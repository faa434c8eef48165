//! `/metrics`: one collector that turns a [`Stats`] into samples at scrape time.
//!
//! prometheus-client writes OpenMetrics, where the family of a counter has no `_total`; Prometheus' text format 0.0.4,
//! which every scraper and `promtool check metrics` read, names the family as the sample. [`to_text_format`] converts
//! the descriptor lines, so nothing here depends on content negotiation.

use std::fmt;
use std::fmt::Write;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::ops::{Detail, GroupLag, Histogram, PartitionRange, Stats};
use crate::process::Process;

/// Every family served, sorted; a public interface, so a change is a change for dashboards.
pub const METRIC_NAMES: &[&str] = &[
    "lumadb_active_queries",
    "lumadb_build_info",
    "lumadb_cache_hits_total",
    "lumadb_cache_misses_total",
    "lumadb_connections_active",
    "lumadb_connections_refused_total",
    "lumadb_connections_total",
    "lumadb_consumer_groups",
    "lumadb_core_cpu_seconds_total",
    "lumadb_disk_free_bytes",
    "lumadb_disk_total_bytes",
    "lumadb_journal_checkpoints_rejected_total",
    "lumadb_journal_frames_total",
    "lumadb_journal_syncs_total",
    "lumadb_journal_written_bytes_total",
    "lumadb_kafka_request_duration_seconds",
    "lumadb_kafka_request_memory_bytes",
    "lumadb_log_disk_full_shards",
    "lumadb_log_fetched_bytes_total",
    "lumadb_log_fsync_duration_seconds",
    "lumadb_log_partitions",
    "lumadb_log_produced_batches_total",
    "lumadb_log_produced_bytes_total",
    "lumadb_log_segments",
    "lumadb_log_spare_segments",
    "lumadb_log_tail_bytes",
    "lumadb_log_topics",
    "lumadb_memory_bytes",
    "lumadb_queries_total",
    "lumadb_query_duration_seconds",
    "lumadb_sql_bad_records_total",
    "lumadb_sql_read_bytes_total",
    "lumadb_storage_bytes",
    "lumadb_uptime_seconds",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];

/// The families that `?detail=groups` adds.
pub const GROUP_METRIC_NAMES: &[&str] = &["lumadb_consumer_group_lag"];

/// The families that `?detail=partitions` adds.
pub const PARTITION_METRIC_NAMES: &[&str] =
    &["lumadb_log_partition_end_offset", "lumadb_log_partition_start_offset"];

/// The metrics page, in Prometheus' text format 0.0.4.
///
/// # Errors
/// Only when formatting into memory fails.
pub fn render(stats: Stats, detail: Detail) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page { stats, detail, process: Process::read() }));
    let mut open_metrics = String::new();
    prometheus_client::encoding::text::encode(&mut open_metrics, &registry)?;
    to_text_format(&open_metrics)
}

#[derive(Debug)]
struct Page {
    stats: Stats,
    detail: Detail,
    process: Process,
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut writer = Writer(encoder);
        self.build(&mut writer)?;
        self.connections(&mut writer)?;
        self.log(&mut writer)?;
        self.storage(&mut writer)?;
        self.sql(&mut writer)?;
        self.memory(&mut writer)?;
        match &self.detail {
            Detail::None => {}
            Detail::Groups(lags) => groups(&mut writer, lags)?,
            Detail::Partitions(ranges) => partitions(&mut writer, ranges)?,
        }
        self.process(&mut writer)
    }
}

impl Page {
    fn build(&self, out: &mut Writer<'_>) -> fmt::Result {
        let stats = &self.stats;
        let labels = [("version", stats.version.as_str()), ("reactor", stats.reactor.as_str())];
        let info = [(&labels[..], 1.0)];
        out.gauges(
            "lumadb_build_info",
            "Version and reactor of the running server, always 1",
            &info,
        )?;
        out.gauge("lumadb_uptime_seconds", "Time since the start", stats.uptime.as_secs_f64())
    }

    fn connections(&self, out: &mut Writer<'_>) -> fmt::Result {
        let protocols = &self.stats.protocols;
        let labels: Vec<_> = protocols.iter().map(|one| [("protocol", one.protocol)]).collect();
        let labelled = || labels.iter().zip(protocols);
        let active: Vec<_> =
            labelled().map(|(label, one)| (&label[..], float(one.connections_active))).collect();
        out.gauges("lumadb_connections_active", "Open connections", &active)?;
        let total: Vec<_> =
            labelled().map(|(label, one)| (&label[..], float(one.connections))).collect();
        out.counters("lumadb_connections", "Connections accepted", &total)?;
        let refused: Vec<_> =
            labelled().map(|(label, one)| (&label[..], float(one.connections_refused))).collect();
        out.counters(
            "lumadb_connections_refused",
            "Connections closed at once because of a limit",
            &refused,
        )?;
        out.gauge(
            "lumadb_kafka_request_memory_bytes",
            "Memory that Kafka requests in flight hold",
            float(self.stats.request_memory_bytes),
        )?;
        out.gauge("lumadb_consumer_groups", "Consumer groups", float(self.stats.groups))?;

        let apis = self.stats.kafka_apis.iter();
        let labels: Vec<_> = apis.map(|one| ([("api", one.api.as_str())], &one.duration)).collect();
        let durations: Vec<_> =
            labels.iter().map(|(label, duration)| (&label[..], *duration)).collect();
        let help = "Time from the last byte of a Kafka request to the first of its response";
        out.histograms("lumadb_kafka_request_duration_seconds", help, &durations)
    }

    fn log(&self, out: &mut Writer<'_>) -> fmt::Result {
        let (stats, log, journal) = (&self.stats, &self.stats.log, &self.stats.journal);
        let produced = float(log.produced_bytes);
        out.counter("lumadb_log_produced_bytes", "Bytes of record batches appended", produced)?;
        let batches = float(log.produced_batches);
        out.counter("lumadb_log_produced_batches", "Record batches appended", batches)?;
        let fetched = float(log.fetched_bytes);
        out.counter(
            "lumadb_log_fetched_bytes",
            "Bytes of record batches sent to consumers",
            fetched,
        )?;
        let tail = [("cache", "tail")];
        let hits = "Partitions of fetches whose records were in memory";
        out.counters("lumadb_cache_hits", hits, &[(&tail, float(log.tail_hits))])?;
        let misses = "Partitions of fetches whose records were read from files";
        out.counters("lumadb_cache_misses", misses, &[(&tail, float(log.tail_misses))])?;
        out.gauge("lumadb_log_segments", "Journal segments with data", float(log.segments))?;
        out.gauge(
            "lumadb_log_spare_segments",
            "Empty segment files kept for reuse",
            float(log.spare_segments),
        )?;
        out.gauge(
            "lumadb_log_tail_bytes",
            "Memory that holds recently written frames",
            float(log.tail_bytes),
        )?;
        out.histograms(
            "lumadb_log_fsync_duration_seconds",
            "Time the device took to make a frame of the journal durable",
            &[(&[], &log.fsync_duration)],
        )?;
        out.gauge("lumadb_log_topics", "Topics", float(stats.topics))?;
        out.gauge("lumadb_log_partitions", "Partitions", float(stats.partitions))?;
        out.counter(
            "lumadb_journal_frames",
            "Frames (group commits) written",
            float(journal.frames),
        )?;
        out.counter(
            "lumadb_journal_syncs",
            "Times the device made journal writes durable",
            float(journal.syncs),
        )?;
        out.counter(
            "lumadb_journal_checkpoints_rejected",
            "Damaged checkpoints that the start passed over",
            float(journal.checkpoints_rejected),
        )?;
        let written = float(journal.written_bytes);
        out.counter(
            "lumadb_journal_written_bytes",
            "Bytes written to journal files with padding",
            written,
        )
    }

    fn storage(&self, out: &mut Writer<'_>) -> fmt::Result {
        let full = float(self.stats.log.disk_full_shards);
        let help = "Shards that cannot write because the disk is full: writes fail, reads go on";
        out.gauge("lumadb_log_disk_full_shards", help, full)?;
        // A zero would be a full disk to whoever watches.
        let Some(storage) = &self.stats.storage else { return Ok(()) };
        out.gauges(
            "lumadb_storage_bytes",
            "What the data directory takes of its file system, preallocated segments included",
            &[(&[("tier", "local")], float(storage.used_bytes))],
        )?;
        let free = float(storage.free_bytes);
        out.gauge("lumadb_disk_free_bytes", "Free space of the data directory's disk", free)?;
        let total = float(storage.total_bytes);
        out.gauge("lumadb_disk_total_bytes", "Size of the data directory's disk", total)
    }

    fn memory(&self, out: &mut Writer<'_>) -> fmt::Result {
        let components = [
            ("log_tail", self.stats.log.tail_bytes),
            ("kafka_requests", self.stats.request_memory_bytes),
            ("kafka_answers", self.stats.answer_memory_bytes),
            ("sql_statements", self.stats.sql.memory_bytes),
        ];
        let labels = components.map(|(name, _)| [("component", name)]);
        let samples = labels.iter().zip(components);
        let samples: Vec<_> =
            samples.map(|(label, (_, bytes))| (&label[..], float(bytes))).collect();
        out.gauges("lumadb_memory_bytes", "Memory that has a limit, by what it is for", &samples)
    }

    fn sql(&self, out: &mut Writer<'_>) -> fmt::Result {
        let queries = &self.stats.sql.queries;
        let running = float(queries.active);
        out.gauge("lumadb_active_queries", "SQL statements that run now", running)?;
        let labels: Vec<_> = queries
            .by_status
            .iter()
            .map(|(status, count)| ([("status", *status), ("protocol", "pg")], float(*count)))
            .collect();
        let ended: Vec<_> = labels.iter().map(|(label, count)| (&label[..], *count)).collect();
        let help = "SQL statements ended: well, with an error, or before their last row";
        out.counters("lumadb_queries", help, &ended)?;
        let labels: Vec<_> =
            queries.durations.iter().map(|(kind, one)| ([("type", *kind)], one)).collect();
        let durations: Vec<_> = labels.iter().map(|(label, one)| (&label[..], *one)).collect();
        let help = "Time from the start of an SQL statement to its last row";
        out.histograms("lumadb_query_duration_seconds", help, &durations)?;
        out.counter(
            "lumadb_sql_bad_records",
            "Records that SQL statements read and could not fully decode",
            float(self.stats.sql.bad_records),
        )?;
        out.counter(
            "lumadb_sql_read_bytes",
            "Bytes of record batches that SQL statements read",
            float(self.stats.sql.read_bytes),
        )
    }

    fn process(&self, out: &mut Writer<'_>) -> fmt::Result {
        let started = float(self.stats.started_at_ms) / 1_000.0;
        out.gauge("process_start_time_seconds", "Start time since the Unix epoch", started)?;
        let process = &self.process;
        let labels: Vec<_> =
            process.cores.iter().map(|(core, seconds)| (core.to_string(), *seconds)).collect();
        let labels: Vec<_> =
            labels.iter().map(|(core, seconds)| ([("core", core.as_str())], *seconds)).collect();
        let samples: Vec<_> =
            labels.iter().map(|(label, seconds)| (&label[..], *seconds)).collect();
        let help = "User and system CPU time of the thread that runs a core; its rate is how busy the core is";
        out.counters("lumadb_core_cpu_seconds", help, &samples)?;
        if let Some(seconds) = process.cpu_seconds {
            out.counter("process_cpu_seconds", "User and system CPU time spent", seconds)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory", process.resident_bytes),
            ("process_virtual_memory_bytes", "Virtual memory", process.virtual_bytes),
            ("process_open_fds", "Open file descriptors", process.open_fds),
            ("process_max_fds", "Limit of open file descriptors", process.max_fds),
            ("process_threads", "Threads", process.threads),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                out.gauge(name, help, float(value))?;
            }
        }
        Ok(())
    }
}

fn groups(out: &mut Writer<'_>, lags: &[GroupLag]) -> fmt::Result {
    let labels: Vec<_> = lags
        .iter()
        .map(|lag| [("group", lag.group.as_str()), ("topic", lag.topic.as_str())])
        .collect();
    let samples = labels.iter().zip(lags).map(|(label, lag)| (&label[..], float(lag.records)));
    let help = "Records between a group's committed offsets and the end of the partitions";
    out.gauges("lumadb_consumer_group_lag", help, &samples.collect::<Vec<_>>())
}

fn partitions(out: &mut Writer<'_>, ranges: &[PartitionRange]) -> fmt::Result {
    let numbers: Vec<_> = ranges.iter().map(|range| range.partition.to_string()).collect();
    let labels = numbers.iter().zip(ranges);
    let labels: Vec<_> = labels
        .map(|(number, range)| [("topic", range.topic.as_str()), ("partition", number.as_str())])
        .collect();
    let samples = |offset: fn(&PartitionRange) -> u64| -> Vec<_> {
        labels.iter().zip(ranges).map(|(label, range)| (&label[..], float(offset(range)))).collect()
    };
    let help = "Offset of the first record that is kept";
    out.gauges("lumadb_log_partition_start_offset", help, &samples(|range| range.start))?;
    let help = "Offset of the next record that consumers will see";
    out.gauges("lumadb_log_partition_end_offset", help, &samples(|range| range.end))
}

type Labels<'a> = [(&'a str, &'a str)];

/// Writes families, each with all its samples together.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.gauges(name, help, &[(&[], value)])
    }

    /// `name` without `_total`, which the encoder appends.
    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.counters(name, help, &[(&[], value)])
    }

    fn gauges(&mut self, name: &str, help: &str, samples: &[(&Labels<'_>, f64)]) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            let gauge = ConstGauge::new(*value);
            if labels.is_empty() {
                return gauge.encode(family);
            }
            gauge.encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn counters(&mut self, name: &str, help: &str, samples: &[(&Labels<'_>, f64)]) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            let counter = ConstCounter::new(*value);
            if labels.is_empty() {
                return counter.encode(family);
            }
            counter.encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        samples: &[(&Labels<'_>, &Histogram)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, histogram) in samples {
            let below: u64 = histogram.buckets.iter().map(|(_, count)| count).sum();
            let mut buckets = histogram.buckets.clone();
            buckets.push((f64::INFINITY, histogram.count.saturating_sub(below)));
            let (sum, count) = (histogram.sum, histogram.count);
            if labels.is_empty() {
                return family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
            }
            family
                .encode_family(labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

/// Counters are exact up to 2^53; beyond that a scraper, which works in f64 too, sees the nearest.
#[expect(clippy::cast_precision_loss, reason = "samples are f64 in every Prometheus format")]
fn float(value: u64) -> f64 {
    value as f64
}

/// OpenMetrics to text format 0.0.4: counters' descriptors get the sample's name, marks that the older format does
/// not know are left out.
fn to_text_format(open_metrics: &str) -> Result<String, fmt::Error> {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some((name, text)) =
            line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
        {
            help = Some((name, text.trim_end_matches('.')));
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take().filter(|(described, _)| *described == name) {
                writeln!(out, "# HELP {name}{suffix} {text}.")?;
            }
            writeln!(out, "# TYPE {name}{suffix} {kind}")?;
        } else if !line.starts_with('#') {
            writeln!(out, "{line}")?;
        }
    }
    Ok(out)
}
