//! `lumadb serve`: configuration, lock, start, banner, ready file, and the wait for a reason to end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use client_cli::{
    Exit, Failure, ServeArgs, Terminal, default_data_dir, lock_data_dir, notify_ready,
    write_ready_file,
};
use config_schema::{Loaded, Sources, load};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::logging;
use crate::server::{Ports, Running, start, tokio_runtime};

pub(crate) fn run(args: &ServeArgs, terminal: &mut Terminal) -> Result<(), Failure> {
    let began = Instant::now();
    let loaded = configuration(args)?;
    logging::install(&loaded.config.logging, terminal.color)?;
    let data_dir = data_dir(&loaded)?;
    let ports = Ports::bind(&loaded)?;
    let _lock = lock_data_dir(&data_dir)?;
    let mut running = start(&loaded, ports, data_dir.clone(), tokio_runtime()?)?;
    let signals = Signals::install(&running.runtime)?;
    if let Some(path) = &args.ready_file {
        write_ready_file(path, &addresses(&running))?;
    }
    if let Some(socket) = std::env::var("NOTIFY_SOCKET").ok().filter(|name| !name.is_empty())
        && let Err(failure) = notify_ready(&socket)
    {
        tracing::warn!("{failure}");
    }
    banner(&running, &data_dir.display().to_string(), began.elapsed(), terminal);
    let ended = wait(&mut running, signals, None);
    let stopped = running.stop();
    ended.and(stopped)
}

/// # Errors
/// `Usage` with the origin of what is wrong.
pub(crate) fn configuration(args: &ServeArgs) -> Result<Loaded, Failure> {
    let overrides = args.overrides().map_err(Failure::usage)?;
    Ok(load(&Sources::of_process(&args.config.config, overrides)?)?)
}

/// The configured data directory, else the user's.
///
/// # Errors
/// `Usage` when there is neither.
pub(crate) fn data_dir(loaded: &Loaded) -> Result<PathBuf, Failure> {
    match loaded.config.node.data_dir.as_str() {
        "" => default_data_dir(|name| std::env::var(name).ok()),
        dir => Ok(PathBuf::from(dir)),
    }
}

pub(crate) fn addresses(running: &Running) -> [(&'static str, std::net::SocketAddr); 3] {
    [("kafka", running.kafka), ("pg", running.pg), ("http", running.http)]
}

/// On a terminal a short tree, elsewhere one structured event.
pub(crate) fn banner(running: &Running, data: &str, took: Duration, terminal: &mut Terminal) {
    let (name, reason) = &running.reactor;
    let cores = running.cores;
    for note in &running.notes {
        tracing::warn!("{note}");
    }
    if !terminal.stdout_is_tty {
        let (kafka, pg, http) = (running.kafka, running.pg, running.http);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%kafka, %pg, %http, cores, reactor = name, reason, data, ready_ms = ms, "ready");
        return;
    }
    let (bold, plain) = if terminal.color { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    terminal.note(&format!(
        "{bold}LumaDB {}{plain}  ·  ready in {:.2} s  ·  {cores} cores, {name} ({reason})  ·  data {data}\n\
         ├─ SQL       psql postgres://luma@{}/luma  ·  lumadb sql postgres://luma@{}/luma\n\
         ├─ Kafka     {}  ·  lumadb topic list -b {}\n\
         └─ HTTP      http://{}/metrics /stats /health /ready /live\n\
         Acknowledged records are synced to disk. Ctrl-C stops.",
        env!("CARGO_PKG_VERSION"),
        took.as_secs_f64(),
        running.pg,
        running.pg,
        running.kafka,
        running.kafka,
        running.http,
    ));
}

/// SIGTERM, Ctrl-C and the end of the terminal; installed before anybody is told that the server runs, so that none is missed.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` when whoever started the process had it ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl Signals {
    /// # Errors
    /// When the kernel refuses a handler.
    pub(crate) fn install(runtime: &Runtime) -> Result<Self, Failure> {
        let _inside = runtime.enter();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Resolves at the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = hung_up(&mut self.hangup) => {}
        }
    }

    /// Resolves when somebody asks once more. A terminal that goes away sends its signal from several sides, which is no
    /// impatience.
    async fn asked_again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => _ = hangup.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP was ignored when the process began: bit 0 of `SigIgn` in `proc(5)`'s status.
fn hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// Waits for a signal, which is a clean end, or for the node to fail. From then on a second signal ends the process
/// at once; a `temporary` directory is removed even then, as far as the running server lets it.
///
/// # Errors
/// The node's failure.
pub(crate) fn wait(
    running: &mut Running,
    mut signals: Signals,
    temporary: Option<PathBuf>,
) -> Result<(), Failure> {
    let handle = running.runtime.handle().clone();
    handle.block_on(async {
        let ended = tokio::select! {
            failure = running.failed() => {
                tracing::error!(%failure, "the node failed");
                Err(failure)
            }
            () = signals.next() => Ok(()),
        };
        tracing::info!("stopping");
        tokio::spawn(async move {
            signals.asked_again().await;
            if let Some(dir) = temporary {
                // The process ends with or without it.
                let _ = std::fs::remove_dir_all(dir);
            }
            std::process::exit(i32::from(Exit::Interrupted as u8));
        });
        ended
    })
}
