"""Relays on one Redis: exact together, one question a message, and calm when it is gone, slow or cut short."""
import re
import time
import urllib.request

from lib.harness import check, check_eq, wait_for
from lib.load import Load, longest, slowest
from lib.redis import Proxy, Redis
from lib.relay import Relay, accepted, refused
from lib.shared import counted, is_shared, modes, usage, used
from lib.smtp import message

LIMIT = 500
ACME, BETA = "user@acme.test", "user@beta.test"
HANG = 5.0                             # seconds: no answer of the MTA may take so long, whatever Redis does

TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}],
             "quotas": [{"name": "hourly", "limit": f"{LIMIT}/hour", "counts": "recipients"}]},
    "beta": {"match": [{"auth": "*@beta.test"}],
             "quotas": [{"name": "hourly", "limit": "100000/hour", "counts": "recipients"},
                        {"name": "daily", "limit": "100000/day", "counts": "messages", "key": "auth",
                         "on_excess": "reject"}]},
    "bytes": {"match": [{"auth": "*@bytes.test"}], "quotas": [{"name": "volume", "limit": "1GiB/day", "counts": "bytes"}]},
}


def relay_on(world, address, node, **store):
    settings = {"node": node, "store": {"backend": "redis", "redis": {"addresses": [address]}, **store}}
    return Relay(world, TENANTS, logins=[ACME, BETA], settings=settings)


def setup(world):
    world.redis = Redis(world)
    world.proxy = Proxy(world, world.redis)
    world.relays = [relay_on(world, world.redis.address, "mx1"), relay_on(world, world.redis.address, "mx2")]
    world.behind = relay_on(world, world.proxy.address, "mx3")


def test_two_relays(world):
    """two relays, 64 sessions each, one quota: the accepted together are exactly the limit"""
    loads = [Load(relay, ACME, 64, count=600) for relay in world.relays]
    sent = [s for load in loads for s in load.wait()]
    check_eq([load.lost for load in loads], [[], []], "broken sessions")
    check_eq(len(sent), 1200, "replies")
    check_eq(sum(s.passed for s in sent), LIMIT, "accepted by both together")
    check(all(load.passed for load in loads), "one relay had nothing: {}", [load.passed for load in loads])
    for s in sent:
        if not s.passed:
            refused(s.reply, 451, "4.7.1", "SKQ-RATE")
    check_eq(used(world.relays[0], "acme"), LIMIT, "used, says Redis")
    for relay in world.relays:
        wait_for(lambda r=relay: len(r.gate.mail_records(tenant="acme")) == 600, "all records")
        check_eq(counted(relay, "acme"), {"quota:shared"}, "how messages were counted, by their records")
        relay.gate.verify()


test_two_relays.seconds = 180


def test_round_trips(world):
    """a message is one question to Redis at DATA, however many recipients; bytes are one more at its end"""
    relay = world.relays[0]
    for tenant, trips, recipients in (("beta", 1, 1), ("beta", 1, 40), ("bytes", 2, 3)):
        login = f"u@{tenant}.test"
        with relay.client(LOGIN=login) as client:
            accepted(client.send(login, ["warm@example.test"], message(login, "warm@example.test")))
            world.redis.listen()
            accepted(client.send(login, [f"r{n}@example.test" for n in range(recipients)], message(login, "r@example.test")))
            check_eq(world.redis.questions(tenant), trips, f"questions for {recipients} recipients of {login}")
            check_eq([world.redis.calls(c) for c in ("eval", "script|load")], [0, 0], "scripts sent again")


def test_refusal_is_one_trip(world):
    """a refusal for a quota costs one question too, and is counted as an attempt"""
    relay = world.relays[1]
    before = usage(relay, "acme")[0]["refused"]
    with relay.client(ACME) as client:
        world.redis.listen()
        refused(client.send(ACME, ["a@example.test"], message(ACME, "a@example.test")), 451, "4.7.1", "SKQ-RATE")
        check_eq(world.redis.questions("acme"), 1, "questions for a refusal")
    check_eq(usage(relay, "acme")[0]["refused"], before + 1, "attempts")


def test_suppressed(world):
    """suppressed anywhere, refused everywhere: at DATA while it is news to a relay, at RCPT from then on"""
    here, there = world.relays
    here.gate.tool_ok("suppress", "add", "beta", "gone@example.test", "--reason", "left")
    with here.client(LOGIN="u@beta.test") as client:
        client.mail("u@beta.test")
        check_eq(client.rcpt("gone@example.test").code, 250, "a suppression that is news, at RCPT")
        refused(client.command("DATA"), 550, "5.7.1", "SKQ-SUPP")
        client.command("RSET")
        client.mail("u@beta.test")
        refused(client.rcpt("Gone@example.test"), 550, "5.7.1", "SKQ-SUPP")
    with there.client(LOGIN="u@beta.test") as client:
        both = ["well@example.test", "gone@example.test"]
        reply = client.send("u@beta.test", both, message("u@beta.test", both[0]))
        refused(reply, 450, "4.7.1", "SKQ-SUPP")
        check("gone@example.test" in reply.text, "the reply does not say who: {}", reply)
        client.mail("u@beta.test")
        check_eq(client.rcpt(both[0]).code, 250, "the other recipient, at the next attempt")
        refused(client.rcpt(both[1]), 550, "5.7.1", "SKQ-SUPP")
        accepted(client.data(message("u@beta.test", both[0])))
    here.gate.tool_ok("suppress", "remove", "beta", "gone@example.test")
    with there.client(LOGIN="u@beta.test") as client:
        accepted(client.send("u@beta.test", both, message("u@beta.test", both[0])))


