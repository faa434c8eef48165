//! The pages as a client sees them over TCP, the golden list of metric names, and promtool's opinion of the page.

mod limits;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_http::{
    ApiStats, Detail, GROUP_METRIC_NAMES, GroupLag, Histogram, HttpOptions, JournalStats,
    LagsFuture, LogStats, METRIC_NAMES, Ops, PARTITION_METRIC_NAMES, PartitionRange,
    PartitionsFuture, ProtocolStats, QueryStats, Readiness, SqlStats, Stats, StatsFuture,
    StorageStats, render, serve,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn stats() -> Stats {
    let histogram = Histogram { buckets: vec![(0.001, 2), (0.1, 1)], sum: 1.5, count: 4 };
    let queries = QueryStats {
        active: 1,
        by_status: vec![("ok", 5), ("error", 2), ("cancelled", 0)],
        durations: vec![("select", histogram.clone())],
    };
    let protocol = |protocol| ProtocolStats {
        protocol,
        connections_active: 1,
        connections: 7,
        connections_refused: 2,
    };
    Stats {
        version: "0.0.0".to_owned(),
        reactor: "epoll".to_owned(),
        cores: 2,
        uptime: Duration::from_secs(3),
        started_at_ms: 1_700_000_000_500,
        topics: 2,
        partitions: 5,
        groups: 3,
        request_memory_bytes: 11,
        answer_memory_bytes: 14,
        protocols: vec![protocol("kafka"), protocol("pg")],
        kafka_apis: vec![ApiStats { api: "Produce".to_owned(), duration: histogram }],
        log: LogStats {
            produced_bytes: 10,
            produced_batches: 2,
            fetched_bytes: 20,
            tail_hits: 24,
            tail_misses: 25,
            segments: 1,
            spare_segments: 1,
            tail_bytes: 100,
            disk_full_shards: 1,
            fsync_duration: Histogram { buckets: vec![(0.000_05, 2)], sum: 0.5, count: 3 },
        },
        journal: JournalStats { frames: 3, written_bytes: 4096, syncs: 3, checkpoints_rejected: 1 },
        sql: SqlStats { bad_records: 6, read_bytes: 12, memory_bytes: 13, queries },
        storage: Some(StorageStats { used_bytes: 21, free_bytes: 22, total_bytes: 23 }),
    }
}

struct Node {
    ready: AtomicBool,
    degraded: Mutex<Vec<String>>,
}

impl Ops for Node {
    fn stats(&self) -> StatsFuture<'_> {
        Box::pin(async { stats() })
    }

    fn group_lags(&self) -> LagsFuture<'_> {
        Box::pin(async { lags() })
    }

    fn partition_ranges(&self) -> PartitionsFuture<'_> {
        Box::pin(async { ranges() })
    }

    fn readiness(&self) -> Readiness {
        let waiting = !self.ready.load(Ordering::SeqCst);
        Readiness {
            waiting_for: waiting.then(|| "recovery of shard 0".to_owned()).into_iter().collect(),
            degraded: self.degraded.lock().expect("no panic").clone(),
        }
    }
}

