"""One test's world: a directory that goes away, processes that are ended by their pid, and words for what was wrong.

A World ends everything it started, in reverse order, on every path. The pids also stand in a file, so that the runner
can end them when the test's own process had to be killed.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SEARCHABLE = 0o755                     # the MTA's own user must be able to walk to what is inside


class Failed(Exception):
    """The program did not do what the test says it does."""


class TimedOut(Exception):
    """A test used up its time."""


class Skipped(Exception):
    """This machine cannot run the test; the text says why."""


def need_namespaces(*kinds):
    """Skips where this machine gives no such namespaces ("--mount", "--net"); in a plain chroot it does not."""
    done = subprocess.run(["unshare", *kinds, "true"], stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Skipped(done.stderr)


def check(condition, text, *values):
    """The one assertion: `text` is formatted with `values` only when it is needed."""
    if not condition:
        raise Failed(text.format(*values))


def check_eq(got, want, what):
    if got != want:
        raise Failed(f"{what}: got {got!r}, want {want!r}")


def wait_for(probe, what, seconds=10.0, pause=0.02):
    """Calls `probe` until it gives something true, and gives that back."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"waited {seconds:g} s in vain for {what}")
        time.sleep(pause)


def free_port():
    """A loopback port that the kernel has just given and taken back."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def process_alive(pid):
    """Running, and not merely waiting for its parent to notice its end."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def process_rss(pid):
    """Resident octets, and the most there ever were."""
    with open(f"/proc/{pid}/status") as status:
        text = status.read()
    return tuple(int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) * 1024 for name in ("VmRSS", "VmHWM"))


class World:
    def __init__(self, options, name):
        self.options = options
        self.build = options.build
        self.dir = tempfile.mkdtemp(prefix=f"sekisho-{name}-", dir=options.tmp)
        os.chmod(self.dir, SEARCHABLE)
        self._pids = os.path.join(self.dir, "pids")
        self._closers = []
        self._taken = {}

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def new_dir(self, name):
        """A directory nobody has used yet: name, name2, ..."""
        taken = self._taken[name] = self._taken.get(name, 0) + 1
        path = self.path(f"{name}{taken if taken > 1 else ''}")
        os.makedirs(path)
        os.chmod(path, SEARCHABLE)
        return path

    def new_safe_dir(self, name):
        """The same where no parent is writable by all, as Sendmail wants it for what it trusts."""
        path = tempfile.mkdtemp(prefix=f"sekisho-{name}-", dir="/run")
        os.chmod(path, SEARCHABLE)
        if not self.options.keep:
            self.at_end(lambda: shutil.rmtree(path, ignore_errors=True))
        return path

    def program(self, name):
        path = os.path.join(self.build, name)
        if not os.access(path, os.X_OK):
            raise Failed(f"{path} is not there: build first")
        return path

    def at_end(self, closer):
        """`closer` runs when the world ends; the last one given runs first."""
        self._closers.append(closer)

    def note_pid(self, pid):
        with open(self._pids, "a") as pids:
            pids.write(f"{pid}\n")

    def spawn(self, argv, **kwargs):
        """Starts a process that the world will end."""
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **kwargs)
        self.note_pid(process.pid)
        self.at_end(lambda: end_process(process))
        return process

    def run(self, argv, seconds=60, **kwargs):
        """Runs a command to its end; text in and out."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        if "input" in kwargs:
            del kwargs["stdin"]
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds,
                              errors="surrogateescape", **kwargs)

    def close(self):
        while self._closers:
            try:
                self._closers.pop()()
            except Exception as problem:           # one broken neighbour must not leave the others running
                print(f"    while cleaning up: {problem}")
        if self.options.keep:
            print(f"    kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def end_process(process, seconds=15):
    """TERM, and KILL for one that does not listen."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def end_noted(directory):
    """For the runner, after a test's process was killed: ends what its world had started."""
    try:
        with open(os.path.join(directory, "pids")) as pids:
            noted = [int(line) for line in pids if line.strip().isdigit()]
    except OSError:
        return
    for pid in reversed(noted):
        if process_alive(pid) and directory_of(pid, directory):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def directory_of(pid, directory):
    """Is it still our process, or another one that inherited the number? Ours name their directory."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            return directory.encode() in cmdline.read() or os.readlink(f"/proc/{pid}/cwd").startswith(directory)
    except OSError:
        return False
