"""Quotas under load and at their edges: never more than the limit, and nothing lost of it."""
import email
import email.policy
import json
import os

from lib.harness import check, check_eq, wait_for
from lib.load import Load
from lib.relay import Relay, accepted, refused
from lib.smtp import message

SESSIONS = 64
MESSAGES = 2000
LIMIT = 500
ACME, GINZA, SMALL = "user@acme.test", "user@ginza.test", "user@small.test"

TENANTS = {
    "acme": {
        "match": [{"auth": "*@acme.test"}],
        "quotas": [{"name": "hourly", "limit": f"{LIMIT}/hour", "counts": "recipients"}],
    },
    "ginza": {
        "match": [{"auth": "*@ginza.test"}],
        "quotas": [{"name": "hourly", "limit": "100000/hour", "counts": "recipients"}],
    },
    "small": {
        "match": [{"auth": "*@small.test"}],
        "quotas": [{"name": "hourly", "limit": "4/hour", "counts": "recipients"}],
    },
    "held": {
        "match": [{"auth": "*@held.test"}],
        "quotas": [{"name": "hourly", "limit": "1/hour", "counts": "messages", "on_excess": "hold"}],
    },
    "rejected": {
        "match": [{"auth": "*@rejected.test"}],
        "quotas": [{"name": "monthly", "limit": "1/month", "counts": "messages", "on_excess": "reject"}],
    },
    "watched": {
        "match": [{"auth": "*@watched.test"}],
        "quotas": [{"name": "hourly", "limit": "1/hour", "counts": "messages", "monitor": True}],
    },
    "bytes": {
        "match": [{"auth": "*@bytes.test"}],
        "quotas": [{"name": "volume", "limit": "100KiB/month", "counts": "bytes"}],
    },
    "logins": {
        "match": [{"auth": "*@logins.test"}],
        "quotas": [{"name": "each", "limit": "2/hour", "counts": "recipients", "key": "auth",
                    "overrides": {"chief@logins.test": 3}},
                   {"name": "pool", "limit": "6/hour", "counts": "recipients"}],
    },
    "warned": {
        "match": [{"auth": "*@warned.test"}],
        "quotas": [{"name": "hourly", "limit": "5/hour", "counts": "messages", "key": "auth", "warn_at": [80, 100]}],
    },
    "domains": {
        "match": [{"auth": "*@domains.test"}],
        "quotas": [{"name": "each", "limit": "2/hour", "counts": "recipients", "key": "recipient_domain"}],
    },
}


def setup(world):
    command = world.path("notify")
    with open(command, "w") as script:
        script.write(f"#!/bin/sh\ncat >>{world.path('notices')}\n")
    os.chmod(command, 0o755)
    world.relay = Relay(world, TENANTS, logins=[ACME, GINZA], settings={"notify": {
        "command": command, "to": ["ops@example.test"], "from": "gate@relay.test"}})
    gate = world.relay.gate
    gate.config["notify"]["server"] = f"127.0.0.1:{world.relay.mta.port}"
    gate.reload()


