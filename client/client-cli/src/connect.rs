//! Connecting, and the small runtime that the Kafka commands run on.

use client_kafka::Client;

use crate::args::BrokerArgs;
use crate::exit::{Exit, Failure};

pub(crate) async fn connect(broker: &BrokerArgs) -> Result<Client, Failure> {
    Ok(Client::connect(&broker.brokers, "lumadb-cli", broker.timeout()).await?)
}

/// Runs a command to its end, or until Ctrl-C.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            done = command => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        }
    })
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `KEY=VALUE` arguments.
pub(crate) fn pairs(flag: &str, texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let one = |text: &String| {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{flag} {text:?}: expected KEY=VALUE")))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    texts.iter().map(one).collect()
}
