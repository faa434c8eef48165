//! What a person at a terminal meets: the SQL shell, questions, Ctrl-C and Ctrl-D.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::harness::{Server, WAIT_MAX, binary, wait};
use config_testkit::has;

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
/// How a line editor asks where the cursor is, and an answer.
const WHERE: &str = "\x1b[6n";
const HERE: &str = "\x1b[1;1R";

/// A command on a terminal of its own.
struct Screen {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// All that it has shown.
    shown: String,
}

impl Screen {
    /// `None` without the tool that makes terminals.
    fn open(args: &[&str]) -> Option<Self> {
        if !has("script", "bsdutils") {
            return None;
        }
        let lumadb = binary();
        let words = [lumadb.get_program().to_str().expect("text")].into_iter();
        let line: Vec<String> =
            words.chain(args.iter().copied()).map(|word| format!("'{word}'")).collect();
        let mut command = Command::new("script");
        command.args(["-qefc", &line.join(" "), "/dev/null"]).env("TERM", "xterm");
        for (name, value) in lumadb.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts");
        let keys = child.stdin.take().expect("piped");
        let mut from = child.stdout.take().expect("piped");
        let (chunk, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                // Nobody looks any more once the test has ended.
                let _ = chunk.send(bytes[..read].to_vec());
            }
        });
        Some(Self { child, keys, output, shown: String::new() })
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits until `text` stands on the screen, `from` bytes after its beginning; where what follows it begins.
    fn until(&mut self, from: usize, text: &str) -> usize {
        let mut asked = from;
        loop {
            if let Some(at) = self.shown[from..].find(text) {
                return from + at + text.len();
            }
            let chunk = self.output.recv_timeout(WAIT_MAX);
            let chunk = chunk.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&chunk));
            while let Some(at) = self.shown[asked..].find(WHERE) {
                asked += at + WHERE.len();
                self.press(HERE);
            }
        }
    }

    fn end(self) -> i32 {
        let Self { child, keys, .. } = self;
        let code = wait(child);
        drop(keys);
        code
    }
}

/// The prompt was green whatever NO_COLOR said.
#[test]
fn the_shell_answers_and_has_no_colour_where_none_is_wanted() {
    let server = Server::start();
    let Some(mut screen) = Screen::open(&["sql", &server.pg_url()]) else { return };
    let prompt = screen.until(0, "luma> ");
    screen.press("select 40 + 2 as answer;\r");
    let answered = screen.until(prompt, "│     42 │");
    let prompt = screen.until(answered, "luma> ");
    screen.press("select 1 / 0;\r");
    let failed = screen.until(prompt, "division by zero");
    screen.until(failed, "luma> ");
    for (at, _) in screen.shown.match_indices("\x1b[") {
        let rest = &screen.shown[at + 2..];
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(0);
        let colour = rest[digits..].starts_with('m') && !matches!(&rest[..digits], "" | "0");
        assert!(!colour, "{:?}", &rest[..digits + 1]);
    }
    screen.press(CTRL_D);
    assert_eq!(screen.end(), 0);
}

/// Ctrl-C did nothing there.
#[test]
fn ctrl_c_ends_a_question_and_an_answer_is_taken() {
    let server = Server::start();
    server.luma(&["topic", "create", "orders"]).ok();
    let delete = ["topic", "delete", "orders", "-b", server.kafka()];
    for (keys, code) in [(CTRL_C, 130), ("n\r", 1), (CTRL_D, 1), ("y\r", 0)] {
        assert!(server.luma(&["topic", "list"]).ok().contains("orders"));
        let Some(mut screen) = Screen::open(&delete) else { return };
        screen.until(0, "delete topic orders and its records? [y/N] ");
        screen.press(keys);
        assert_eq!(screen.end(), code, "{keys:?}");
    }
    assert_eq!(server.luma(&["topic", "list"]).ok(), "");
}

/// A third Ctrl-D was needed after a line without an end.
#[test]
fn produce_ends_with_the_keyboards_input() {
    let server = Server::start();
    let Some(mut screen) = Screen::open(&["produce", "typed", "-b", server.kafka()]) else {
        return;
    };
    let asked = screen.until(0, "Ctrl-D ends");
    screen.press("whole\r");
    assert_eq!(server.luma(&["consume", "typed", "-f", "-n", "1", "-F", "%v"]).ok(), "whole");
    screen.press("begun");
    screen.until(asked, "begun");
    screen.press(&CTRL_D.repeat(2));
    assert_eq!(screen.end(), 0);
    assert_eq!(server.luma(&["consume", "typed", "-F", "%v\\n"]).ok(), "whole\nbegun\n");
}
