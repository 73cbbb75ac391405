"""A tenant, a sender, a login whose mail goes wrong: stopped, told of once, and freed by hand."""
import email
import json
import os
import shlex
import urllib.request

from lib.harness import check, check_eq, process_alive, wait_for
from lib.relay import Relay, accepted, refused
from lib.smtp import message

SHARES = {"hard_bounces": "40%", "sample": 3}


def tenant(name, **settings):
    return {"match": [{"auth": f"*@{name}.test"}], "suppress": "off", **settings}


TENANTS = {
    "wild": tenant("wild", guard={**SHARES, "action": "reject"}),
    "halved": tenant("halved", guard={**SHARES, "action": "halve"}, quotas=[{"name": "daily", "limit": "10/day"}]),
    "shop": tenant("shop", guard={**SHARES, "action": "defer", "tenant": False, "senders": True}),
    "told": tenant("told", guard={"hard_bounces": "1%", "sample": 1, "action": "notify"}),
    "stolen": tenant("stolen", guard={"clients": 2, "action": "hold"}),
}


def setup(world):
    command = world.path("notify")
    with open(command, "w") as script:
        script.write(f"#!/bin/sh\ncat >>{world.path('notices')}\n")
    os.chmod(command, 0o755)
    world.relay = Relay(world, TENANTS, follows=True, settings={"notify": {
        "command": command, "to": ["ops@example.test"], "from": "gate@relay.test"}})
    gate = world.relay.gate
    gate.config["notify"]["server"] = f"127.0.0.1:{world.relay.mta.port}"
    gate.reload()


def send(world, login, recipient, sender=None, **xclient):
    with world.relay.client(LOGIN=login, **xclient) as client:
        return client.send(sender or login, [f"{recipient}@example.test"], message(sender or login, f"{recipient}@example.test"))


def notices(world, name):
    if not os.path.exists(world.path("notices")):
        return []
    with open(world.path("notices")) as lines:
        return [n for n in map(json.loads, lines) if n.get("tenant") == name]


def strike(world, name, sender=None):
    """three recipients, two of whom do not exist; returns the notice"""
    before = len(notices(world, name))
    for recipient in ("bounce.one", "fine", "bounce.two"):
        accepted(send(world, f"w@{name}.test", recipient, sender))
    return wait_for(lambda: notices(world, name)[before:], "a notice", 20)[0]


def shown(world, name):
    return world.relay.gate.tool_json("tenant", "show", name)


def test_suspended(world):
    """too many of a tenant's recipients do not exist: it is suspended, the operator told by program; resume undoes it"""
    gate = world.relay.gate
    notice = strike(world, "wild")
    check_eq((notice["event"], notice["what"], notice["count"], notice["sample"], notice["action"]),
             ("suspended", "hard bounces", 2, 3, "reject"), "notice")
    check("wild" in gate.tool_ok("tenant", "list", "--suspended"), "it is not listed")
    refused(send(world, "w@wild.test", "three"), 550, "5.7.13", "SKQ-SUSP")
    record = next(r for r in gate.records("ops") if r["event"] == "suspended")
    check_eq((record["tenant"], record["detail"]["by"]), ("wild", "guard"), "record of the suspension")
    gate.tool_ok("tenant", "resume", "wild")
    accepted(send(world, "w@wild.test", "five"))


def test_mail(world):
    """the operator is told by mail as well, through the very gate, and that is nobody's mail"""
    letter = world.relay.sink.find(b"\r\nTo: ops@example.test")
    check_eq(letter.header("Auto-Submitted"), ["auto-generated"], "Auto-Submitted")
    check("<gate@relay.test>" in letter.header("From")[0], "From: {}", letter.header("From"))
    record = next(r for r in world.relay.gate.mail_records(event="accepted") if "ops@example.test" in r["to"])
    check("tenant" not in record and record["from"].startswith("sekisho-"), "record of it: {}", record)
    with world.relay.client() as client:
        refused(client.mail("sekisho-0123456789abcdef01234567@relay.test"), 550, "5.7.1", "SKQ-WHO")


def test_halved(world):
    """half of each limit is left, and what was used stays used"""
    check_eq(strike(world, "halved")["event"], "halved", "event")
    check_eq(shown(world, "halved")["state"], "halved", "state")
    for name in ("four", "five"):
        accepted(send(world, "w@halved.test", name))
    record = next(r for r in world.relay.gate.mail_records(event="accepted", tenant="halved") if "five@example.test" in r["to"])
    check("quota:halved" in record["actions"], "actions: {}", record)
    gate = world.relay.gate
    would = gate.tool("explain", "--auth", "w@halved.test", "--client", "192.0.2.1", "--from", "w@halved.test",
                      "--rcpt", "six@example.test", "--json")
    for rows in (gate.tool_json("quota", "show", "halved")["usage"], json.loads(would.stdout)["quotas"]):
        check_eq([(row["used"], row["limit"], row["left"], row.get("halved")) for row in rows], [(5, 5, 0, True)], "what is left")
    reply = send(world, "w@halved.test", "six")
    refused(reply, 451, "4.7.1", "SKQ-QUOTA")
    check("5 recipients/day" in reply.text, "limit in {}", reply.text)
    world.relay.gate.tool_ok("tenant", "resume", "halved")
    accepted(send(world, "w@halved.test", "six"))


