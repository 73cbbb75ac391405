"""kill -9, again and again, under load: what the MTA delivered is on record, and the store opens."""
import contextlib
import random
import threading
import time

from lib.harness import check, check_eq, wait_for
from lib.relay import Relay, accepted
from lib.smtp import Closed, message

SESSIONS = 8
LOGIN = "user@acme.test"
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}],
             "quotas": [{"name": "hourly", "limit": "1000000/hour", "counts": "recipients"},
                        {"name": "each", "limit": "1000000/day", "counts": "messages", "key": "auth"}]},
}


def setup(world):
    world.relay = Relay(world, TENANTS)
    world.acknowledged, world.stop = [], threading.Event()


def load(world, number):
    """Sends until told to stop; a session that is refused begins anew, as a real client would."""
    count = 0
    while not world.stop.is_set():
        try:
            with world.relay.client(LOGIN=LOGIN) as client:
                while not world.stop.is_set():
                    count += 1
                    to = f"load-{number}-{count}@example.test"
                    if client.send(LOGIN, [to], message(LOGIN, to)).code != 250:
                        break
                    world.acknowledged.append(to)
        except (Closed, OSError):
            time.sleep(0.05)


@contextlib.contextmanager
def under_load(world, first=0):
    world.stop.clear()
    threads = [threading.Thread(target=load, args=(world, first + number)) for number in range(SESSIONS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        world.stop.set()
        for thread in threads:
            thread.join()


def wait_flow(world, count):
    before = len(world.acknowledged)
    wait_for(lambda: len(world.acknowledged) >= before + count, "mail to flow", 30)


def check_evidence(world):
    """All that was acknowledged arrives, and all that arrived is on record."""
    relay = world.relay
    wait_for(lambda: not relay.mta.queue(), "an empty queue", 60, 0.5)
    arrived = {recipient.split()[0] for m in relay.sink.messages for recipient in m.recipients}
    lost = [to for to in world.acknowledged if f"<{to}>" not in arrived]
    check(not lost, "{} of {} acknowledged messages did not arrive", len(lost), len(world.acknowledged))
    known = {record.get("message", record["id"]) for record in relay.gate.mail_records(event="accepted")}
    unknown = [m for m in relay.sink.messages if m.record not in known]
    check(not unknown, "{} of {} delivered messages are without a record, the first: {}", len(unknown),
          len(relay.sink.messages), unknown[:1])


def test_kill(world):
    """killed at any moment: no message the MTA delivered is without a record"""
    with under_load(world):
        for _ in range(world.options.kill):
            wait_flow(world, SESSIONS)
            time.sleep(random.random() * 0.5)
            world.relay.gate.kill()
            world.relay.gate.start()
    check_evidence(world)
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
    with under_load(world, 100):
        wait_flow(world, 50)
        check_eq(world.relay.gate.stop(), 0, "exit status")
    check_eq(world.relay.gate.records()[-1]["event"], "checkpoint", "last line of the relay log")
    world.relay.gate.verify()
    check_evidence(world)
