"""The interactive `lumadb sql` on a terminal, as a person uses it: keys in, a screen out.

    sql_shell.py LUMADB KAFKA PG

The shell runs on a pseudo-terminal; pyte is the terminal, and answers what the line editor asks it. Each step waits for
what must stand on the screen. Ends with an error that shows the screen when it does not come.
"""
import fcntl
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import time

import pyte
from confluent_kafka import Producer

LUMADB, KAFKA, PG = sys.argv[1:]
COLUMNS, LINES = 100, 40
DEADLINE_S = 30
UP, TAB, ENTER, CTRL_C = b"\x1b[A", b"\t", b"\r", b"\x03"
ROWS = 300


class Shell:
    """A `lumadb sql` on a terminal of its own."""

    def __init__(self, home):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.pop("NO_COLOR", None)  # without colours the menu of completions is in capitals
            os.environ.update(HOME=home, TERM="xterm-256color")
            os.execv(LUMADB, [LUMADB, "sql", f"postgres://luma@{PG}/luma"])
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.screen = pyte.HistoryScreen(COLUMNS, LINES, history=10_000)
        # What the terminal answers, e.g. where the cursor is.
        self.screen.write_process_input = lambda text: os.write(self.terminal, text.encode())
        self.stream = pyte.ByteStream(self.screen)
        self.see("? for help")
        self.at_prompt()

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def pump(self, seconds):
        """Shows what the shell writes within that time; false when it has ended."""
        if select.select([self.terminal], [], [], seconds)[0]:
            try:
                data = os.read(self.terminal, 1 << 16)
            except OSError:  # Linux: the other end is closed
                return False
            self.stream.feed(data)
            return bool(data)
        return True

    def until(self, what, condition):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert self.pump(0.1), f"the shell ended while waiting for {what}:\n{self.text()}"
            assert time.monotonic() < end, f"{what}: not within {DEADLINE_S} s; the screen:\n{self.text()}"

    def see(self, text):
        self.until(f"{text!r} on the screen", lambda: text in self.text())

    def line(self):
        """The line of the cursor."""
        return self.screen.display[self.screen.cursor.y].rstrip()

    def at_prompt(self):
        self.until("an empty prompt", lambda: self.line() == "luma>")

    def type(self, keys):
        os.write(self.terminal, keys if isinstance(keys, bytes) else keys.encode())

    def clear(self):
        """Ctrl-L, so that what is seen next is new."""
        self.type(b"\x0c")
        self.until("a screen with nothing but the prompt", lambda: self.text().strip() == "luma>")

    def run(self, statement, *seen):
        """Runs a statement at an empty screen, whose result must show."""
        self.clear()
        self.type(statement.encode() + ENTER)
        for text in seen:
            self.see(text)
        self.at_prompt()

    def end(self):
        self.type(b"\\q" + ENTER)
        while self.pump(1):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def fill():
    producer = Producer({"bootstrap.servers": KAFKA})
    for i in range(ROWS):
        for topic in ("zebra_crossings", "Giraffe-1"):
            producer.produce(topic, b'{"id": %d, "town": "t%d"}' % (i, i % 7), partition=0)
    assert producer.flush(DEADLINE_S) == 0


def describes(shell):
    shell.run("\\d", "zebra_crossings")
    shell.run("\\dt", "zebra_crossings")
    shell.run("\\d zebra_crossings", "id", "bigint", "town", "text")
    shell.run("\\l", "luma")
    shell.run("\\nonsense", "unknown command \\nonsense")


def statement_over_lines(shell):
    shell.clear()
    shell.type(b"select count(*) as crossings" + ENTER)
    shell.see("select count(*) as crossings\n:::")
    shell.type(b"from zebra_crossings;" + ENTER)
    shell.see(str(ROWS))
    shell.at_prompt()


def completion(shell):
    for begun, whole in ((b"zeb", "zebra_crossings"), (b'"Gir', '"Giraffe-1"')):
        shell.clear()
        shell.type(b"select max(id) from " + begun + TAB)
        shell.see("\n" + whole)
        shell.type(ENTER)
        shell.until("the completed word", lambda: shell.line().endswith("from " + whole))
        shell.type(b";" + ENTER)
        shell.see(str(ROWS - 1))
        shell.at_prompt()


def errors(shell):
    shell.run("select nothing_like_it from zebra_crossings;", "42703", "nothing_like_it")
    shell.run("select 6 * 7 as answer;", "answer", "42")


def interrupts(shell):
    shell.clear()
    shell.type(b"select is never finished")
    shell.see("never finished")
    shell.type(CTRL_C)
    shell.at_prompt()
    shell.clear()
    four = ", ".join(f"zebra_crossings {name}" for name in "abcd")
    shell.type(f"select count(*) from {four} where a.id + b.id + c.id + d.id = 7;".encode() + ENTER)
    # It is running, not being edited, when the terminal turns the key into a signal. A key that comes before the server
    # has the statement cancels nothing: a person presses it again.
    shell.until("the end of editing", lambda: termios.tcgetattr(shell.terminal)[3] & termios.ISIG)
    pressed = 0.0

    def cancelled():
        nonlocal pressed
        if "57014" in shell.text():
            return True
        if time.monotonic() > pressed + 1:
            pressed = time.monotonic()
            shell.type(CTRL_C)
        return False

    shell.until("a cancelled statement", cancelled)
    shell.at_prompt()
    shell.run("select 1 + 1 as still_there;", "still_there", "2")


def history(home):
    shell = Shell(home)
    shell.type(UP)
    shell.until("the last line of the session before", lambda: shell.line().endswith("\\q"))
    shell.type(UP)
    shell.until("the statement before it", lambda: shell.line().endswith("as still_there;"))
    shell.type(ENTER)
    shell.see("still_there")
    shell.at_prompt()
    assert shell.end() == 0


def main():
    fill()
    with tempfile.TemporaryDirectory() as home:
        shell = Shell(home)
        for step in (describes, statement_over_lines, completion, errors, interrupts):
            step(shell)
            print(f"{step.__name__}: ok", flush=True)
        assert shell.end() == 0, "leaving the shell is no error"
        history(home)
        print("history: ok", flush=True)


main()
