//! One thread, and joins that never end: they end when they are told to, and give way before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::arrow::datatypes::DataType::Int64;
use datafusion::logical_expr::{Volatility, create_udf};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures_util::StreamExt as _;
use tokio::runtime::Builder;

use super::*;
use crate::stop::Waiting;

/// Rows that take longer to join than any test runs.
const MANY: &str = "(SELECT value AS a FROM generate_series(1, 3000000))";
/// For whoever waits in vain.
const HANGS: Duration = Duration::from_secs(20);

/// A function that returns what it is given and says that it was called.
fn calls(context: &SessionContext) -> Arc<AtomicBool> {
    let called = Arc::new(AtomicBool::new(false));
    let noting = Arc::clone(&called);
    let function = create_udf(
        "noted",
        vec![Int64],
        Int64,
        Volatility::Volatile,
        Arc::new(move |values: &[ColumnarValue]| {
            noting.store(true, Ordering::Release);
            Ok(values[0].clone())
        }),
    );
    context.register_udf(function);
    called
}

/// Starts the statement on the only thread, waits until it joins, stops it, and waits for its end. Where it `gives_way`,
/// something else runs on that thread before.
fn is_ended(sql: &str, gives_way: bool) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let called = calls(&context);
    let (stop, sql) = (Stop::default(), sql.to_owned());
    let waiting = Waiting(stop.clone());
    let running = runtime.spawn(async move {
        let plan = context.sql(&sql).await?.create_physical_plan().await?;
        let plan = interruptible(plan, &stop)?;
        let mut batches = execute_stream(plan, context.task_ctx())?;
        while let Some(batch) = batches.next().await {
            batch?;
        }
        Ok::<(), DataFusionError>(())
    });
    runtime.block_on(async {
        while !called.load(Ordering::Acquire) {
            assert!(!running.is_finished(), "it has not joined yet");
            std::thread::yield_now();
        }
        if gives_way {
            let other = tokio::time::timeout(HANGS, runtime.spawn(async {})).await;
            other.expect("it gives way").expect("and something else runs");
        }
        running.abort();
        drop(waiting);
        let ended = tokio::time::timeout(HANGS, running).await.expect("it ends");
        assert!(!matches!(ended, Ok(Ok(()))), "it was never done");
    });
}

#[test]
fn a_cross_join_gives_way_and_ends() {
    is_ended(&format!("SELECT count(noted(x.a + y.a)) FROM {MANY} x, {MANY} y"), true);
}

#[test]
fn a_join_that_finds_nothing_ends() {
    let condition = "x.a < y.a AND noted(x.a + y.a) < 0";
    is_ended(&format!("SELECT count(*) FROM {MANY} x JOIN {MANY} y ON {condition}"), false);
}

#[test]
fn a_join_of_equal_keys_that_finds_nothing_ends() {
    let condition = "x.a % 2 = y.a % 2 AND noted(x.a + y.a) < 0";
    is_ended(&format!("SELECT count(*) FROM {MANY} x JOIN {MANY} y ON {condition}"), false);
}