def test_sender(world):
    """only the sender who is to blame is stopped, and can be resumed alone"""
    gate, bad = world.relay.gate, "bad@shop.test"
    check_eq(strike(world, "shop", bad)["sender"], bad, "sender of the notice")
    refused(send(world, "w@shop.test", "four", "Bad@shop.test"), 450, "4.7.1", "SKQ-SUSP")
    accepted(send(world, "w@shop.test", "four", "good@shop.test"))
    member = shown(world, "shop")["members"][0]
    check_eq((member["sender"], member["action"], member["suspended_by"]), (bad, "defer", "guard"), "shown")
    gate.tool_ok("tenant", "resume", "shop", "--sender", bad)
    accepted(send(world, "w@shop.test", "four", bad))
    gate.tool_ok("tenant", "suspend", "shop", "--sender", bad)
    refused(send(world, "w@shop.test", "four", bad), 550, "5.7.13", "SKQ-SUSP")
    gate.tool_ok("tenant", "resume", "shop")
    accepted(send(world, "w@shop.test", "four", bad))


def resuming(world, sender):
    """the command of the letter about this sender, as a shell takes it to pieces; None as long as there is no letter"""
    letters = [email.message_from_bytes(m.body).get_payload(decode=True).decode() for m in list(world.relay.sink.messages)
               if b"\r\nTo: ops@example.test" in m.body]
    letter = next((text for text in letters if f"Sender: {sender}" in text), "")
    return next((shlex.split(line) for line in letter.splitlines() if "tenant resume" in line), None)


def test_pasted(world):
    """the command in the operator's letter is for this sender, whatever a shell reads in his name"""
    bad = "o'bad`id`@shop.test"
    strike(world, "shop", bad)
    refused(send(world, "w@shop.test", "four", bad), 450, "4.7.1", "SKQ-SUSP")
    command = wait_for(lambda: resuming(world, bad), "a letter", 15)
    check_eq(command, ["sekisho", "tenant", "resume", "shop", "--sender", bad], "command in the letter")
    world.relay.gate.tool_ok(*command[1:])
    accepted(send(world, "w@shop.test", "four", bad))


def test_told_once(world):
    """while it cools down the operator is not told again; the record has it each time"""
    check_eq(strike(world, "told")["event"], "guard", "event")
    accepted(send(world, "w@told.test", "bounce.three"))
    wait_for(lambda: sum(r["event"] == "guard" and r["tenant"] == "told" for r in world.relay.gate.records("ops")) >= 2,
             "a second record", 20)
    check_eq(len(notices(world, "told")), 1, "notices")


def test_clients(world):
    """a login that is used from everywhere is stopped, its tenant is not"""
    for n in range(3):
        accepted(send(world, "v@stolen.test", "fine", ADDR=f"192.0.2.{n}"))
    wait_for(lambda: shown(world, "stolen")["members"], "the login to be stopped", 20)
    check_eq(shown(world, "stolen")["members"][0]["login"], "v@stolen.test", "login")
    accepted(send(world, "v@stolen.test", "held"))
    record = wait_for(lambda: world.relay.gate.mail_records(event="held"), "a held message")[0]
    check_eq(record["auth"], "v@stolen.test", "who is held")
    accepted(send(world, "other@stolen.test", "free"))
    check(not any(r["auth"] == "other@stolen.test" for r in world.relay.gate.mail_records(event="held")), "another was held")


def test_hanging_program(world):
    """a program that hangs is killed, with what it started; mail goes on meanwhile"""
    gate, pids = world.relay.gate, world.path("hung")
    with open(world.path("hang"), "w") as script:
        script.write(f"#!/bin/sh\nsleep 600 & echo $! >>{pids}\nwait\n")
    os.chmod(world.path("hang"), 0o755)
    gate.config["notify"] = {"command": world.path("hang"), "timeout": "2s", "cool_down": "0s"}
    gate.reload()
    accepted(send(world, "w@told.test", "bounce.four"))
    wait_for(lambda: os.path.exists(pids) and open(pids).read().strip(), "the program to start", 20)
    accepted(send(world, "w@told.test", "fine"))
    wait_for(lambda: "killed, it ran longer than 2 s" in gate.log(), "its end in the log", 20)
    wait_for(lambda: not process_alive(int(open(pids).read().split()[0])), "the end of what it started")


def test_stated(world):
    """metrics and status tell of it"""
    gate = world.relay.gate
    with urllib.request.urlopen(f"http://127.0.0.1:{gate.metrics_port}/metrics") as page:
        text = page.read().decode()
    check('sekisho_guard_strikes_total{what="hard_bounces"}' in text and "sekisho_notices_total" in text, "metrics: {}", text)
    check("Guard" in gate.tool("status").stdout, "status does not tell of the guard")
    gate.verify()
