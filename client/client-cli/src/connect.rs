//! Connecting, and the small runtime that the Kafka commands run on.

use std::net::Ipv6Addr;

use client_kafka::Client;

use crate::args::BrokerArgs;
use crate::exit::{Exit, Failure};

pub(crate) async fn connect(broker: &BrokerArgs) -> Result<Client, Failure> {
    let addr = first_broker(&broker.brokers)?;
    Ok(Client::connect(&addr, "lumadb-cli", broker.timeout()).await?)
}

/// Of several brokers the first: one server answers for all. Without a port it has Kafka's.
///
/// # Errors
/// `Usage` for what is no address.
fn first_broker(brokers: &str) -> Result<String, Failure> {
    let first = brokers.split(',').next().unwrap_or(brokers).trim();
    host_and_port(first, 9092).ok_or_else(|| {
        Failure::usage(format!("{first:?} is no address of a server"))
            .hint("an address is HOST:PORT, such as 127.0.0.1:9092")
    })
}

/// `HOST:PORT` from that, or from a host alone; `None` for what is neither.
pub(crate) fn host_and_port(text: &str, default_port: u16) -> Option<String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("[{text}]:{default_port}"));
    }
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, default_port),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', '@', ' ']),
    };
    is_host.then(|| format!("{host}:{port}"))
}

/// Runs a command to its end, or until Ctrl-C. Nothing else ends one then: a command reads standard input through
/// [`crate::input`], and never in place.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            // Caught from before the command begins.
            biased;
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
            done = command => done,
        }
    })
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `KEY=VALUE` arguments, in the words of the flag's help: `shape`.
pub(crate) fn pairs(
    flag: &str,
    shape: &str,
    texts: &[String],
) -> Result<Vec<(String, String)>, Failure> {
    let one = |text: &String| {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Failure::usage(format!("{flag} {text:?}: expected {shape}")))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    texts.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
