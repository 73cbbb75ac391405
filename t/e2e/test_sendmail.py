"""The same gate behind Sendmail."""
import time

from lib.gate import Gate
from lib.harness import check, check_eq, free_port, wait_for
from lib.relay import PASSWORD, accepted, refused
from lib.sendmail import Sendmail
from lib.sink import Sink
from lib.smtp import Client, message

LOGIN, HELD, TO = "user@acme.test", "user@held.test", "someone@example.test"
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}], "senders": ["@acme.test"], "from": "senders", "size_max": "1MiB",
             "quotas": [{"name": "hourly", "limit": "6/hour", "counts": "recipients"}]},
    "held": {"match": [{"auth": "*@held.test"}],
             "quotas": [{"name": "none", "limit": "0/hour", "counts": "recipients", "on_excess": "hold"}]},
}


def setup(world):
    world.sink = Sink(world)
    listen = f"inet:{free_port()}@127.0.0.1"
    world.gate = Gate(world, TENANTS, {"milter": {"listen": listen}})
    world.mta = Sendmail(world, world.sink.port, listen, {LOGIN: PASSWORD, HELD: PASSWORD})


def client(world, login=LOGIN):
    client = Client(world.mta.port)
    check_eq(client.ehlo().code, 250, "EHLO")
    if login:
        check_eq(client.auth(login, PASSWORD).code, 235, f"AUTH as {login}")
    return client


def test_accepted(world):
    """a message passes, with its record, its queue id and its header"""
    with client(world) as c:
        accepted(c.send(LOGIN, [TO], message(LOGIN, TO, "through Sendmail")))
    delivered = world.sink.find(b"Subject: through Sendmail", 30)
    record = world.gate.record_of(delivered.record, "accepted")
    check_eq((record["tenant"], record["auth"], record["to"]), ("acme", LOGIN, [TO]), "tenant, login, recipients")
    check(record["queue_id"] in delivered.body.decode(), "queue id {} is not in {}", record["queue_id"], delivered.body)


def test_refusals(world):
    """refusals arrive, with tag and reference"""
    with client(world) as c:
        ref = refused(c.mail("a@evil.test"), 550, "5.7.1", "SKQ-SENDER")
        c.command("RSET")
        refused(c.send(LOGIN, [TO], message("a@evil.test", TO)), 550, "5.7.1", "SKQ-FROM")
    check_eq(world.gate.record_of(ref, "rejected")["tenant"], "acme", "tenant on the record")
    with client(world, None) as c:
        refused(c.mail("a@acme.test"), 550, "5.7.1", "SKQ-WHO")


def test_sessions(world):
    """RSET, unknown commands, hang-ups and several messages over one connection"""
    with client(world) as c:
        c.mail(LOGIN)
        c.rcpt(TO)
        c.command("RSET")
        c.mail(LOGIN)
        c.command("XNONSENSE")
        c.command("RSET")
        for _ in range(2):
            accepted(c.send(LOGIN, [TO], message(LOGIN, TO)))
        c.mail(LOGIN)
        c.rcpt(TO)
        c.reset()
    usage = world.gate.tool_json("quota", "show", "acme")["usage"][0]
    check_eq(usage["used"], 3, "recipients used by three messages")


def test_quota(world):
    """the quota holds, and what was refused costs nothing"""
    with client(world) as c:
        refused(c.send(LOGIN, [f"r{n}@example.test" for n in range(4)], message(LOGIN, TO)), 451, "4.7.1", "SKQ-RATE")
        accepted(c.send(LOGIN, [f"r{n}@example.test" for n in range(3)], message(LOGIN, TO)))
        refused(c.send(LOGIN, [TO], message(LOGIN, TO)), 451, "4.7.1", "SKQ-RATE")


def test_hold(world):
    """held mail lies in quarantine until it is released"""
    with client(world, HELD) as c:
        accepted(c.send(HELD, [TO], message(HELD, TO, "held for a while")))
    held = wait_for(lambda: world.gate.mail_records(tenant="held", event="held"), "the record")[-1]
    check_eq(wait_for(world.mta.quarantined, "the quarantine"), [held["queue_id"]], "held messages")
    time.sleep(1.5)                                # a queue run
    check(not any(b"held for a while" in m.body for m in world.sink.messages), "it was delivered")
    world.mta.release(held["queue_id"])
    world.sink.find(b"Subject: held for a while", 30)


def test_evidence(world):
    """all that arrived is on record, and the log verifies"""
    known = {r.get("message", r["id"]) for r in world.gate.mail_records() if r["event"] in ("accepted", "held")}
    check_eq([m for m in world.sink.messages if m.record not in known], [], "messages without a record")
    world.gate.verify()
