"""One fault's place: a relay with mail flowing through it, things to break, and what is found when it is over."""
import os
import random
import time

from lib.evidence import Flow
from lib.gate import Gate
from lib.harness import Skipped, check, wait_for
from lib.planted import Planted
from lib.relay import Relay

LOGIN = "user@acme.test"
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}],
             "quotas": [{"name": "hourly", "limit": "100000000/hour", "counts": "recipients"},
                        {"name": "each", "limit": "100000000/day", "counts": "messages", "key": "auth"}]},
}
MIB, HOUR, DAY = 1 << 20, 3600, 86400
FLAT = 24 * MIB                        # the daemon may have so much more than before: what allocators keep
FILES_FLAT = 8
WARM = 100                             # messages before memory and descriptors are counted

FAULTS = []                            # in the order of the table


class Fault:
    """A row: `tries` in the long form, `quick` of them among the end-to-end tests (0: not there)."""

    def __init__(self, group, title, tries, quick, run):
        self.group, self.title, self.tries, self.quick, self.run = group, title, tries, quick, run
        self.name = run.__name__


def fault(group, title, tries, quick=0):
    def register(run):
        FAULTS.append(Fault(group, title, tries, quick, run))
        return run
    return register


class Lab:
    """What a fault's function works with. Counts what the table says."""

    def __init__(self, world):
        self.world, self.random = world, random.Random(20261121)
        self.planted = Planted(world)
        self.tries, self.lost, self.unrecorded, self.refused, self.recovered = 0, 0, 0, 0, []
        self.grown, self.note = None, ""
        self.gate = self.relay = self.flow = None

    # --- the place
    def begin(self, settings=None, tenants=None, log_dir=None, wrap=(), postfix=(), behind_gate=True, **environment):
        """A gate with planted faults at hand, behind a Postfix or alone; mail has warmed it."""
        if behind_gate:
            self.relay = Relay(self.world, tenants or TENANTS, settings=settings, log_dir=log_dir, postfix=postfix)
            self.gate = self.relay.gate
            self.gate.stop()
        else:
            self.gate = Gate(self.world, tenants or TENANTS, settings, start=False, log_dir=log_dir)
        self.gate.environment, self.gate.wrap = {**self.planted.environment, **environment}, list(wrap)
        self.gate.start()
        if self.relay:
            self.flow = Flow(self.relay, LOGIN)
            with self.flow:
                self.flow.wait(WARM, 60)
        self.rest()

    def mount(self, size_mib=16):
        """A small disk of its own (ext4 on a loop device), or memory where that cannot be."""
        image, disk = self.world.path("image"), self.world.new_dir("disk")
        with open(image, "wb") as file:
            file.truncate(size_mib * MIB)
        made = self.world.run(["mkfs.ext4", "-q", image]).returncode == 0
        if not made or self.world.run(["mount", "-o", "loop", image, disk]).returncode != 0:
            done = self.world.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "sekisho-fault", disk])
            if done.returncode != 0:
                raise Skipped("no disk can be mounted here")
            self.note = "tmpfs"
        os.chmod(disk, 0o755)
        self.world.at_end(lambda: self.world.run(["umount", "-l", disk]))
        return disk

    # --- around the fault
    def rest(self):
        """What the daemon has while nothing is wrong."""
        self.before = self.holdings()

    def holdings(self):
        return self.gate.rss()[0], len(os.listdir(f"/proc/{self.gate.pid}/fd"))

    def meanwhile(self, seconds=0.5):
        time.sleep(self.random.random() * seconds)

    def recovers(self, since, seconds=60):
        """Counts a try: how long from the end of the fault until a message that began after it was accepted."""
        found = wait_for(lambda: next((b + d for b, d in reversed(self.flow.waits[-500:]) if b >= since), None),
                         "mail to pass again", seconds)
        self.tried(found - since)

    @property
    def deferred(self):
        return self.refused + (len(self.flow.refused) if self.flow else 0)

    def tried(self, recovered=0.0):
        self.tries += 1
        self.recovered.append(recovered)

    # --- afterwards
    def settle(self):
        """Mail that flowed through Postfix: all of it delivered, all of it recorded, the log intact, the daemon as small as before."""
        lost, unrecorded = self.flow.lost(), self.flow.unrecorded()
        self.lost, self.unrecorded = len(lost), len(unrecorded)
        self.flow.check_none_lost(lost)
        self.flow.check_all_recorded(unrecorded)
        self.flat()
        self.gate.verify()

    def flat(self):
        check(self.gate.is_alive, "the daemon died: {}", self.gate.log()[-1500:])
        wait_for(lambda: self.holdings()[1] <= self.before[1] + FILES_FLAT,
                 f"no more than {self.before[1]} + {FILES_FLAT} descriptors to be open", 60, 0.5)
        self.grown = self.holdings()[0] - self.before[0]
        check(self.world.is_sanitized or self.grown < FLAT, "the daemon has {} MiB more than before", self.grown // MIB)

    def verify(self):
        """With the time that the gate has."""
        done = self.gate.tool("log", "verify", env={**os.environ, **self.planted.environment})
        check(done.returncode == 0, "log verify: exit {}\n{}{}", done.returncode, done.stdout, done.stderr)
