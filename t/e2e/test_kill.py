"""kill -9, again and again, under load: what the MTA delivered is on record, and the store opens."""
import random
import time

from lib.evidence import Flow
from lib.harness import check_eq
from lib.relay import Relay, accepted
from lib.smtp import message

SESSIONS = 8
LOGIN = "user@acme.test"
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}],
             "quotas": [{"name": "hourly", "limit": "1000000/hour", "counts": "recipients"},
                        {"name": "each", "limit": "1000000/day", "counts": "messages", "key": "auth"}]},
}


def setup(world):
    world.relay = Relay(world, TENANTS)
    world.flow = Flow(world.relay, LOGIN, SESSIONS)


def test_kill(world):
    """killed at any moment: no message the MTA delivered is without a record"""
    with world.flow as flow:
        for _ in range(world.options.kill):
            flow.wait(SESSIONS)
            time.sleep(random.random() * 0.5)
            world.relay.gate.kill()
            world.relay.gate.start()
    flow.check()
    print(f"     {world.options.kill} kills, {len(world.relay.sink.messages)} messages delivered", flush=True)


test_kill.seconds = 600


def test_after(world):
    """afterwards the log verifies, the store opens, and mail passes"""
    relay = world.relay
    relay.gate.verify()
    relay.gate.tool_ok("quota", "show", "acme")
    with relay.client(LOGIN=LOGIN) as client:
        accepted(client.send(LOGIN, ["a@example.test"], message(LOGIN, "a@example.test")))


def test_stop_under_load(world):
    """a stop in the middle of it all: exit 0, and the log ends in a checkpoint"""
    with world.flow as flow:
        flow.wait(50)
        check_eq(world.relay.gate.stop(), 0, "exit status")
    check_eq(world.relay.gate.records()[-1]["event"], "checkpoint", "last line of the relay log")
    world.relay.gate.verify()
    flow.check()
