//! Child processes with deadlines: the only place of this crate that looks at a clock or waits.
//!
//! A foreign process offers no event to wait for, so waiting is polling in small steps. Each wait has a deadline, and
//! the error names what was waited for.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(10);

/// Calls `condition` until it gives a value.
///
/// # Errors
/// When the deadline passes, with `what` in the text; or the condition's own error, at once.
pub fn until<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if start.elapsed() > deadline {
            return Err(format!("{what}: not within {} s", deadline.as_secs()));
        }
        thread::sleep(STEP);
    }
}

/// Lets a system under load run for a while, e.g. until the next crash of a crash test.
pub fn let_run(duration: Duration) {
    thread::sleep(duration);
}

/// Does `work` and says how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// Runs `command` with its output in files of `dir` (`<name>.out`, `<name>.err`) and no input.
///
/// # Errors
/// When it cannot be started or has not ended in time; it is then killed.
pub fn run(
    command: &mut Command,
    dir: &Path,
    name: &str,
    deadline: Duration,
) -> Result<(ExitStatus, String, String), String> {
    let (out, err) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
    let create = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(create(&out)?)
        .stderr(create(&err)?)
        .spawn()
        .map_err(|e| format!("cannot start {}: {e}", command.get_program().display()))?;
    let ended = wait(&mut child, name, deadline);
    if ended.is_err() {
        stop(&mut child);
    }
    let read = |path: &Path| {
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    };
    match ended {
        Ok(status) => Ok((status, read(&out), read(&err))),
        Err(error) => {
            Err(format!("{error}; it printed {:?}", last_lines(&(read(&out) + &read(&err)), 5)))
        }
    }
}

/// Waits for the end of a child.
///
/// # Errors
/// When the deadline passes; the child goes on.
pub fn wait(child: &mut Child, name: &str, deadline: Duration) -> Result<ExitStatus, String> {
    until(&format!("the end of {name}"), deadline, || child.try_wait().map_err(|e| e.to_string()))
}

/// SIGKILL and reaping of a child of ours. One that has ended is only reaped.
pub fn stop(child: &mut Child) {
    // An error means that it has ended already, which is what is wanted.
    let _ended = child.kill();
    let _status = child.wait();
}

/// The last `count` lines of a text, for messages.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
