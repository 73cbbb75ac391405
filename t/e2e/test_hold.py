"""Mail on hold: listed, let go at the allowed rate, thrown away; behind Postfix and behind Sendmail."""
import json
import os
import subprocess
import time

from lib.gate import Gate
from lib.harness import Skipped, check, check_eq, free_port, wait_for
from lib.postfix import Postfix
from lib.relay import PASSWORD, accepted
from lib.sendmail import Sendmail
from lib.sink import Sink
from lib.smtp import Client, message

LOGIN, STOLEN, SLOW = "user@acme.test", "user@stolen.test", "tf.slow@example.test"


def tenants(limit):
    return {"acme": {"match": [{"auth": "*@acme.test"}],
                     "quotas": [{"name": "hourly", "limit": f"{limit}/hour", "counts": "recipients", "on_excess": "hold"}]},
            "stolen": {"match": [{"auth": "*@stolen.test"}],
                       "quotas": [{"name": "none", "limit": "1000/hour", "counts": "recipients", "on_excess": "hold"}]}}


class BehindPostfix:
    name = "Postfix"

    def __init__(self, world):
        self.sink = Sink(world)
        self.gate = Gate(world, tenants(1))
        self.mta = Postfix(world, self.sink.port, self.gate.socket)
        self.options = ("--postfix", f"{self.mta.dir}/etc")

    def client(self, login):
        client = Client(self.mta.port)
        client.ehlo()
        client.xclient(LOGIN=login)
        client.ehlo()
        return client

    def held(self):
        return {m["queue_id"] for m in self.mta.queue() if m["queue_name"] == "hold"}

    def hold_another(self):
        """Somebody else's doing: on hold, and no record says that the gate did it."""
        with self.client(STOLEN) as client:
            accepted(client.send(STOLEN, [SLOW], message(STOLEN, SLOW)))
        waiting = wait_for(lambda: [m for m in self.mta.queue() if m["queue_name"] == "deferred"], "a deferred message")
        self.mta.tool("postsuper", "-h", waiting[0]["queue_id"])


class BehindSendmail:
    name = "Sendmail"

    def __init__(self, world):
        self.sink = Sink(world)
        listen = f"inet:{free_port()}@127.0.0.1"
        self.gate = Gate(world, tenants(1), {"milter": {"listen": listen}})
        self.mta = Sendmail(world, self.sink.port, listen, {LOGIN: PASSWORD, STOLEN: PASSWORD})
        self.options = ("--sendmail", f"{self.mta.dir}/sm.cf", "--sendmail-program", self.mta.wrapper())

    def client(self, login):
        client = Client(self.mta.port)
        client.ehlo()
        check_eq(client.auth(login, PASSWORD).code, 235, "AUTH")
        return client

    def held(self):
        return set(self.mta.quarantined())

    def hold_another(self):
        """Somebody else's doing: a message of the queue under another name."""
        for kind in "hd":
            path = next(f"{self.mta.dir}/queue/{name}" for name in os.listdir(f"{self.mta.dir}/queue") if name[0] == kind)
            subprocess.run(["cp", "-p", path, f"{self.mta.dir}/queue/{kind}fzzzzzzzzzzzzzz"], check=True)


def setup(world):
    world.sides = [BehindPostfix(world)]
    try:
        world.sides.append(BehindSendmail(world))
    except Skipped as why:
        print(f"     behind Postfix alone: {why}")


def send(side, login, recipients):
    with side.client(login) as client:
        for recipient in recipients:
            accepted(client.send(login, [recipient], message(login, recipient, f"for {recipient}")))