def send(client, login, *recipients, size=0):
    body = "x" * 70 + "\r\n"
    return client.send(login, recipients, message(login, recipients[0], body=body * (size // 72 + 1)))


def test_exact_under_load(world):
    """2 000 messages over 64 sessions, quota 500 recipients/hour: exactly 500 pass, 2 000 records"""
    relay, other = world.relay, Load(world.relay, GINZA, 4, count=100)
    replies = [s.reply for s in Load(relay, ACME, SESSIONS, count=MESSAGES).wait()]
    others = [s.reply for s in other.wait()]
    passed = [r for r in replies if r.code == 250]
    check_eq(len(replies), MESSAGES, "replies")
    check_eq(len(passed), LIMIT, "messages accepted")
    refs = {refused(r, 451, "4.7.1", "SKQ-RATE") for r in replies if r.code != 250}
    check_eq(len(refs), MESSAGES - LIMIT, "different references in the refusals")
    check_eq([r.code for r in others], [250] * 100, "replies to the other tenant")
    wait_for(lambda: len(relay.gate.mail_records(tenant="acme")) >= MESSAGES, "all records")
    records = relay.gate.mail_records(tenant="acme")
    check_eq(len(records), MESSAGES, "records")
    check_eq(sum(r["event"] == "accepted" for r in records), LIMIT, "accepted on the record")
    check_eq({r["id"] for r in records if r["event"] == "deferred"}, refs, "ids of the refusals")
    relay.sink.wait_count(LIMIT + 100, 60)
    check_eq({m.record for m in relay.sink.messages}, {r["message"] for r in relay.gate.mail_records(event="accepted")},
             "ids in the delivered messages")
    relay.gate.verify()


test_exact_under_load.seconds = 180


def test_text(world):
    """the refusal says whose, how much, and when there is room again"""
    with world.relay.client(ACME) as client:
        reply = send(client, ACME, "one@example.test")
    refused(reply, 451, "4.7.1", "SKQ-RATE")
    check(f"acme: {LIMIT} recipients/hour" in reply.text and "JST" in reply.text, "reply: {}", reply)


def test_refused_costs_nothing(world):
    """recipients that the MTA refuses, RSET, disconnects and refusals cost nothing"""
    relay, login = world.relay, "user@small.test"
    for _ in range(3):
        with relay.client(LOGIN=login) as client:
            client.mail(login)
            check_eq(client.rcpt("refused@mta.test").code, 554, "the MTA's own refusal")
            client.rcpt("a@example.test")
            client.command("RSET")
        with relay.client(LOGIN=login) as client:
            client.mail(login)
            client.rcpt("a@example.test")
            check_eq(client.command("DATA").code, 354, "DATA")
            client.raw(b"Subject: never ends\r\n")
    def room():
        with relay.client(LOGIN=login) as client:
            return send(client, login, "a@example.test", "refused@mta.test", "b@example.test", "c@example.test",
                        "d@example.test").code == 250
    wait_for(room, "the four recipients to be free again", 10, 0.2)
    with relay.client(LOGIN=login) as client:
        refused(send(client, login, "e@example.test"), 451, "4.7.1", "SKQ-RATE")


def test_never_fits(world):
    """a message larger than the whole limit is refused for good"""
    with world.relay.client(LOGIN="other@small.test") as client:
        refused(send(client, "a@small.test", *(f"r{n}@example.test" for n in range(5))), 550, "5.5.3", "SKQ-NEVER")


def test_hold(world):
    """over a quota that holds, mail is accepted and kept in the queue until it is released"""
    relay, login = world.relay, "user@held.test"
    with relay.client(LOGIN=login) as client:
        accepted(send(client, login, "first@example.test"))
        accepted(send(client, login, "second@example.test"))
    relay.sink.find(b"To: <first@example.test>")
    held = wait_for(lambda: [m for m in relay.mta.queue() if m["queue_name"] == "hold"], "a message on hold")
    check_eq(len(held), 1, "messages on hold")
    record = relay.gate.mail_records(tenant="held", event="held")[-1]
    check_eq(record["to"], ["second@example.test"], "recipients of the record")
    check_eq(record["queue_id"], held[0]["queue_id"], "queue id of the record")
    check(not any(b"second@" in m.body for m in relay.sink.messages), "the held message was delivered")
    relay.mta.release(held[0]["queue_id"])
    relay.sink.find(b"To: <second@example.test>")


def test_reject(world):
    """over a quota that rejects, mail is refused for good"""
    with world.relay.client(LOGIN="user@rejected.test") as client:
        accepted(send(client, "a@rejected.test", "first@example.test"))
        refused(send(client, "a@rejected.test", "second@example.test"), 550, "5.7.1", "SKQ-QUOTA")


def test_monitor(world):
    """a quota that only watches refuses nothing, and the record says what it would have done"""
    with world.relay.client(LOGIN="user@watched.test") as client:
        for _ in range(2):
            accepted(send(client, "a@watched.test", "first@example.test"))
    first, second = world.relay.gate.mail_records(tenant="watched")
    check(not first.get("actions"), "actions of the first: {}", first.get("actions"))
    check("hourly" in str(second.get("actions")), "actions of the second: {}", second.get("actions"))


def notices(world):
    if not os.path.exists(world.path("notices")):
        return []
    with open(world.path("notices")) as lines:
        return [n for n in map(json.loads, lines) if n["event"] == "warned"]


def letters(world):
    """what the operator got by mail: texts by subject"""
    mails = [email.message_from_bytes(m.body, policy=email.policy.default) for m in world.relay.sink.messages
             if b"To: ops@example.test" in m.body]
    return {mail["Subject"]: mail.get_content() for mail in mails}


def test_warned(world):
    """at each level of warn_at the operator is told once, by program and by mail, and nothing is refused for it"""
    login = "user@warned.test"
    with world.relay.client(LOGIN=login) as client:
        for _ in range(4):
            accepted(send(client, "a@warned.test", "first@example.test"))
        first = wait_for(lambda: notices(world), "a notice", 20)[0]
        check_eq({name: first[name] for name in first if name not in ("time", "node")},
                 {"event": "warned", "tenant": "warned", "quota": "hourly", "key": login, "percent": 80, "used": 4, "limit": 5,
                  "times": 1}, "the notice")
        accepted(send(client, "a@warned.test", "first@example.test"))
    wait_for(lambda: any(n["percent"] == 100 for n in notices(world)), "a notice of the next level", 20)
    check_eq([n["percent"] for n in notices(world)], [80, 100], "levels told")
    wait_for(lambda: "warned: quota hourly at 80 %" in letters(world), "a letter", 20)
    text = letters(world)["warned: quota hourly at 80 %"]
    check("Used:    4 of 5" in text and "sekisho quota show warned" in text, "the letter: {}", text)
    check_eq([r.get("actions") for r in world.relay.gate.mail_records(tenant="warned")][3:],
             [["warn:hourly:80"], ["warn:hourly:100"]], "actions on the record")


def test_bytes(world):
    """bytes are measured at the end of the message"""
    with world.relay.client(LOGIN="user@bytes.test") as client:
        accepted(send(client, "a@bytes.test", "first@example.test", size=60 << 10))
        refused(send(client, "a@bytes.test", "second@example.test", size=60 << 10), 451, "4.7.1", "SKQ-QUOTA")
        accepted(send(client, "a@bytes.test", "third@example.test", size=20 << 10))
        refused(send(client, "a@bytes.test", "fourth@example.test", size=120 << 10), 552, "5.3.4", "SKQ-NEVER")


def test_logins_and_pool(world):
    """each login has its own limit, an override its other one, and all share the pool"""
    def tries(login, count):
        with world.relay.client(LOGIN=login) as client:
            return [send(client, "a@logins.test", f"r{n}@example.test").code for n in range(count)]

    check_eq(tries("one@logins.test", 3), [250, 250, 451], "the first login")
    check_eq(tries("chief@logins.test", 4), [250, 250, 250, 451], "the login with an override")
    check_eq(tries("two@logins.test", 2), [250, 451], "what the pool leaves to the third")


def test_recipient_domains(world):
    """a limit for each recipient domain takes all of a message or nothing"""
    with world.relay.client(LOGIN="user@domains.test") as client:
        accepted(send(client, "a@domains.test", "a@one.test", "a@two.test"))
        refused(send(client, "a@domains.test", "b@one.test", "c@one.test", "b@two.test"), 451, "4.7.1", "SKQ-RATE")
        accepted(send(client, "a@domains.test", "b@two.test"))
        accepted(send(client, "a@domains.test", "b@One.Test"))