async fn get(addr: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("the server answers");
    let status =
        response.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    let body = response.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

#[tokio::test]
async fn health_follows_the_node_and_shutdown_ends_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let addr = listener.local_addr().expect("bound");
    let node = Arc::new(Node { ready: AtomicBool::new(false), degraded: Mutex::default() });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ops: Arc<dyn Ops> = node.clone();
    let options = HttpOptions::default();
    let counters = Arc::clone(&options.counters);
    let server = tokio::spawn(serve(listener, ops, options, async move {
        let _ = stopped.await;
    }));

    assert_eq!(get(addr, "/live").await, (200, "ok\n".to_owned()));
    let (status, body) = get(addr, "/ready").await;
    assert_eq!((status, body.contains("recovery of shard 0")), (503, true));
    assert_eq!(get(addr, "/healthz").await.0, 503);
    node.ready.store(true, Ordering::SeqCst);
    for path in ["/ready", "/readyz", "/health", "/healthz", "/livez", "/stats", "/metrics"] {
        assert_eq!(get(addr, path).await.0, 200, "{path}");
    }
    // What works is served on: a probe that failed would take the readers away as well.
    node.degraded.lock().expect("no panic").push("the disk is full".to_owned());
    for path in ["/ready", "/health"] {
        let (status, body) = get(addr, path).await;
        assert_eq!(
            (status, body.contains("\"degraded\":[\"the disk is full\"]")),
            (200, true),
            "{body}"
        );
    }
    let (status, page) = get(addr, "/metrics?detail=partitions").await;
    assert_eq!((status, page.contains("lumadb_log_partition_end_offset{")), (200, true));
    let (status, page) = get(addr, "/metrics?detail=groups").await;
    assert_eq!((status, page.contains("lumadb_consumer_group_lag{")), (200, true));
    assert_eq!(get(addr, "/metrics?detail=everything").await.0, 400);
    // A scraper's own parameters are none of ours.
    let (status, page) = get(addr, "/metrics?x=1&detail=groups&y").await;
    assert_eq!((status, page.contains("lumadb_consumer_group_lag{")), (200, true));
    assert_eq!(get(addr, "/metrics?match=up").await.0, 200);
    assert_eq!(get(addr, "/nothing").await.0, 404);
    assert!(get(addr, "/stats").await.1.contains("\"produced_bytes\":10"));
    stop.send(()).expect("the server waits");
    server.await.expect("no panic").expect("a clean end");
    assert_eq!(counters.accepted.load(Ordering::SeqCst), 19);
    assert_eq!(counters.active.load(Ordering::SeqCst), 0);
}

/// `/` was 404 without a word.
#[tokio::test]
async fn the_index_lists_what_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let addr = listener.local_addr().expect("bound");
    let node = Arc::new(Node { ready: true.into(), degraded: Mutex::default() });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, node, HttpOptions::default(), async {
        let _ = stopped.await;
    }));
    let (status, index) = get(addr, "/").await;
    assert_eq!(status, 200);
    let words = index.split([' ', '\n', ')']);
    let paths: Vec<&str> = words.filter(|word| word.starts_with('/')).collect();
    assert_eq!(paths.len(), 10, "{index}");
    for path in paths {
        assert_eq!(get(addr, path).await.0, 200, "{path}");
    }
    let (status, said) = get(addr, "/nope").await;
    assert_eq!((status, said.contains("/ lists what is here")), (404, true), "{said}");
    stop.send(()).expect("it runs");
    server.await.expect("no panic").expect("a working listener");
}

fn ranges() -> Vec<PartitionRange> {
    let range = |partition, start, end| PartitionRange {
        topic: "orders".to_owned(),
        partition,
        start,
        end,
    };
    vec![range(0, 0, 0), range(1, 5, 9)]
}

fn lags() -> Vec<GroupLag> {
    let lag = |group: &str, records| GroupLag {
        group: group.to_owned(),
        topic: "orders".to_owned(),
        records,
    };
    vec![lag("a", 0), lag("b \"quoted\"\\\n", 7)]
}