def hold(side, verb, *arguments, code=0):
    done = side.gate.tool("hold", verb, *side.options, *arguments)
    check_eq(done.returncode, code, f"{side.name}: hold {verb} {arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def used(side, tenant="acme"):
    return side.gate.tool_json("quota", "show", tenant)["usage"][0]["used"]


def arrived(side, recipient):
    side.sink.find(f"To: <{recipient}>".encode(), 30)


def test_listed(world):
    """what is held is listed with its tenant and its reason, and what others hold is left alone"""
    for side in world.sides:
        send(side, LOGIN, [f"r{n}@example.test" for n in range(6)])
        wait_for(lambda: len(side.held()) == 5, "five on hold")
        side.hold_another()
        lines = [json.loads(line) for line in hold(side, "list", "--json").splitlines()]
        check_eq([line["to"] for line in lines], [[f"r{n}@example.test"] for n in range(1, 6)], "recipients, the oldest first")
        check_eq({(line["tenant"], line["rule"]) for line in lines}, {("acme", "hourly")}, "tenant and rule")
        told = hold(side, "list")
        check("5 messages held\n1 more on hold, not by the gate\n" in told and max(map(len, told.splitlines())) <= 80, "{}", told)
        check_eq(side.gate.tool_json("status", *side.options[:2])["on_hold"], 6, "counted by status")
        check("On hold       6 messages" in side.gate.tool("status", *side.options[:2]).stdout, "status does not say so")
        check_eq(hold(side, "list", "stolen"), "0 messages held\n", "another tenant's")
        hold(side, "list", "nobody", code=1)


def test_auto(world):
    """--auto lets go what the quota has room for, the oldest first, once, and charges it once"""
    for side in world.sides:
        check("waits: " in hold(side, "release", "--auto"), "no room, and not a word")
        check_eq((len(side.held()), used(side)), (6, 1), "nothing has gone, nothing was taken")
        usage = side.gate.tool_json("quota", "show", "acme")["usage"][0]
        check_eq(usage["refused"], 5, "attempts, without those of the release")
        side.gate.config["tenants"] = tenants(3)
        side.gate.reload()
        check("2 would be released" in hold(side, "release", "--auto", "--dry-run"), "a dry run")
        check_eq((len(side.held()), used(side)), (6, 1), "it took nothing")
        check("2 released, 3 wait for room" in hold(side, "release", "--auto"), "two have room")
        for n in (1, 2):
            arrived(side, f"r{n}@example.test")
        check_eq((len(side.held()), used(side)), (4, 3), "held, used")
        check("0 released" in hold(side, "release", "--auto"), "a second time")
        check_eq(used(side), 3, "used after the second time")
        released = [r for r in side.gate.records() if r["event"] == "released"]
        check_eq([r["to"] for r in released], [["r1@example.test"], ["r2@example.test"]], "on the record")
        check("--auto" in released[0]["detail"]["by"], "by whom: {}", released[0])
        story = side.gate.tool_ok("log", "show", released[0]["message"])
        check("held" in story and "released" in story, "the message's story: {}", story)


def test_suspended(world):
    """nothing of a tenant that is suspended goes by itself"""
    for side in world.sides:
        side.gate.tool_ok("tenant", "suspend", "stolen", "--action", "hold", "--reason", "stolen account")
        send(side, STOLEN, [f"s{n}@example.test" for n in range(3)])
        check("0 released" in hold(side, "release", "stolen", "--auto"), "while it is suspended")
        side.gate.tool_ok("tenant", "resume", "stolen")
        check("1 released" in hold(side, "release", "stolen", "--auto", "--count", "1"), "once it is not")
        arrived(side, "s0@example.test")


def test_by_hand(world):
    """by hand it goes whatever the quota says, one message or all"""
    for side in world.sides:
        one = json.loads(hold(side, "list", "acme", "--json").splitlines()[-1])
        hold(side, "release", "--id", one["message"], "--reason", "ticket 4711")
        arrived(side, one["to"][0])
        check_eq(used(side), 3, "used")
        hold(side, "release", code=2)
        done = side.gate.tool("hold", "release", "stolen", *side.options, "--id", one["queue_id"], "--id", "NOSUCH", "--dry-run")
        check_eq(done.returncode, 1, "another tenant's, and nobody's")
        for name in one["queue_id"], "NOSUCH":
            check(f"no mail of stolen that the gate holds has the id {name}" in done.stderr, "{}", done.stderr)
        hold(side, "release", "acme", "--older", "1d", code=1)
        hold(side, "release", "acme")
        for n in (3, 4):
            arrived(side, f"r{n}@example.test")
        check_eq(len([r for r in side.gate.records() if r["event"] == "released" and r.get("detail", {}).get("reason")]), 1, "reasons")


def test_dropped(world):
    """what is dropped is gone, and on the record"""
    for side in world.sides:
        before = len(side.sink.messages)
        hold(side, "drop", "stolen", code=2)
        check("2 dropped" in hold(side, "drop", "stolen", "--all"), "dropped")
        check_eq(len(side.held()), 1, "on hold: what is not ours")
        time.sleep(1.5)                            # a queue run
        check_eq(len(side.sink.messages), before, "delivered")
        check_eq(len([r for r in side.gate.records() if r["event"] == "dropped"]), 2, "on the record")
        hold(side, "drop", "stolen", "--all", code=1)
        side.gate.verify()


def test_paid_before(world):
    """a release that was recorded and could not be done has been paid for, and costs nothing when it is done"""
    if len(world.sides) < 2:
        raise Skipped("no Sendmail")
    side = world.sides[1]
    send(side, LOGIN, ["late@example.test"])
    side.gate.config["tenants"] = tenants(4)
    side.gate.reload()
    done = side.gate.tool("hold", "release", "acme", "--auto", *side.options[:2], "--sendmail-program", "/bin/false")
    check(done.returncode == 3 and "1 failed" in done.stdout, "a hand that fails: {} {}", done.stdout, done.stderr)
    check_eq((len(side.held()), used(side)), (2, 4), "held, used")
    check("1 released" in hold(side, "release", "--auto"), "the next time")
    arrived(side, "late@example.test")
    check_eq(used(side), 4, "used")


def test_rights(world):
    """who is not root is told so"""
    side = world.sides[0]
    done = side.gate.world.run(["setpriv", "--reuid", "65534", "--clear-groups", world.program("sekisho"), "-c",
                                side.gate.config_path, "hold", "release", "acme", *side.options])
    check(done.returncode == 3 and "sudo" in done.stderr, "{} {}", done.returncode, done.stderr)
