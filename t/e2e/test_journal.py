"""The MTA logs to the journal alone: its outcomes are followed through systemd-journald's rotation, restarts and vacuum."""
import json
import os
import urllib.request

from lib.harness import check, check_eq, wait_for
from lib.journal import Journal
from lib.relay import Relay, accepted
from lib.smtp import message

SENDER = "a@acme.test"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}], "suppress": "off"}}


def setup(world):
    world.journal = Journal(world, world.path("postfix", "maillog"))
    world.relay = Relay(world, TENANTS, settings={"maillog": {"journal": world.journal.dir}})


def send(world, *names):
    for name in names:
        with world.relay.client(LOGIN="user@acme.test") as client:
            accepted(client.send(SENDER, [f"{name}@example.test"], message(SENDER, f"{name}@example.test")))


def wait_written(world, *names):
    """The MTA has said what became of them, and the journal has heard of nothing yet."""
    for name in names:
        world.relay.mta.wait_log(f"to=<{name}@example.test>.*status=")


def outcomes(world, name):
    return [r for r in world.relay.gate.records() if r.get("rcpt") == f"{name}@example.test" and "outcome" in r]


def told(world, *names):
    """One outcome of each, from the journal."""
    world.journal.feed()
    for name in names:
        wait_for(lambda: outcomes(world, name), f"what became of {name}", 20)
        check_eq(len(outcomes(world, name)), 1, f"outcomes of {name}")
    return outcomes(world, names[0])[0]


def test_followed(world):
    """deliveries and failures are told, with the next hop's words and the message they belong to"""
    send(world, "ok", "bounce.neko")
    wait_written(world, "ok", "bounce.neko")
    record = told(world, "ok", "bounce.neko")
    first = next(r for r in world.relay.gate.mail_records(event="accepted") if "ok@example.test" in r["to"])
    check_eq((record["event"], record["message"], record["tenant"]), ("delivered", first["message"], "acme"), "delivered")
    failed = outcomes(world, "bounce.neko")[0]
    check_eq((failed["event"], failed["outcome"]["reason"], failed["outcome"]["hard"]), ("failed", "userunknown", True), "failed")
    counts = world.relay.gate.tool_json("bounce", "count", "acme")
    check_eq((counts["delivered"], counts["failed"], counts["hard"]), (1, 1, 1), "counts")


def test_rotated(world):
    """journald begins another file while it is read: nothing is missing, nothing twice"""
    send(world, "before")
    wait_written(world, "before")
    world.journal.feed()
    world.journal.rotate()
    send(world, "after")
    wait_written(world, "after")
    told(world, "before", "after")
    told(world, "ok", "bounce.neko")


def test_restarted(world):
    """what is written and rotated away while the gate is down is told when it is up again, from the place that was kept"""
    send(world, "during", "last")
    wait_written(world, "during", "last")
    world.relay.gate.stop()
    world.journal.feed()
    world.journal.rotate()
    world.journal.rotate()
    world.relay.gate.start()
    told(world, "during", "last", "before", "after", "ok", "bounce.neko")


def test_killed(world):
    """journald dies and comes back, the gate lives on"""
    world.journal.process.kill()
    world.journal.process.wait()
    send(world, "revived")
    wait_written(world, "revived")
    world.journal.start()
    told(world, "revived", "during", "ok")


def test_vacuumed(world):
    """old files go, the one with the kept place among them, while the gate is down: what is left is told, nothing twice"""
    world.relay.gate.stop()
    world.journal.rotate()
    for path in world.journal.files():
        if "@" in os.path.basename(path):
            os.unlink(path)
    world.relay.gate.start()
    send(world, "young")
    wait_written(world, "young")
    told(world, "young", "revived", "last", "ok")


def test_stated(world):
    """status tells of it, and the log verifies"""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.relay.gate.metrics_port}/status") as page:
        status = json.load(page)["maillog"]
    check(status["lines"] > 0 and "lag_s" in status, "status: {}", status)
    said = world.relay.gate.tool("status").stdout
    check("MTA's log     journal " in said, "status: {}", said)
    world.relay.gate.verify()
