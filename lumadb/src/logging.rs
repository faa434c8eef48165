//! Structured logs on standard error.

use client_cli::Failure;
use config_schema::Logging;
use tracing_subscriber::EnvFilter;

/// Installs the subscriber; called once per process.
///
/// # Errors
/// `Usage` when `logging.level` is no filter.
pub(crate) fn install(logging: &Logging, color: bool) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&logging.level)
        .map_err(|error| Failure::usage(format!("logging.level = {:?}: {error}", logging.level)))?;
    // A terminal that is gone takes no lines; complaining about that there would panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let installed = if logging.format == "json" {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(color).try_init()
    };
    installed.map_err(|error| Failure::usage(format!("cannot install the log: {error}")))
}
