//! Connecting, and the small runtime that the Kafka commands run on.

use client_kafka::Client;

use crate::args::BrokerArgs;
use crate::exit::{Exit, Failure};

pub(crate) async fn connect(broker: &BrokerArgs) -> Result<Client, Failure> {
    let addr = with_port(&broker.brokers);
    Ok(Client::connect(&addr, "lumadb-cli", broker.timeout()).await?)
}

/// The address with Kafka's port when it has none. Of several, the first: one server answers for all.
fn with_port(brokers: &str) -> String {
    let first = brokers.split(',').next().unwrap_or(brokers).trim();
    let (host, port) = first.rsplit_once(':').unwrap_or((first, ""));
    let has_port = port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'));
    match has_port {
        true => first.to_owned(),
        false if first.contains(':') && !first.starts_with('[') => format!("[{first}]:9092"),
        false => format!("{first}:9092"),
    }
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

#[cfg(test)]
mod tests;
