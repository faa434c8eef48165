//! Periodic work of a shard: the journal's tick, retention, expiry of idempotent producers.

use std::rc::Rc;
use std::time::Duration;

use crate::core::Core;
use crate::settings::as_ms;
use crate::shard::Shard;

/// How often the journal syncs volatile leftovers, records its watermark and looks for space.
const TICK: Duration = Duration::from_millis(200);

/// Retention first looks after this (Kafka: `log.initial.task.delay.ms`), so that a machine that has just started can set
/// its clock.
const RETENTION_DELAY_MAX: Duration = Duration::from_secs(30);

/// Runs until the core stops.
pub(crate) async fn run(core: Rc<Core>, shard: Rc<Shard>) {
    let retention_every = core.shared.settings.retention_check.max(TICK);
    let expiration_ms = as_ms(core.shared.settings.producer_expiration);
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let first = retention_every.min(RETENTION_DELAY_MAX);
    let mut next_ns = core.runtime.clock().mono_ns().saturating_add(nanos(first));
    while !core.stopping.get() {
        core.runtime.sleep(TICK).await;
        shard.journal.tick();
        let pause = || core.runtime.yield_now();
        if Rc::clone(&shard).age_producers(expiration_ms, pause).await.is_err() {
            // The journal's failure is reported by its own task.
            return;
        }
        if core.runtime.clock().mono_ns() < next_ns {
            continue;
        }
        next_ns = core.runtime.clock().mono_ns().saturating_add(nanos(retention_every));
        retain(&core, &shard).await;
    }
}

async fn retain(core: &Rc<Core>, shard: &Rc<Shard>) {
    let mut streams = Vec::new();
    for topic in core.catalog().topics.values() {
        let config = core.topic_config(topic);
        let places = topic.partitions.iter().filter(|place| place.shard == shard.id);
        streams.extend(places.map(|place| (place.stream, Rc::clone(shard), config.clone())));
    }
    for piece in streams.chunks(64) {
        let piece = piece.iter().map(|(stream, _, config)| (*stream, config.clone())).collect();
        match Rc::clone(shard).retain(piece).await {
            Ok(0) => {}
            Ok(moved) => tracing::debug!(shard = shard.id.0, moved, "retention moved log starts"),
            // The journal's failure is reported by its own task.
            Err(_) => return,
        }
        core.runtime.yield_now().await;
    }
}
