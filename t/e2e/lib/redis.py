"""Redis servers for tests: one alone, and what contrib/redis.sh starts (Sentinels, a Cluster); each on loopback.

REDIS_SERVER names the program, so that the same tests run against Valkey.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from .harness import Skipped, check, end_process, free_port, process_alive, wait_for
from .listener import serve

SERVER = os.environ.get("REDIS_SERVER", "redis-server")
SCRIPT = os.path.join(os.path.dirname(__file__), "../../../contrib/redis.sh")


class RedisError(Exception):
    """An answer that begins with a minus."""


def need_redis():
    if not shutil.which(SERVER):
        raise Skipped(f"{SERVER} is not installed")


class Server:
    """One server to talk to: its port, its process."""

    def __init__(self, port, pid_of):
        self.port, self._pid_of = port, pid_of

    @property
    def pid(self):
        return self._pid_of()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def ask(self, *words, seconds=5.0):
        """One command, one answer: text, number, None, or a list of such."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as peer:
            parts = [str(word).encode() for word in words]
            peer.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with peer.makefile("rb") as stream:
                return read_answer(stream)

    def try_ask(self, *words):
        """The same; None when there is no answer, or an error."""
        try:
            return self.ask(*words, seconds=1.0)
        except (OSError, RedisError, ValueError):
            return None

    def info(self, section):
        return dict(line.split(":", 1) for line in self.ask("INFO", section).splitlines() if ":" in line)

    def calls(self, command):
        """How often it was told this command, since `listen`."""
        found = self.info("commandstats").get(f"cmdstat_{command}", "calls=0")
        return int(re.search(r"calls=(\d+)", found)[1])

    def listen(self):
        """From here on `calls` and `questions` count."""
        self.ask("CONFIG", "RESETSTAT")
        self.ask("CONFIG", "SET", "slowlog-log-slower-than", 0)
        self.ask("SLOWLOG", "RESET")

    def questions(self, tenant):
        """How often it was told to run a script on keys of this tenant: relays also ask of their own accord, for nobody."""
        told = [entry[3] for entry in self.ask("SLOWLOG", "GET", 128)]
        return sum(words[0].lower() == "evalsha" and any(f"{{{tenant}}}" in word for word in words) for words in told)

    @property
    def role(self):
        return (self.try_ask("ROLE") or ["away"])[0]

    def kill(self):
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not process_alive(pid), "a killed server to be gone")

    def stall(self):
        """Alive, and silent."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)


def read_answer(stream):
    line = stream.readline()
    kind, rest = line[:1], line[1:].strip().decode(errors="replace")
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if kind == b"-":
        raise RedisError(rest)
    if kind == b"$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == b"*":
        return None if rest == "-1" else [read_answer(stream) for _ in range(int(rest))]
    raise ValueError(f"no answer: {line!r}")


class Redis(Server):
    """One server alone."""

    def __init__(self, world, *options):
        need_redis()
        super().__init__(free_port(), lambda: self.process.pid)
        self.world, self.dir, self.options = world, world.new_dir("redis"), options
        self.start()

    def start(self):
        self.process = self.world.spawn([SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir",
                                         self.dir, "--logfile", f"{self.dir}/log", *self.options],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.try_ask("PING") == "PONG", "Redis to answer")

    def stop(self):
        end_process(self.process)

    def settings(self, **more):
        return {"backend": "redis", "redis": {"addresses": [self.address]}, **more}


class Lab:
    """Several servers, by the names that contrib/redis.sh gives them."""

    def __init__(self, world, kind):
        need_redis()
        self.world, self.dir = world, f"{world.new_dir('lab')}/{kind}"
        world.at_end(lambda: world.run([SCRIPT, "-d", self.dir, "stop"]))
        done = world.run([SCRIPT, "-d", self.dir, "-t", "15", "start", kind], 120)
        check(done.returncode == 0, "redis.sh start {}: {}{}", kind, done.stdout, done.stderr)
        self.servers = {name: self._server(name) for name in os.listdir(self.dir) if os.path.exists(f"{self.dir}/{name}/port")}
        for server in self.servers.values():
            world.note_pid(server.pid)

    def _server(self, name):
        def read(what):
            with open(f"{self.dir}/{name}/{what}") as text:
                return int(text.read())
        return Server(read("port"), lambda: read("pid"))

    def __getitem__(self, name):
        return self.servers[name]

    def named(self, prefix):
        return [server for name, server in sorted(self.servers.items()) if name.startswith(prefix)]

    def masters(self):
        return [s for name, s in sorted(self.servers.items()) if not name.startswith("sentinel") and s.role == "master"]


class Proxy:
    """Stands before a server and does to its answers what networks do."""

    def __init__(self, world, server):
        self.delay, self.cut_every = 0.0, 0        # seconds before each piece; every so manieth piece is cut in half
        self._to, self._pieces, self._lock = server.port, 0, threading.Lock()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        serve(world, listener, self._connect)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _connect(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self._to))
        except OSError:                            # as far as the client can see, it is refused here
            client.close()
            return
        threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
        self._pass(server, client, True)

    def hear(self, data):
        """A piece from the client, for who wants to know."""

    def _is_cut(self):
        with self._lock:
            self._pieces += 1
            return self.cut_every and self._pieces % self.cut_every == 0

    def _pass(self, source, sink, is_answer):
        """Pieces keep their order and their distance, so a delay is that of a long line, not of a narrow one."""
        pieces, ready, is_over = [], threading.Condition(), []
        threading.Thread(target=self._collect, args=(source, pieces, ready, is_over), daemon=True).start()
        while True:
            with ready:
                ready.wait_for(lambda: pieces or is_over)
                if not pieces:
                    break
                came, data = pieces.pop(0)
            if not is_answer:
                self.hear(data)
            is_cut = is_answer and self._is_cut()
            time.sleep(max(0.0, came + (self.delay if is_answer else 0) - time.monotonic()))
            try:
                sink.sendall(data[:len(data) // 2] if is_cut else data)
            except OSError:
                break
            if is_cut:
                break
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _collect(source, pieces, ready, is_over):
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            with ready:
                if data:
                    pieces.append((time.monotonic(), data))
                else:
                    is_over.append(True)
                ready.notify()
            if not data:
                return


def failed_over(lab, before):
    """The master now, when it is another one than before."""
    for server in lab.masters():
        if server.port != before.port:
            return server
    return None


def settled(lab):
    """The one master, when all Sentinels agree on it."""
    named = {tuple(s.try_ask("SENTINEL", "get-master-addr-by-name", "relay") or ()) for s in lab.named("sentinel")}
    masters = lab.masters()
    return masters[0] if len(masters) == 1 and named == {("127.0.0.1", str(masters[0].port))} else None


def failovers(lab):
    """How many there were. A busy machine makes Sentinels give up a master that lives."""
    words = lab["sentinel1"].ask("SENTINEL", "MASTER", "relay")
    return int(words[words.index("config-epoch") + 1])

