//! The binary under test: single commands with their output, and servers that are told apart by their ports.
//!
//! Invariants:
//! - Nothing waits on the clock: a server is ready when it says so on standard error, a process has ended when the
//!   kernel says so. Every wait has an end ([`WAIT_MAX`]), past which the process is killed and the test fails.
//! - A server that a test leaves behind is killed when it is dropped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far longer than anything here takes on a loaded machine.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(120);

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// Standard output of a command that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Standard error of a command that ended with `code`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }
}

/// The binary without anything of the environment that could configure it.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lumadb"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LUMADB_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").env_remove("STATE_DIRECTORY");
    command
}

pub(crate) fn luma(args: &[&str]) -> Done {
    luma_with(args, b"")
}

pub(crate) fn luma_with(args: &[&str], input: &[u8]) -> Done {
    let mut command = binary();
    command.args(args);
    finish(command, input)
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command, input: &[u8]) -> Done {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that does not read is no failure of the test.
        let _ = stdin.write_all(&input);
    });
    let out = collect(child.stdout.take().expect("piped"));
    let err = collect(child.stderr.take().expect("piped"));
    let code = wait(child);
    writer.join().expect("no panic");
    Done { code, out: out.recv().expect("read"), err: err.recv().expect("read") }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (done, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = done.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// The exit code; 128 + n for a process that signal n ended.
pub(crate) fn wait(mut child: Child) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let pid = pid_of(&child);
    let (done, ended) = channel();
    std::thread::spawn(move || {
        let _ = done.send(child.wait());
    });
    match ended.recv_timeout(WAIT_MAX) {
        Ok(status) => {
            let status = status.expect("a child of this process");
            status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
        }
        Err(_) => {
            kill_process(pid, Signal::KILL).expect("it still runs");
            panic!("process {pid:?} did not end");
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).expect("a child has a pid")
}

/// A running `lumadb serve` or `lumadb demo`.
pub(crate) struct Server {
    child: Option<Child>,
    lines: Receiver<String>,
    /// What it said until it was ready.
    pub(crate) said: Vec<String>,
    /// What the ready file says.
    pub(crate) addrs: BTreeMap<String, String>,
    /// Holds the ready file, and the data of [`Server::start`].
    dir: TempDir,
}

impl Server {
    /// Serves an empty directory that goes with the server.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("data");
        Self::spawn(serve(&data), dir)
    }

    /// Serves `data`, which stays.
    pub(crate) fn start_in(data: &Path) -> Self {
        Self::spawn(serve(data), tempfile::tempdir().expect("a temporary directory"))
    }

    /// Starts `command` with a ready file and waits until it says that it is ready.
    pub(crate) fn spawn(mut command: Command, dir: TempDir) -> Self {
        let ready = dir.path().join("ready.json");
        command.arg("--ready-file").arg(&ready);
        let mut server = Self::started(command, dir);
        let text = std::fs::read_to_string(&ready).expect("written before the server says ready");
        server.addrs = serde_json::from_str(&text).expect("an object of texts");
        server
    }

    /// Starts `command` as it is; the addresses are those that it says.
    pub(crate) fn spawn_bare(command: Command) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut server = Self::started(command, dir);
        let line = server.said.last().expect("the line that says ready");
        let fields = line.split(' ').filter_map(|word| word.split_once('='));
        let listeners = fields.filter(|(name, _)| ["kafka", "pg", "http"].contains(name));
        server.addrs = listeners.map(|(name, addr)| (name.to_owned(), addr.to_owned())).collect();
        server
    }

    /// Starts `command` and waits until it says that it is ready.
    fn started(mut command: Command, dir: TempDir) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let err = BufReader::new(child.stderr.take().expect("piped"));
        let (line, lines) = channel();
        std::thread::spawn(move || {
            // Ends with the receiver, and then nobody reads what the server says.
            for text in err.lines().map_while(Result::ok) {
                if line.send(text).is_err() {
                    return;
                }
            }
        });
        let mut server =
            Self { child: Some(child), lines, said: Vec::new(), addrs: BTreeMap::new(), dir };
        server.read_until("ready_ms");
        server
    }

    /// Reads what the server says up to and with a line that contains `text`.
    pub(crate) fn read_until(&mut self, text: &str) {
        loop {
            match self.lines.recv_timeout(WAIT_MAX) {
                Ok(line) => {
                    let found = line.contains(text);
                    self.said.push(line);
                    if found {
                        return;
                    }
                }
                Err(_) => panic!("the server never said {text:?}: {:#?}", self.said),
            }
        }
    }

    pub(crate) fn kafka(&self) -> &str {
        &self.addrs["kafka"]
    }

    pub(crate) fn pg_url(&self) -> String {
        format!("postgres://luma@{}/luma", self.addrs["pg"])
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// Runs a command with `-b` and this server's address at its end.
    pub(crate) fn luma(&self, args: &[&str]) -> Done {
        self.luma_with(args, b"")
    }

    pub(crate) fn luma_with(&self, args: &[&str], input: &[u8]) -> Done {
        let all: Vec<&str> = args.iter().copied().chain(["-b", self.kafka()]).collect();
        luma_with(&all, input)
    }

    /// Body of a page of the HTTP listener.
    pub(crate) fn http(&self, path: &str) -> String {
        let mut socket =
            std::net::TcpStream::connect(&self.addrs["http"]).expect("the server listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("the server reads");
        let mut response = String::new();
        socket.read_to_string(&mut response).expect("the server answers");
        let (head, body) = response.split_once("\r\n\r\n").expect("an HTTP response");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        body.to_owned()
    }

    /// Closes the terminal: nobody reads standard error any more, and SIGHUP comes from the shell and from the kernel.
    pub(crate) fn hang_up(mut self) -> i32 {
        let child = self.child.take().expect("running");
        drop(std::mem::replace(&mut self.lines, channel().1));
        for _ in 0..2 {
            kill_process(pid_of(&child), Signal::HUP).expect("it runs");
        }
        wait(child)
    }

    /// Sends a signal and gives the exit code.
    pub(crate) fn end(mut self, signal: Signal) -> i32 {
        let child = self.child.take().expect("running");
        kill_process(pid_of(&child), signal).expect("it runs");
        wait(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `lumadb serve` on free ports.
pub(crate) fn serve(data: &Path) -> Command {
    let mut command = binary();
    command.args(["serve", "--kafka", "127.0.0.1:0", "--pg", "127.0.0.1:0"]);
    command.args(["--http", "127.0.0.1:0", "--cores", "1", "--data-dir"]).arg(data);
    command
}

/// The command with SIGHUP as `how` says, `default` or `ignore`, whatever it is for this process.
pub(crate) fn with_sighup(how: &str, command: &Command) -> Command {
    let mut env = Command::new("env");
    env.arg(format!("--{how}-signal=HUP")).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => env.env(name, value),
            None => env.env_remove(name),
        };
    }
    env
}
