"""One test's world: a directory that goes away, processes that are ended by their pid, and words for what was wrong.

A World ends everything it started, in reverse order, on every path. The pids also stand in a file, so that the runner
can end them when the test's own process had to be killed.
"""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import sanitizer

CRASHES = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP)
PORTS = (10240, 32768)                 # ip_local_port_range begins behind them
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


def need_own_memory(world):
    """Skips where a sanitizer's memory hides the program's own."""
    if world.is_sanitized:
        raise Skipped("memory is measured without sanitizers")


def fill_disk(directory):
    """Takes all the room there is; the file to remove."""
    path = f"{directory}/filler"
    with open(path, "wb", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                pass
    return path


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
    """A loopback port at which nobody listens, below those that the kernel hands out to connections meanwhile."""
    while True:
        port = random.randrange(*PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


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


def text_of(path):
    """What stands in a file, if it is one."""
    try:
        with open(path, errors="surrogateescape") as text:
            return text.read()
    except (OSError, TypeError):
        return ""


class World:
    def __init__(self, options, name):
        self.options = options
        self.build = options.build
        self.dir = tempfile.mkdtemp(prefix=f"sekisho-{name}-", dir=options.tmp)
        os.chmod(self.dir, SEARCHABLE)
        self._pids = os.path.join(self.dir, "pids")
        self._closers = []
        self._taken = {}
        self.patience = 15                     # seconds from SIGTERM to the end
        self._ours = []
        self._problems = []
        self.reports = self.path("reports")
        os.mkdir(self.reports)
        os.chmod(self.reports, 0o1777)        # programs that gave up root report too

    def troubles(self):
        """What nobody asked about: reports of sanitizers, and programs of ours that crashed or gave up. Each is told once."""
        found, self._problems = self._problems + sanitizer.take_reports(self.reports), []
        for process, output in [ours for ours in self._ours if ours[0].poll() is not None]:
            self._ours.remove((process, output))
            if process.returncode not in (0, -signal.SIGKILL):
                found.append(f"{' '.join(process.args)}: ended with {process.returncode}\n{text_of(output)[-2000:]}")
        return "".join(found)

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
        return self._new_outer_dir(name, "/run")

    def new_memory_dir(self, name):
        """The same on no disk."""
        return self._new_outer_dir(name, "/dev/shm")

    def _new_outer_dir(self, name, parent):
        path = tempfile.mkdtemp(prefix=f"sekisho-{name}-", dir=parent)
        os.chmod(path, SEARCHABLE)
        if not self.options.keep:
            self.at_end(lambda: shutil.rmtree(path, ignore_errors=True))
        return path

    def program(self, name):
        path = os.path.join(self.build, name)
        if not os.access(path, os.X_OK):
            raise Failed(f"{path} is not there: build first")
        return path

    @property
    def is_sanitized(self):
        """Built with a sanitizer: memory and speed are not those of the program."""
        with open(self.program("sekisho-milter"), "rb") as program:
            return re.search(rb"__[at]san_init\0", program.read()) is not None

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
        self.at_end(lambda: end_process(process, self.patience))
        if argv[0].startswith(self.build + os.sep):
            self._ours.append((process, getattr(kwargs.get("stderr"), "name", None)))
        return process

    def run(self, argv, seconds=60, **kwargs):
        """Runs a command to its end; text in and out."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        if "input" in kwargs:
            del kwargs["stdin"]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds,
                              errors="surrogateescape", **kwargs)
        if -done.returncode in CRASHES:
            self._problems.append(f"{' '.join(argv)}: crashed with {done.returncode}\n{done.stderr}")
        return done

    def close(self):
        """Ends everything; gives back the troubles of the end."""
        while self._closers:
            try:
                self._closers.pop()()
            except Exception as problem:           # one broken neighbour must not leave the others running
                self._problems.append(f"while cleaning up: {problem}\n")
        troubles = self.troubles()                 # leaks come to light when a program ends
        if self.options.keep:
            print(f"    kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        return troubles


def end_process(process, seconds=15):
    """TERM, and KILL for one that does not listen, which is a failure."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failed(f"{' '.join(process.args)}: did not end within {seconds} s of SIGTERM") from None


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
