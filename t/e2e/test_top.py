"""sekisho top on a terminal: it draws, follows the window, and leaves the terminal as it was, however it ends."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from lib.harness import Skipped, check, check_eq, process_alive, wait_for
from lib.relay import Relay, accepted
from lib.smtp import message

TO = "someone@example.test"
LEAVE = b"\x1b[?25h\x1b[?1049l"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}], "quotas": [{"name": "hourly", "limit": "10/hour", "counts": "recipients"}]},
           "ginza": {"match": [{"auth": "*@ginza.test"}]}}


def setup(world):
    world.relay = Relay(world, TENANTS)
    for login, count in (("a@acme.test", 3), ("b@ginza.test", 1)):
        with world.relay.client(LOGIN=login) as client:
            for _ in range(count):
                accepted(client.send(login, [TO], message(login, TO)))


class Screen:
    """The command on a terminal of its own, and what it has written there."""

    def __init__(self, world, *arguments, rows=24, columns=80, kind="xterm"):
        try:
            self.master, slave = pty.openpty()
        except OSError as why:
            raise Skipped(f"no terminal: {why}") from why
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        gate = world.relay.gate
        self.process = subprocess.Popen([world.program("sekisho"), "-c", gate.config_path, "top", *arguments], stdin=slave,
                                        stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env={**os.environ, "TERM": kind, "LANG": "C.UTF-8", "LC_ALL": ""})
        world.note_pid(self.process.pid)
        world.at_end(self.process.kill)
        self.slave, self.written = slave, b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                self.written += os.read(self.master, 65536)
            except OSError:
                break
        return self.written

    def wait(self, text):
        return wait_for(lambda: text in self.read(), f"{text!r} on the screen (there is {self.written[-600:]!r})")

    def press(self, keys):
        os.write(self.master, keys)

    def left_well(self, what):
        check_eq(termios.tcgetattr(self.slave), self.before, f"the terminal's settings after {what}")
        check(self.read().endswith(LEAVE), "after {} the screen is not given back: {}", what, self.written[-80:])


def test_draws(world):
    """it shows the gate and its tenants, and q leaves"""
    screen = Screen(world, "--interval", "1s")
    for text in (b"acme", b"ginza", b"MSG/MIN", b"30 %", b"q quit"):
        screen.wait(text)
    screen.press(b"n")
    screen.press(b"?")
    screen.wait(b"the other way round")
    screen.press(b"q")
    check_eq(screen.process.wait(10), 0, "exit")
    screen.left_well("q")


def test_follows_the_window(world):
    """a window that grows shows more, one that shrinks no line too long"""
    screen = Screen(world)
    screen.wait(b"q quit")
    check(b"FULLEST" not in screen.written, "80 columns have no room for that")
    screen.resize(50, 200)
    screen.wait(b"FULLEST QUOTA")
    screen.written = b""
    screen.resize(12, 40)
    screen.wait(b"\x1b[12H")
    time.sleep(0.2)
    for line in re.split(rb"\x1b\[\d+H", screen.read())[1:]:
        check(len(re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", line)) <= 40, "too long: {}", line)
    screen.press(b"q")
    screen.process.wait(10)


def test_draws_what_changed(world):
    """a frame like the one before costs nearly nothing"""
    screen = Screen(world, "--interval", "1s")
    screen.wait(b"q quit")
    first = len(screen.read())
    time.sleep(3.5)
    later = len(screen.read()) - first
    check(0 < later < 3 * first / 2, "first frame {} octets, the next three {}", first, later)
    screen.press(b"q")
    screen.process.wait(10)


def test_every_exit(world):
    """whatever ends it, the terminal is as it was"""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT):
        screen = Screen(world)
        screen.wait(b"q quit")
        screen.process.send_signal(number)
        wait_for(lambda: screen.process.poll() is not None, f"its end by {number.name}")
        screen.left_well(number.name)
    screen = Screen(world)
    screen.wait(b"q quit")
    screen.press(b"\x03")
    check_eq(screen.process.wait(10), 0, "exit by ^C")
    screen.left_well("^C")


def test_stopped(world):
    """^Z gives the terminal back for a while"""
    screen = Screen(world)
    screen.wait(b"q quit")
    screen.press(b"\x1a")

    def stopped():
        with open(f"/proc/{screen.process.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"

    wait_for(stopped, "the stop")
    screen.left_well("^Z")
    screen.written = b""
    screen.process.send_signal(signal.SIGCONT)
    screen.wait(b"q quit")
    screen.press(b"q")
    check_eq(screen.process.wait(10), 0, "exit")


def test_japanese(world):
    """in Japanese, by option or by the locale"""
    screen = Screen(world, "--lang", "ja")
    screen.wait("テナント".encode())
    screen.press(b"q")
    screen.process.wait(10)
    screen.left_well("q")


def test_once(world):
    """once, for scripts; and status --json tells the same"""
    gate = world.relay.gate
    lines = gate.tool_ok("top", "--once").splitlines()
    row = next(line.split() for line in lines if line.startswith(" acme "))
    check_eq(row[1:3], ["3", "3"], "messages and recipients of the minute")
    told = {t["name"]: t for t in json.loads(gate.tool_ok("status", "--json"))["tenants"]}
    check_eq((told["acme"]["total"]["accepted"], told["acme"]["quota"]), (3, {"name": "hourly", "used": 3, "limit": 10}), "acme")
    check_eq(told["ginza"]["today"], {"delivered": 0, "bounced": 0, "complaints": 0}, "ginza")


def test_no_terminal(world):
    """without a terminal, or without a gate, it says so"""
    gate = world.relay.gate
    done = gate.tool("top")
    check(done.returncode == 2 and "--once" in done.stderr, "no terminal: {} {}", done.returncode, done.stderr)
    screen = Screen(world, kind="dumb")
    screen.wait(b"TERM=dumb")
    check_eq(screen.process.wait(10), 2, "exit on a dumb terminal")
    watching = Screen(world, "--interval", "1s")
    watching.wait(b"q quit")
    gate.stop()
    watching.wait(b"does not answer")
    done = gate.tool("top", "--once")
    check(done.returncode == 1 and "does not answer" in done.stderr, "no gate: {} {}", done.returncode, done.stderr)
    gate.start()
    watching.wait(b"embedded")
    watching.press(b"q")
    watching.process.wait(10)
    check(not process_alive(watching.process.pid), "it is still there")
