//! One server under test: a `lumadb serve` process, or a real Kafka node when the scripts are to be proven.
//!
//! ```text
//!   start ──► ready file appears ──► addresses ──► kill_hard ──► restart on the same ports
//! ```
//!
//! Ports are chosen by the server (port 0) and read from its ready file; a restart asks for the same ones, since a
//! client that survives a crash comes back to the address it knows.

use crate::{process, tools};
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A debug build on a busy machine that replays a journal must fit.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// What the operating system calls `EADDRINUSE`.
const ADDRESS_IN_USE: &str = "Address already in use";

/// What lumadb says when another process has the data directory.
const DIRECTORY_IN_USE: &str = "is already in use by";

/// The bound addresses, `host:port`. Empty when the server has no such listener.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    pub kafka: String,
    pub pg: String,
    pub http: String,
}

/// A running server and its directory, which is removed with it.
#[derive(Debug)]
pub struct Server {
    dir: PathBuf,
    /// The data directory.
    data: PathBuf,
    extra: Vec<String>,
    kind: Kind,
    pub addresses: Addresses,
}

#[derive(Debug)]
enum Kind {
    Luma { binary: PathBuf, child: Child },
    Kafka,
}

impl Server {
    /// Starts a server with empty data. `name` keeps the directories of tests apart; `settings` are `key=value`
    /// configuration settings of lumadb.
    ///
    /// # Errors
    /// When it is not ready in time, with the end of its log.
    pub fn start(name: &str, settings: &[&str]) -> Result<Self, String> {
        Self::start_under(&|_| Vec::new(), name, settings)
    }

    /// As [`Server::start`], with the first start at the end of the command line that `wrapper` gives for the directory of
    /// the test. A restart goes without.
    ///
    /// # Errors
    /// When it is not ready in time, with the end of its log.
    pub fn start_under(
        wrapper: &dyn Fn(&Path) -> Vec<OsString>,
        name: &str,
        settings: &[&str],
    ) -> Result<Self, String> {
        let dir = scratch(name)?;
        let (data, wrapper) = (dir.join("data"), wrapper(&dir));
        Self::start_in(dir, data, &wrapper, settings)
    }

    /// As [`Server::start`], with the data below `disk`, which must be empty.
    ///
    /// # Errors
    /// When it is not ready in time, with the end of its log.
    pub fn start_on(disk: &Path, name: &str, settings: &[&str]) -> Result<Self, String> {
        Self::start_in(scratch(name)?, disk.join("data"), &[], settings)
    }

    fn start_in(
        dir: PathBuf,
        data: PathBuf,
        wrapper: &[OsString],
        settings: &[&str],
    ) -> Result<Self, String> {
        if env::var("LUMADB_E2E_PEER").is_ok_and(|peer| peer == "kafka") {
            return Self::start_kafka(dir, settings);
        }
        let binary = tools::lumadb()?;
        let extra: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let any = "127.0.0.1:0".to_owned();
        let wanted = Addresses { kafka: any.clone(), pg: any.clone(), http: any };
        let words = [wrapper, &[binary.clone().into_os_string()]].concat();
        let (child, addresses) = launch(&words, &dir, &data, &wanted, &extra)?;
        Ok(Self { dir, data, extra, kind: Kind::Luma { binary, child }, addresses })
    }

    fn start_kafka(dir: PathBuf, settings: &[&str]) -> Result<Self, String> {
        let mut start = Command::new(tools::repository().join("e2e/peers/kafka.sh"));
        start.arg("start").arg(dir.join("kafka"));
        // The settings that tests use have Kafka's names after our section's.
        start.args(
            settings
                .iter()
                .filter_map(|setting| setting.strip_prefix("kafka."))
                .map(|s| s.replace('_', "."))
                .map(|s| s.replace("auto.create.topics=", "auto.create.topics.enable=")),
        );
        let (status, out, err) = process::run(&mut start, &dir, "kafka-start", 2 * READY_DEADLINE)?;
        if !status.success() {
            return Err(format!("Kafka does not start: {err}"));
        }
        let addresses = Addresses { kafka: out.trim().to_owned(), ..Addresses::default() };
        Ok(Self { data: dir.clone(), dir, extra: Vec::new(), kind: Kind::Kafka, addresses })
    }

    /// Whether this is LumaDB and not the peer that proves the scripts.
    #[must_use]
    pub fn is_luma(&self) -> bool {
        matches!(self.kind, Kind::Luma { .. })
    }

    /// A directory for the files of a test, gone with the server.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The end of the server's log, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read(self.dir.join("server.log")).unwrap_or_default();
        process::last_lines(&String::from_utf8_lossy(&text), 20)
    }

    /// [`Server::crash`], then [`Server::restart`].
    ///
    /// # Errors
    /// Those of both.
    pub fn crash_and_restart(&mut self) -> Result<(), String> {
        self.crash()?;
        self.restart()
    }

    /// SIGKILL, at once.
    ///
    /// # Errors
    /// When the peer is Kafka, or the server has ended by itself.
    pub fn crash(&mut self) -> Result<(), String> {
        let Kind::Luma { child, .. } = &mut self.kind else {
            return Err("only lumadb is crashed".to_owned());
        };
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("the server ended by itself: {status}\n{}", self.log_tail()));
        }
        process::stop(child);
        Ok(())
    }

    /// Waits until the server ends by itself; the code it ends with.
    ///
    /// # Errors
    /// When the peer is Kafka, when a signal ended it, or when it goes on.
    pub fn ended(&mut self, deadline: Duration) -> Result<i32, String> {
        let Kind::Luma { child, .. } = &mut self.kind else {
            return Err("only lumadb is watched".to_owned());
        };
        let status = process::wait(child, "the server", deadline)?;
        status.code().ok_or_else(|| format!("the server: {status}"))
    }

    /// After a crash: `lumadb verify` must find every checksum and index right; then a start over the same data on the
    /// same ports.
    ///
    /// # Errors
    /// When the data is damaged, or the server does not come back.
    pub fn restart(&mut self) -> Result<(), String> {
        let Kind::Luma { binary, child } = &mut self.kind else {
            return Err("only lumadb is crashed".to_owned());
        };
        verify(binary, &self.dir, &self.data)?;
        // The kernel tears a killed process's io_uring down after the process itself is reaped, and its listening
        // sockets with it: an address may be in use for a moment longer.
        let (new, addresses) = process::until("a free address", READY_DEADLINE, || {
            let words = [binary.clone().into_os_string()];
            match launch(&words, &self.dir, &self.data, &self.addresses, &self.extra) {
                Ok(started) => Ok(Some(started)),
                Err(error) => {
                    let end = process::last_lines(&error, 2);
                    let busy = end.contains(ADDRESS_IN_USE) || end.contains(DIRECTORY_IN_USE);
                    if busy { Ok(None) } else { Err(error) }
                }
            }
        })?;
        *child = new;
        self.addresses = addresses;
        Ok(())
    }
}

