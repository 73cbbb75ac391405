"""sekisho doctor, asked for its findings; and files that say something else for a while."""
import json
import os

from .harness import check, check_eq
from .relay import Relay

TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}], "senders": ["@acme.test"],
                    "quotas": [{"name": "hourly", "limit": "5/hour", "counts": "recipients"}]}}


class Doctor:
    def __init__(self, gate, etc, *mta, wrap=None):
        """`etc`: where logrotate's and journald's settings are; `mta`: its options; `wrap`: what the command runs in."""
        self.gate, self.etc, self.mta, self.wrap = gate, etc, mta, wrap or []

    def run(self, *arguments, env=None):
        world = self.gate.world
        return world.run([*self.wrap, world.program("sekisho"), "-c", self.gate.config_path, "doctor", "--etc", self.etc, *self.mta,
                          *arguments], env={**os.environ, **(env or {})})

    def examine(self, env=None):
        """The exit code, and the findings by the name of their check."""
        done = self.run("--json", env=env)
        check(done.returncode in (0, 1, 3), "doctor: exit {}\n{}", done.returncode, done.stderr)
        answer = json.loads(done.stdout)
        found = {finding["check"]: finding for finding in answer["findings"]}
        check_eq(answer["faults"], sum(f["level"] == "fault" for f in found.values()), "faults counted")
        return done.returncode, found

    def names(self, name, text, fix):
        """This fault, and no other."""
        code, found = self.examine()
        check_eq((code, [n for n, f in found.items() if f["level"] == "fault"]), (1, [name]), f"faults ({found.get(name)})")
        check(text in found[name]["text"], "{} says: {}", name, found[name]["text"])
        check(fix in found[name].get("fix", "") and found[name]["why"], "{} mends it by: {}", name, found[name])

    def well(self):
        code, found = self.examine()
        bad = [f for f in found.values() if f["level"] in ("fault", "unseen")]
        check_eq((code, bad), (0, []), "exit and faults when all is right")
        return found


def beside_postfix(world):
    """world.relay with those TENANTS, and world.doctor, who looks at it and finds nothing yet."""
    world.relay, world.etc = Relay(world, TENANTS), world.new_dir("etc")
    os.chmod(world.relay.gate.log_dir, 0o750)
    world.doctor = Doctor(world.relay.gate, world.etc, "--postfix", f"{world.relay.mta.dir}/etc")


class Edited:
    """A file with other text for a while."""

    def __init__(self, path, change):
        self.path = path
        with open(path) as old:
            self.old = old.read()
        self.new = change(self.old)

    def __enter__(self):
        check(self.new != self.old, "{}: nothing planted", self.path)
        self.write(self.new)

    def __exit__(self, *_):
        self.write(self.old)

    def write(self, text):
        with open(self.path, "w") as out:
            out.write(text)
        os.utime(self.path, (0, 0))                # Postfix's programs sleep before a file that has just been written
