"""A systemd-journald of the test's own, in a mount namespace: what the MTA logs is handed to it as syslog(3) would."""
import glob
import os
import re
import signal
import socket

from .harness import Skipped, need_namespaces, wait_for

JOURNALD = "/lib/systemd/systemd-journald"
SETTINGS = "[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\nRateLimitBurst=0\\n"
LINE = re.compile(rb"(\w{3} [ \d]\d [\d:]{8}) \S+ (.*)")


class Journal:
    """`mta_log` is what its lines are taken from, by feed()."""

    def __init__(self, world, mta_log):
        need_namespaces("--mount")
        if not os.access(JOURNALD, os.X_OK) or not os.path.exists("/etc/machine-id"):
            raise Skipped("needs systemd-journald and a machine id")
        with open(world.program("sekisho-milter"), "rb") as program:
            if b"sd_journal_open_directory" not in program.read():
                raise Skipped("built without libsystemd")
        self.world, self.mta_log, self.at = world, mta_log, 0
        self.sockets, self.dir = world.new_dir("journald"), world.new_dir("journal")
        self.start()

    def start(self):
        inside = ("mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal /run/systemd/journald.conf.d && "
                  f"mount --bind {self.sockets} /run/systemd/journal && mount --bind {self.dir} /run/log/journal && "
                  f"printf '{SETTINGS}' >/run/systemd/journald.conf.d/test.conf && exec {JOURNALD}")
        with open(self.world.path("journald.log"), "a") as log:
            self.process = self.world.spawn(["unshare", "--mount", "sh", "-c", inside], stdout=log, stderr=log)
        wait_for(lambda: self.answers() or self.process.poll() is not None, "a journal")
        if self.process.poll() is not None:
            raise Skipped(f"systemd-journald does not run here: {open(self.world.path('journald.log')).read()}")

    def connect(self):
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            journal.connect(f"{self.sockets}/dev-log")
        except OSError:
            journal.close()
            return None
        return journal

    def answers(self):
        journal = self.connect()
        if journal:
            journal.close()
        return journal and self.files()

    def files(self):
        return glob.glob(f"{self.dir}/*/*.journal")

    def rotate(self):
        """It renames its file, and begins another."""
        before = len(self.files())
        self.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: len(self.files()) > before, "another file")

    def feed(self):
        """The lines that the MTA has written since the last time."""
        with open(self.mta_log, "rb") as log, self.connect() as journal:
            log.seek(self.at)
            for line in log.read().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self.at += len(line)
                journal.send(b"<22>%s %s" % LINE.match(line).groups())
