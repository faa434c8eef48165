//! The `rdkafka` crate against a broker: every operation of the client table. Prints the JSON lines that
//! `e2e/clients/python/common.py` describes.
//!
//! `records` has what is sent and how it is compared; `operations` has one function for each column of the table.

mod operations;
mod records;

use serde_json::json;
use std::{env, panic, process::ExitCode, time::Instant};

/// Where the broker is, and what the names of topics and groups begin with.
pub struct Target {
    pub bootstrap: String,
    pub prefix: String,
}

fn argument(name: &str) -> Option<String> {
    let arguments: Vec<String> = env::args().collect();
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).cloned()
}

/// What a panic said: an operation fails by a failed assertion.
fn said(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
}

fn main() -> ExitCode {
    let target = Target {
        bootstrap: argument("--bootstrap").expect("--bootstrap host:port"),
        prefix: argument("--prefix").unwrap_or_else(|| "e2e".to_owned()) + "-rdkafka",
    };
    println!("{}", json!({"client": "rdkafka (Rust)", "version": env!("RDKAFKA_VERSION")}));
    let mut failed = false;
    for (name, operation) in operations::ALL {
        let start = Instant::now();
        let ended = panic::catch_unwind(|| operation(&target));
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (result, detail) = match ended {
            Ok(()) => ("ok", String::new()),
            Err(cause) => ("failed", said(cause.as_ref()).chars().take(500).collect()),
        };
        failed |= result == "failed";
        println!("{}", json!({"operation": name, "result": result, "detail": detail, "ms": ms}));
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
