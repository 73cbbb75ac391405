"""One Sekisho: its configuration as a Python dictionary, its daemon as a process, its records as dictionaries."""
import glob
import json
import os
import re
import secrets
import signal

from .harness import check, check_eq, end_process, free_port, process_alive, process_rss, wait_for
from .milter import wait_milter

MAIL_EVENTS = ("accepted", "rejected", "deferred", "held")

ZONE = "America/New_York"              # the daemon lives where it is not JST, and must not care

PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./:@+-]*[A-Za-z0-9_/]|[A-Za-z0-9]")


def yaml(value, depth=0):
    """Dictionaries, lists and scalars as the block YAML that a person would write."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{yaml_scalar(key)}:{yaml_beside(item, depth)}" for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}- {yaml(item, depth + 1).lstrip(' ')}" for item in value)
    return f"{pad}{yaml_scalar(value)}\n"


def yaml_beside(value, depth):
    """After a key: short things on its line, others below."""
    if isinstance(value, (dict, list)) and value:
        return "\n" + yaml(value, depth + 1)
    return f" {yaml_scalar(value)}\n"


def yaml_scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, dict, list)):
        return str(value) if isinstance(value, int) else ("{}" if isinstance(value, dict) else "[]")
    return value if PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def new_tracking_key(world):
    """The path of a key file for tracked links and signed senders."""
    path = world.path("tracking.key")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(f"1 {secrets.token_hex(64)}\n")
    return path


class Gate:
    def __init__(self, world, tenants, settings=None, start=True, log_dir=None):
        """`tenants`: name -> settings; `settings`: more of the top level, section by section."""
        self.world, self.dir = world, world.new_dir("gate")
        self.config_path = f"{self.dir}/sekisho.yaml"
        self.log_dir = log_dir or f"{self.dir}/log"
        self.process = None
        self.environment, self.wrap = {}, []       # more for the daemon from its next start; words before its name
        os.mkdir(f"{self.dir}/state")
        os.makedirs(self.log_dir, exist_ok=True)
        self.metrics_port = free_port()
        self.config = {
            "node": "gate1",
            "state_dir": f"{self.dir}/state",
            "milter": {"listen": f"unix:{self.dir}/milter.sock", "socket_mode": "0660", "socket_group": "postfix"},
            # How full this machine's disk is is nobody's fault here; a test about that says so.
            "relay_log": {"dir": self.log_dir, "key_file": f"{self.dir}/relay-log.key", "disk_warn": 0},
            "metrics": {"listen": f"127.0.0.1:{self.metrics_port}"},
            "log": {"to": "stderr", "level": "info"},
            "tenants": tenants,
        }
        for name, section in (settings or {}).items():
            self.config[name] = {**self.config.get(name, {}), **section} if isinstance(section, dict) else section
        self.socket = self.config["milter"]["listen"]
        self.write_config()
        self.make_key()
        if start:
            self.start()

    # --- configuration
    def write_config(self, text=None):
        """The configuration as it now stands, or any text instead of it."""
        with open(self.config_path, "w") as out:
            out.write(yaml(self.config) if text is None else text)

    def make_key(self):
        done = self.tool("key", "new")
        check(done.returncode == 0, "key new: {}{}", done.stdout, done.stderr)

    # --- the daemon
    def launch(self):
        """Without waiting for what becomes of it."""
        self.output = open(f"{self.dir}/daemon.log", "a")
        self.process = self.world.spawn([*self.wrap, self.world.program("sekisho-milter"), "-c", self.config_path, "-f"],
                                        stdout=self.output, stderr=self.output,
                                        env={**os.environ, "TZ": ZONE, **self.environment})

    def start(self):
        self.launch()
        try:
            wait_milter(self.socket)
        except Exception:
            print(self.log()[-2000:])
            raise

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_alive(self):
        return process_alive(self.process.pid)

    def stop(self):
        """TERM; the exit status."""
        end_process(self.process, 40)
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def reload(self, text=None):
        """SIGUSR1; waits until the daemon has said what became of it, and gives back what it said."""
        self.write_config(text)
        before = self.log().count("reload: ")
        os.kill(self.pid, signal.SIGUSR1)
        wait_for(lambda: self.log().count("reload: ") > before, "word of the reload")
        return self.log().rpartition("reload: ")[2].splitlines()[0]

    def log(self):
        with open(f"{self.dir}/daemon.log", errors="surrogateescape") as log:
            return log.read()

    def rss(self):
        """Resident octets of the daemon: now, and the most so far."""
        return process_rss(self.pid)

    # --- what operators use
    def tool(self, *arguments, **kwargs):
        return self.world.run([self.world.program("sekisho"), "-c", self.config_path, *arguments], **kwargs)

    def tool_ok(self, *arguments):
        done = self.tool(*arguments)
        check(done.returncode == 0, "sekisho {}: exit {}\n{}{}", " ".join(arguments), done.returncode, done.stdout,
              done.stderr)
        return done.stdout

    def tool_json(self, *arguments):
        return json.loads(self.tool_ok(*arguments, "--json"))

    def verify(self):
        """`log verify` must find nothing wrong; gives back what it said."""
        return self.tool_ok("log", "verify")

    def explain(self, **options):
        """The arguments of `explain`, as words: auth=..., client=..., rcpt=..."""
        return self.tool("explain", *(part for name, value in options.items() if value is not None
                                      for part in (f"--{name}", str(value))))

    # --- records
    def lines(self, kind="relay"):
        """The whole lines of a class, oldest first."""
        for path in sorted(glob.glob(f"{self.log_dir}/{kind}/*.jsonl"), key=file_order):
            with open(path, "rb") as log:
                yield from (line for line in log if line.endswith(b"\n"))

    def each_record(self, kind="relay"):
        return (json.loads(line.decode("utf-8", "surrogateescape")) for line in self.lines(kind))

    def records(self, kind="relay"):
        return list(self.each_record(kind))

    def mail_records(self, **want):
        """Records about messages; `want` narrows them by their members: event="accepted", tenant="acme"."""
        return [r for r in self.each_record() if r.get("event") in MAIL_EVENTS and all(r.get(k) == v for k, v in want.items())]

    def record_of(self, ref, event=None):
        """The record with this id, or of the message with this id. A refusal does not wait for its own."""
        found = wait_for(lambda: [r for r in self.mail_records() if ref in (r.get("id"), r.get("message"))],
                         f"a record with the id {ref}")
        if event:
            check_eq(found[-1]["event"], event, f"event of record {ref}")
        return found[-1]


def file_order(path):
    """2026-11-21.jsonl, then its parts .2, .3, ... in the order of their numbers."""
    day, _, part = os.path.basename(path)[:-len(".jsonl")].partition(".")
    return day, int(part or 1)
