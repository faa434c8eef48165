//! Cancelling sets the flag that planning asks, and planning that asks it ends.

use datafusion::prelude::SessionContext;

use super::*;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    runtime.expect("a runtime starts").block_on(future)
}

/// A cancelled statement was planned to its end: the task of a computation is aborted only where it awaits.
#[test]
fn a_cancel_or_a_vanished_client_stops_planning() {
    for cancels in [true, false] {
        let stop = Stop::default();
        let waiting = stop.clone();
        block_on(async {
            let epoch = watch::Sender::new(0);
            let work = std::future::pending::<Result<(), Error>>();
            let handle = Handle::current();
            let mut running = Box::pin(run(&handle, epoch.subscribe(), waiting, work));
            let pending = futures_util::poll!(&mut running);
            assert!(pending.is_pending() && stop.check().is_ok());
            if cancels {
                epoch.send_replace(1);
                let error = running.await.expect_err("it was cancelled");
                assert_eq!(error.sqlstate, Some("57014"));
            }
        });
        assert!(stop.check().is_err(), "cancelled: {cancels}");
    }
}

#[test]
fn each_step_of_planning_asks() {
    let base = SessionContext::new().state();
    let sql = "SELECT a FROM (VALUES (1), (2)) t (a) ORDER BY a";
    let stop = Stop::default();
    let state = stoppable(&base, &stop).build();
    block_on(async {
        let plan = state.create_logical_plan(sql).await.expect("it plans");
        let optimized = state.optimize(&plan).expect("it optimizes");
        state.create_physical_plan(&plan).await.expect("it plans to the end");
        drop(Waiting(stop));
        let ended = [
            state.create_logical_plan("SELECT 1 + 1").await.map(|_| ()),
            state
                .analyzer()
                .execute_and_check(plan, &ConfigOptions::default(), |_, _| ())
                .map(|_| ()),
            state.optimizer().optimize(optimized.clone(), &state, |_, _| ()).map(|_| ()),
            state.query_planner().create_physical_plan(&optimized, &state).await.map(|_| ()),
        ];
        for result in ended {
            let error = result.expect_err("nobody waits");
            assert!(error.to_string().contains("canceling statement"), "{error}");
        }
    });
}
