"""The same gate behind Sendmail."""
import re
import time

from lib.gate import Gate, new_tracking_key
from lib.harness import check, check_eq, free_port, wait_for
from lib.relay import PASSWORD, accepted, refused
from lib.sendmail import Sendmail
from lib.sink import Sink
from lib.smtp import Client, message

LOGIN, HELD, BACK, TO = "user@acme.test", "user@held.test", "user@back.test", "someone@example.test"
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}], "senders": ["@acme.test"], "from": "senders", "size_max": "1MiB",
             "quotas": [{"name": "hourly", "limit": "6/hour", "counts": "recipients"}]},
    "back": {"match": [{"auth": "*@back.test"}], "return_path": "bounce.back.test"},
    "held": {"match": [{"auth": "*@held.test"}],
             "quotas": [{"name": "none", "limit": "0/hour", "counts": "recipients", "on_excess": "hold"}]},
}


def setup(world):
    world.sink = Sink(world)
    listen = f"inet:{free_port()}@127.0.0.1"
    keys = new_tracking_key(world)
    world.gate = Gate(world, TENANTS, {"milter": {"listen": listen}, "tracking": {"key_file": keys}})
    world.mta = Sendmail(world, world.sink.port, listen, {login: PASSWORD for login in (LOGIN, HELD, BACK)})


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
        c.mail("a@acme.test")                      # may be going to a return path
        refused(c.rcpt(TO), 550, "5.7.1", "SKQ-WHO")


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


REPORT = """\
From: MAILER-DAEMON@far.test\r
Subject: Undelivered Mail Returned to Sender\r
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r
\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; far.test\r
\r
Final-Recipient: rfc822; gone@example.test\r
Action: failed\r
Status: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 User unknown\r
\r
--b--\r
"""


def test_return_path(world):
    """the sender becomes a return path; a report to it is counted and goes on to the sender, a forged one is refused"""
    with client(world, BACK) as c:
        accepted(c.send(BACK, ["gone@example.test"], message(BACK, "gone@example.test", "will come back")))
    delivered = world.sink.find(b"Subject: will come back", 30)
    path = re.match(r"<([0-9a-z]{26}-[0-9a-z]{36}@bounce\.back\.test)>", delivered.sender)
    check(path, "no return path, but {}", delivered.sender)
    with client(world, None) as c:
        c.mail("")
        refused(c.rcpt("x" + path[1][1:]), 550, "5.7.1", "SKQ-PATH")
        c.command("RSET")
        accepted(c.send("", [path[1]], REPORT.encode()))
    passed = world.sink.find(b"Undelivered Mail Returned", 30)
    check_eq((passed.sender.split()[0], [r.split()[0] for r in passed.recipients]), ("<>", [f"<{BACK}>"]), "who gets it")
    check_eq(world.gate.tool_json("bounce", "count", "back")["hard"], 1, "hard bounces")
    with client(world, BACK) as c:
        refused(c.send(BACK, ["gone@example.test"], message(BACK, "gone@example.test")), 550, "5.7.1", "SKQ-SUPP")


def test_evidence(world):
    """all that arrived is on record, and the log verifies"""
    known = {r.get("message", r["id"]) for r in world.gate.mail_records() if r["event"] in ("accepted", "held")}
    check_eq([m for m in world.sink.messages if m.record not in known], [], "messages without a record")
    world.gate.verify()
