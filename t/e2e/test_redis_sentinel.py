"""A master that dies under load, and the Sentinels that name another: mail goes on, and no limit is passed by more than is said."""
import time

from lib.harness import check, check_eq, wait_for
from lib.load import Load, longest, slowest
from lib.redis import Lab, failed_over, failovers, settled
from lib.relay import Relay, refused
from lib.shared import counted, is_shared, modes, used

LIMIT, SHARE = 3000, 20                # of the whole quota, and per cent of it that each relay may count by itself
ACME, BETA = "user@acme.test", "user@beta.test"
HANG = 5.0

TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}],
             "quotas": [{"name": "hourly", "limit": f"{LIMIT}/hour", "counts": "recipients"}]},
    "beta": {"match": [{"auth": "*@beta.test"}],
             "quotas": [{"name": "hourly", "limit": "100000/hour", "counts": "recipients"}]},
}


def setup(world):
    world.lab = Lab(world, "sentinel")
    store = {"backend": "redis", "local_share": SHARE,
             "redis": {"mode": "sentinel", "master": "relay", "addresses": [s.address for s in world.lab.named("sentinel")]}}
    world.relays = [Relay(world, TENANTS, logins=[ACME, BETA], settings={"node": node, "store": store})
                    for node in ("mx1", "mx2")]


def test_master_killed(world):
    """kill -9 of the master under load: nobody hangs, mail goes on, the limit is passed by no more than is documented"""
    master = world.lab.masters()[0]
    loads = [Load(relay, ACME, 8, pause=0.005) for relay in world.relays]
    wait_for(lambda: sum(load.passed for load in loads) > LIMIT // 10, "mail before", 20)
    moment = time.monotonic()
    master.kill()
    wait_for(lambda: failed_over(world.lab, master), "another master", 20, 0.02)
    elected = time.monotonic()
    wait_for(lambda: all(is_shared(relay) for relay in world.relays), "both relays to count in Redis again", 20)
    back = time.monotonic() - elected
    for load in loads:
        wait_for(lambda l=load: any(not s.passed for s in l.since(elected + back)), "the limit to be reached", 40, 0.1)
    sent = [s for load in loads for s in load.stop()]
    before, meanwhile = [s for s in sent if s.began < moment], [s for s in sent if moment <= s.began < elected + back]
    passed = sum(s.passed for s in sent)
    bound = LIMIT + 2 * LIMIT * SHARE // 100
    print(f"     a new master after {elected - moment:.1f} s, counted in it {back:.1f} s later; longest wait {slowest(meanwhile)} "
          f"({slowest(before)} before); {sum(s.passed for s in meanwhile)} passed meanwhile; {passed} in all of {LIMIT} "
          f"(at most {bound})", flush=True)
    check_eq([load.lost for load in loads], [[], []], "broken sessions")
    check_eq({s.reply.code for s in sent if not s.passed}, {451}, "refusals")
    for s in sent:
        if not s.passed:
            refused(s.reply, 451, "4.7.1", "SKQ-RATE")
    check(any(s.passed for s in meanwhile), "no mail passed meanwhile")
    check(longest(sent) < HANG, "somebody waited {} s", longest(sent))
    check(passed <= bound, "{} passed, of a limit of {}", passed, LIMIT)
    wait_for(lambda: settled(world.lab) and all(is_shared(relay) for relay in world.relays), "one master for everybody", 20)
    count = failovers(world.lab)
    for relay in world.relays:
        changes = modes(relay)
        check(changes and changes == ["local", "shared"] * (len(changes) // 2) and len(changes) <= 2 * count,
              "changes on the record: {}, with {} failovers", changes, count)
        check_eq(counted(relay, "acme"), {"quota:shared", "quota:local"}, "how messages were counted, by their records")
        relay.gate.verify()


test_master_killed.seconds = 150


def test_every_message_counted(world):
    """afterwards every message is in the new master's count, once"""
    before = used(world.relays[0], "beta")
    loads = [Load(relay, BETA, 8, count=100) for relay in world.relays]
    sent = [s for load in loads for s in load.wait()]
    check_eq({s.reply.code for s in sent}, {250}, "replies")
    check_eq(used(world.relays[0], "beta"), before + 200, "used, says the new master")


def test_sentinels_gone(world):
    """without Sentinels nothing changes as long as the master lives"""
    for sentinel in world.lab.named("sentinel"):
        sentinel.kill()
    sent = Load(world.relays[0], BETA, 4, count=50).wait()
    check_eq({s.reply.code for s in sent}, {250}, "replies")
    check_eq(modes(world.relays[0])[-1], "shared", "the last change on the record")
