//! What each path answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::error::{json_response, not_rendered};
use crate::metrics::render;
use crate::ops::{Detail, Histogram, Ops, SqlStats, Stats};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What `/` answers.
const INDEX: &str = "LumaDB

/live                        ok while the process runs (also /livez)
/ready                       200 while clients are served, else 503, and the reasons (also /readyz)
/health                      the same with version, reactor, uptime and free disk (also /healthz)
/stats                       what is counted, as JSON
/metrics                     the same for Prometheus
/metrics?detail=groups       with the lag of each consumer group
/metrics?detail=partitions   with the ends of each partition

Records and SQL have ports of their own: Kafka's protocol and PostgreSQL's.
";

/// Every path, answered from `ops`.
pub(crate) fn routes(ops: Arc<dyn Ops>) -> Router {
    let mut router = Router::new().route("/", get(async || INDEX)).fallback(not_found);
    for path in ["/live", "/livez"] {
        router = router.route(path, get(async || "ok\n"));
    }
    for path in ["/ready", "/readyz"] {
        router = router.route(path, get(ready));
    }
    for path in ["/health", "/healthz"] {
        router = router.route(path, get(health));
    }
    router.route("/metrics", get(metrics)).route("/stats", get(stats)).with_state(ops)
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "not found; / lists what is here\n")
}

fn readiness(ops: &dyn Ops) -> (StatusCode, Value) {
    let readiness = ops.readiness();
    let status = if readiness.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": readiness.ready(),
        "waiting_for": readiness.waiting_for,
        "degraded": readiness.degraded,
    });
    (status, body)
}

async fn ready(State(ops): State<Arc<dyn Ops>>) -> Response {
    let (status, body) = readiness(&*ops);
    json_response(status, &body)
}

async fn health(State(ops): State<Arc<dyn Ops>>) -> Response {
    let (status, mut body) = readiness(&*ops);
    let stats = ops.stats().await;
    body["live"] = json!(true);
    body["version"] = json!(stats.version);
    body["reactor"] = json!(stats.reactor);
    body["uptime_seconds"] = json!(stats.uptime.as_secs_f64());
    body["disk_free_bytes"] = json!(stats.storage.map(|it| it.free_bytes));
    json_response(status, &body)
}

async fn metrics(State(ops): State<Arc<dyn Ops>>, RawQuery(query): RawQuery) -> Response {
    let parameters = query.as_deref().unwrap_or_default().split('&');
    let mut details = parameters.filter_map(|it| {
        let (name, value) = it.split_once('=').unwrap_or((it, ""));
        (name == "detail").then_some(value)
    });
    let detail = match details.next() {
        None => Detail::None,
        Some("groups") => Detail::Groups(ops.group_lags().await),
        Some("partitions") => Detail::Partitions(ops.partition_ranges().await),
        Some(_) => {
            let expected = "expected ?detail=groups or ?detail=partitions\n";
            return (StatusCode::BAD_REQUEST, expected).into_response();
        }
    };
    match render(ops.stats().await, detail) {
        Ok(page) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], page).into_response(),
        Err(error) => not_rendered(error),
    }
}

async fn stats(State(ops): State<Arc<dyn Ops>>) -> Response {
    json_response(StatusCode::OK, &stats_json(&ops.stats().await))
}

fn histogram_json(histogram: &Histogram) -> Value {
    json!({ "count": histogram.count, "sum_seconds": histogram.sum })
}

fn sql_json(sql: &SqlStats) -> Value {
    let queries = &sql.queries;
    let ended =
        queries.by_status.iter().map(|(status, count)| ((*status).to_owned(), json!(count)));
    json!({
        "bad_records": sql.bad_records,
        "read_bytes": sql.read_bytes,
        "memory_bytes": sql.memory_bytes,
        "active_queries": queries.active,
        "queries": ended.collect::<serde_json::Map<_, _>>(),
    })
}

fn stats_json(stats: &Stats) -> Value {
    let protocols = stats.protocols.iter().map(|one| {
        let counts = json!({
            "active": one.connections_active,
            "total": one.connections,
            "refused": one.connections_refused,
        });
        (one.protocol.to_owned(), counts)
    });
    let apis = stats.kafka_apis.iter().map(|one| (one.api.clone(), histogram_json(&one.duration)));
    json!({
        "version": stats.version,
        "reactor": stats.reactor,
        "cores": stats.cores,
        "uptime_seconds": stats.uptime.as_secs_f64(),
        "topics": stats.topics,
        "partitions": stats.partitions,
        "groups": stats.groups,
        "request_memory_bytes": stats.request_memory_bytes,
        "answer_memory_bytes": stats.answer_memory_bytes,
        "connections": protocols.collect::<serde_json::Map<_, _>>(),
        "kafka_requests": apis.collect::<serde_json::Map<_, _>>(),
        "log": {
            "produced_bytes": stats.log.produced_bytes,
            "produced_batches": stats.log.produced_batches,
            "fetched_bytes": stats.log.fetched_bytes,
            "tail_hits": stats.log.tail_hits,
            "tail_misses": stats.log.tail_misses,
            "segments": stats.log.segments,
            "spare_segments": stats.log.spare_segments,
            "tail_bytes": stats.log.tail_bytes,
            "disk_full_shards": stats.log.disk_full_shards,
            "fsync_duration": histogram_json(&stats.log.fsync_duration),
        },
        "journal": {
            "frames": stats.journal.frames,
            "written_bytes": stats.journal.written_bytes,
            "syncs": stats.journal.syncs,
            "checkpoints_rejected": stats.journal.checkpoints_rejected,
        },
        "storage": stats.storage.as_ref().map(|it| json!({
            "used_bytes": it.used_bytes,
            "free_bytes": it.free_bytes,
            "total_bytes": it.total_bytes,
        })),
        "sql": sql_json(&stats.sql),
    })
}