def test_suspended(world):
    """suspended on one relay, refused on the other; resumed, accepted"""
    here, there = world.relays
    here.gate.tool_ok("tenant", "suspend", "bytes", "--reason", "stolen")
    for _ in range(2):
        with there.client(LOGIN="u@bytes.test") as client:
            refused(client.send("u@bytes.test", ["a@example.test"], message("u@bytes.test", "a@example.test")),
                    550, "5.7.13", "SKQ-SUSP")
    here.gate.tool_ok("tenant", "resume", "bytes")
    with there.client(LOGIN="u@bytes.test") as client:
        accepted(client.send("u@bytes.test", ["a@example.test"], message("u@bytes.test", "a@example.test")))


def under(world, relay, name, begin, end, seconds=3.0):
    """Load while something is wrong with Redis: no hang, no crash, no wrong answer, and every message counted once."""
    pid, before = relay.gate.pid, used(world.relays[0], "beta")
    load = Load(relay, BETA, 16, pause=0.01)
    wait_for(lambda: load.passed > 20, "mail before")
    moment = time.monotonic()
    begin()
    time.sleep(seconds)
    end()
    ended = time.monotonic()
    wait_for(lambda: is_shared(relay), "Redis to be counted in again", 20)
    back = time.monotonic() - ended
    wait_for(lambda: any(s.passed for s in load.since(ended)), "mail afterwards")
    sent = load.stop()
    meanwhile = [s for s in load.since(moment) if s.began < ended]
    print(f"     {name}: {len(meanwhile)} messages meanwhile, longest wait {slowest(meanwhile)} "
          f"({slowest([s for s in sent if s.began < moment])} before), back after {back:.1f} s", flush=True)
    check_eq(load.lost, [], "broken sessions")
    check_eq({s.reply.code for s in sent}, {250}, "replies")
    check(any(s.passed for s in meanwhile), "no mail passed meanwhile")
    check(longest(sent) < HANG, "somebody waited {} s", longest(sent))
    check(relay.gate.is_alive and relay.gate.pid == pid, "the gate died")
    passed = sum(s.passed for s in sent)
    wait_for(lambda: used(world.relays[0], "beta") == before + passed, f"exactly {passed} more in Redis", 20, 0.2)
    relay.gate.verify()


def is_local(relay):
    """What an alert looks at."""
    with urllib.request.urlopen(f"http://127.0.0.1:{relay.gate.metrics_port}/metrics") as page:
        return re.search(r"^sekisho_store_local (\d)$", page.read().decode(), re.M).group(1)


def test_silent(world):
    """Redis alive but silent (SIGSTOP): mail goes on, counted locally, and once"""
    relay, said = world.relays[0], []
    seen = len(modes(relay))

    def go_on():
        said.append(is_local(relay))
        world.redis.go_on()

    under(world, relay, "SIGSTOP", world.redis.stall, go_on)
    check_eq([*said, is_local(relay)], ["1", "0"], "sekisho_store_local while it is silent, and afterwards")
    check_eq(modes(relay)[seen:], ["local", "shared"], "changes on the record")
    check_eq(counted(relay, "beta"), {"quota:shared", "quota:local"}, "how messages were counted, by their records")


test_silent.seconds = 90


def test_latency(world):
    """200 ms more for each answer of Redis: slower, and nothing else"""
    def slow():
        world.proxy.delay = 0.2

    def quick():
        world.proxy.delay = 0.0

    under(world, world.behind, "200 ms latency", slow, quick)


test_latency.seconds = 90


def test_cut(world):
    """answers of Redis cut in the middle, again and again: no wrong answer, every message counted once"""
    def cut():
        world.proxy.cut_every = 7

    def mend():
        world.proxy.cut_every = 0

    under(world, world.behind, "answers cut", cut, mend)


test_cut.seconds = 90


def test_refused(world):
    """Redis ended, connections refused: mail goes on; what it forgot is gone, what was counted since is not"""
    relay = world.relays[1]
    load = Load(relay, BETA, 16, pause=0.01)
    wait_for(lambda: load.passed > 20, "mail before")
    stopping = time.monotonic()
    world.redis.stop()
    moment = time.monotonic()
    wait_for(lambda: sum(s.passed for s in load.since(moment)) > 100, "mail meanwhile")
    world.redis.start()
    restarted = time.monotonic()
    wait_for(lambda: is_shared(relay), "Redis to be counted in again", 20)
    print(f"     back after {time.monotonic() - restarted:.1f} s", flush=True)
    sent = load.stop()
    check_eq((load.lost, {s.reply.code for s in sent}), ([], {250}), "broken sessions and replies")
    check(longest(sent) < HANG, "somebody waited {} s", longest(sent))
    least, most = sum(s.passed for s in sent if s.began > moment), sum(s.passed for s in sent if s.ended > stopping)
    wait_for(lambda: least <= used(world.relays[0], "beta"), "what was counted meanwhile to be in Redis", 20, 0.2)
    check(used(world.relays[0], "beta") <= most, "counted twice: {} for {}", used(world.relays[0], "beta"), most)
    for each in world.relays:
        wait_for(lambda gate=each.gate: any("emptied" in r["detail"] for r in gate.records("ops") if r["event"] == "store"),
                 "a record that what Redis held is gone")


test_refused.seconds = 90
