//! LumaDB as a process: `bench-server` beside this binary, or the full `lumadb`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::{Durability, Peer, SERVER_CPU};

const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Luma {
    program: PathBuf,
    /// The program is the full binary, with SQL and HTTP.
    full: bool,
    dir: PathBuf,
    reactor: String,
    running: Option<(Child, SocketAddr)>,
}

impl Luma {
    pub(crate) fn new(
        lumadb: Option<PathBuf>,
        dir: PathBuf,
        reactor: &str,
    ) -> anyhow::Result<Self> {
        let beside = || anyhow::Ok(std::env::current_exe()?.with_file_name("bench-server"));
        let full = lumadb.is_some();
        let program = lumadb.map_or_else(beside, Ok)?;
        if !program.exists() {
            bail!("{} is missing: build it first", program.display());
        }
        Ok(Self { program, full, dir, reactor: reactor.to_owned(), running: None })
    }

    fn words(&self) -> Vec<String> {
        let mut words =
            vec!["-c".to_owned(), SERVER_CPU.to_string(), self.program.display().to_string()];
        if self.full {
            words.push("serve".to_owned());
            for listener in ["--kafka", "--pg", "--http"] {
                words.extend([listener.to_owned(), "127.0.0.1:0".to_owned()]);
            }
        }
        words.extend(["--data-dir".to_owned(), self.dir.display().to_string()]);
        words.extend(["--reactor".to_owned(), self.reactor.clone()]);
        words.extend(["--cores".to_owned(), "1".to_owned()]);
        words.extend(["--ready-file".to_owned(), self.ready_file().display().to_string()]);
        words
    }

    fn ready_file(&self) -> PathBuf {
        self.dir.with_extension("ready")
    }
}

/// `127.0.0.1:PORT`, or the value of `"kafka"` in the full binary's JSON.
fn parse_ready(text: &str) -> Option<SocketAddr> {
    let plain = text.trim();
    if let Ok(addr) = plain.parse() {
        return Some(addr);
    }
    let rest = plain.split_once("\"kafka\"")?.1;
    rest.split('"').nth(1)?.parse().ok()
}

impl Peer for Luma {
    fn name(&self) -> String {
        format!("luma-{}", self.reactor)
    }

    fn start(&mut self) -> anyhow::Result<f64> {
        std::fs::create_dir_all(&self.dir)?;
        let ready = self.ready_file();
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let log = std::fs::File::create(self.dir.with_extension("log"))?;
        let started = Instant::now();
        let mut child = Command::new("taskset")
            .args(self.words())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start taskset")?;
        loop {
            if let Some(addr) =
                std::fs::read_to_string(&ready).ok().and_then(|text| parse_ready(&text))
            {
                let took = started.elapsed().as_secs_f64();
                self.running = Some((child, addr));
                return Ok(took);
            }
            if let Some(status) = child.try_wait()? {
                bail!("{} ended while starting: {status}", self.program.display());
            }
            if started.elapsed() > START_MAX {
                child.kill()?;
                bail!("{} was not ready in {START_MAX:?}", self.program.display());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    fn addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.running.as_ref().context("not running")?.1)
    }

    fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.running.as_ref().context("not running")?.0.id())
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        let Some((mut child, _)) = self.running.take() else { return Ok(()) };
        // `bench-server` ends with its standard input, the full binary with SIGTERM.
        drop(child.stdin.take());
        if self.full
            && let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(child.id())?)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let asked = Instant::now();
        while child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_MAX {
                child.kill()?;
                child.wait()?;
                bail!("the server did not stop in {STOP_MAX:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn topic_config(&self, durability: Durability) -> Vec<(String, String)> {
        let value = match durability {
            Durability::D0 => "async",
            Durability::D2 => "fsync",
        };
        vec![("luma.durability".to_owned(), value.to_owned())]
    }

    fn data_dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self) -> String {
        let shown = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let program = shown(&self.program).unwrap_or_default();
        let serve = if self.full { " serve" } else { "" };
        format!("taskset -c {SERVER_CPU} {program}{serve} --reactor {} --cores 1", self.reactor)
    }
}

impl Drop for Luma {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.running {
            // The run failed half-way; nothing of it may stay behind.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests;