fn names(page: &str) -> Vec<&str> {
    let mut names: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_names_are_the_golden_list() {
    assert_eq!(names(&render(stats(), Detail::None).expect("formats")), METRIC_NAMES);
    // A thread of that name is a core.
    let page = std::thread::Builder::new()
        .name("luma-core-7".to_owned())
        .spawn(|| render(stats(), Detail::Groups(lags())).expect("formats"));
    let page = page.expect("a thread").join().expect("no panic");
    let core = "lumadb_core_cpu_seconds_total{core=\"7\"} ";
    assert!(page.lines().any(|line| line.starts_with(core)), "{page}");
    let mut all = [METRIC_NAMES, GROUP_METRIC_NAMES].concat();
    all.sort_unstable();
    assert_eq!(names(&page), all);
    for line in [
        "lumadb_build_info{version=\"0.0.0\",reactor=\"epoll\"} 1",
        "lumadb_connections_total{protocol=\"pg\"} 7",
        "lumadb_kafka_request_duration_seconds_bucket{le=\"0.1\",api=\"Produce\"} 3",
        "lumadb_kafka_request_duration_seconds_bucket{le=\"+Inf\",api=\"Produce\"} 4",
        "lumadb_connections_refused_total{protocol=\"pg\"} 2",
        "lumadb_journal_syncs_total 3",
        "lumadb_log_fsync_duration_seconds_bucket{le=\"0.00005\"} 2",
        "lumadb_log_fsync_duration_seconds_bucket{le=\"+Inf\"} 3",
        "lumadb_journal_checkpoints_rejected_total 1",
        "lumadb_log_disk_full_shards 1",
        "lumadb_active_queries 1",
        "lumadb_queries_total{status=\"error\",protocol=\"pg\"} 2",
        "lumadb_query_duration_seconds_count{type=\"select\"} 4",
        "lumadb_memory_bytes{component=\"log_tail\"} 100",
        "lumadb_memory_bytes{component=\"kafka_requests\"} 11",
        "lumadb_memory_bytes{component=\"kafka_answers\"} 14",
        "lumadb_memory_bytes{component=\"sql_statements\"} 13",
        "lumadb_consumer_group_lag{group=\"a\",topic=\"orders\"} 0",
        "lumadb_consumer_group_lag{group=\"b \\\"quoted\\\"\\\\\\n\",topic=\"orders\"} 7",
        "lumadb_storage_bytes{tier=\"local\"} 21",
        "lumadb_disk_free_bytes 22",
        "lumadb_disk_total_bytes 23",
        "# TYPE lumadb_log_produced_bytes_total counter",
        "process_start_time_seconds 1700000000.5",
    ] {
        let number_as_float = format!("{line}.0");
        assert!(
            page.lines().any(|found| found == line || found == number_as_float),
            "{line}\n{page}"
        );
    }
}

#[test]
fn the_ends_of_partitions_are_a_detail() {
    let page = render(stats(), Detail::Partitions(ranges())).expect("formats");
    let mut all = [METRIC_NAMES, PARTITION_METRIC_NAMES].concat();
    all.sort_unstable();
    assert_eq!(names(&page), all);
    for (end, at) in [("start", 5.0), ("end", 9.0)] {
        let name =
            format!("lumadb_log_partition_{end}_offset{{topic=\"orders\",partition=\"1\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok());
        assert_eq!(value, Some(at), "{page}");
    }
}

/// Zeros were a full disk to whoever watched, and a division by zero.
#[test]
fn a_disk_that_has_not_answered_is_left_out() {
    let page = render(Stats { storage: None, ..stats() }, Detail::None).expect("formats");
    for name in ["lumadb_disk_free_bytes", "lumadb_disk_total_bytes", "lumadb_storage_bytes"] {
        assert!(!page.contains(name), "{page}");
    }
    assert!(page.contains("lumadb_log_disk_full_shards"), "{page}");
}

#[test]
fn promtool_accepts_the_page() {
    if !config_testkit::has("promtool", "prometheus") {
        return;
    }
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = spawned.expect("it is on PATH");
    let mut page = render(stats(), Detail::Groups(lags())).expect("formats");
    // A page has one detail; its families are all there is of the other.
    let partitions = render(stats(), Detail::Partitions(ranges())).expect("formats");
    let added = partitions.lines().filter(|line| line.contains("lumadb_log_partition_"));
    page.extend(added.flat_map(|line| [line, "\n"]));
    promtool.stdin.take().expect("piped").write_all(page.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{page}");
}