/// Why the kernel refuses io_uring to `lumadb`, as `lumadb doctor` reports it; `None` when it does not.
///
/// `wrapper` is the beginning of the command line, for a process that runs the binary under some restriction.
///
/// # Errors
/// When the binary cannot be run or does not report the check.
pub fn io_uring_refusal(wrapper: &[&str], dir: &Path) -> Result<Option<String>, String> {
    let binary = tools::lumadb()?;
    let mut words = wrapper.iter().map(OsString::from).chain([binary.into_os_string()]);
    let mut doctor = Command::new(words.next().ok_or("no command")?);
    doctor.args(words).args(["doctor", "--format", "json", "--data-dir"]).arg(dir);
    let (_, out, err) = process::run(&mut doctor, dir, "doctor", READY_DEADLINE)?;
    let checks: serde_json::Value =
        serde_json::from_str(&out).map_err(|e| format!("lumadb doctor: {e}: {out}{err}"))?;
    let mut checks = checks.as_array().into_iter().flatten();
    let check = checks
        .find(|check| check["check"] == "io_uring")
        .ok_or_else(|| format!("lumadb doctor does not say whether there is io_uring: {out}"))?;
    if check["result"] == "ok" {
        return Ok(None);
    }
    Ok(Some(check["found"].as_str().unwrap_or("refused").to_owned()))
}

/// `lumadb verify` over the data of a server that was killed. As with its address, the killed process's lock may outlive
/// it for a moment.
fn verify(binary: &Path, dir: &Path, data: &Path) -> Result<(), String> {
    process::until("the lock of the data directory", READY_DEADLINE, || {
        let mut command = Command::new(binary);
        command.arg("verify").arg("--data-dir").arg(data);
        let (status, out, err) = process::run(&mut command, dir, "verify", READY_DEADLINE)?;
        if status.success() {
            return Ok(Some(()));
        }
        if err.contains(DIRECTORY_IN_USE) {
            return Ok(None);
        }
        Err(format!("lumadb verify after a crash: {status}\n{out}{err}"))
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Luma { child, .. } => process::stop(child),
            Kind::Kafka => {
                let stop = tools::repository().join("e2e/peers/kafka.sh");
                let _status = Command::new(stop).arg("stop").arg(self.dir.join("kafka")).status();
            }
        }
        if env::var_os("LUMADB_E2E_KEEP").is_none() {
            let _removed = fs::remove_dir_all(&self.dir);
        }
    }
}

/// An empty directory for the files of a test.
fn scratch(name: &str) -> Result<PathBuf, String> {
    let dir = env::temp_dir().join(format!("lumadb-e2e-{name}-{}", std::process::id()));
    let _absent = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    Ok(dir)
}

/// Starts `lumadb serve`; `words` is the beginning of the command line.
fn launch(
    words: &[OsString],
    dir: &Path,
    data: &Path,
    wanted: &Addresses,
    extra: &[String],
) -> Result<(Child, Addresses), String> {
    let ready = dir.join("ready.json");
    let _absent = fs::remove_file(&ready);
    let log_path = dir.join("server.log");
    let log =
        File::options().create(true).append(true).open(&log_path).map_err(|e| e.to_string())?;
    let (program, rest) = words.split_first().ok_or("no command")?;
    let mut serve = Command::new(program);
    serve.args(rest).arg("serve").arg("--data-dir").arg(data).arg("--ready-file").arg(&ready);
    serve.args(["--kafka", &wanted.kafka, "--pg", &wanted.pg, "--http", &wanted.http]);
    for setting in extra {
        serve.args(["--set", setting]);
    }
    serve.stdin(Stdio::null()).stdout(log.try_clone().map_err(|e| e.to_string())?).stderr(log);
    let mut child =
        serve.spawn().map_err(|e| format!("cannot start {}: {e}", program.display()))?;
    let started = process::until("the ready file", READY_DEADLINE, || {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("the server ended while starting: {status}"));
        }
        Ok(fs::read(&ready).ok())
    });
    let text = started.map_err(|error| {
        process::stop(&mut child);
        let log = fs::read(&log_path).unwrap_or_default();
        format!("{error}\n{}", process::last_lines(&String::from_utf8_lossy(&log), 20))
    })?;
    let parsed =
        serde_json::from_slice(&text).map_err(|e| format!("the ready file is no JSON: {e}"))?;
    let address = |key: &str| match &parsed {
        serde_json::Value::Object(map) => {
            map.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    };
    Ok((child, Addresses { kafka: address("kafka"), pg: address("pg"), http: address("http") }))
}
