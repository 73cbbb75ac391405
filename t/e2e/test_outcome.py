"""What became of mail, as the MTA's own log tells it: records, counts, suppression; through rotation and restart."""
import json
import os
import time
import urllib.request

from lib.harness import Skipped, check, check_eq, wait_for
from lib.relay import Relay, accepted, refused
from lib.smtp import message

LOGIN = "user@acme.test"
SENDER = "a@acme.test"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}], "suppress": {"hard_bounces": "30d"}},
           "nihon": {"match": [{"auth": "*@nihon.test"}], "suppress": {"hard_bounces": "30d"}, "senders": ["@日本語.test"],
                     "from": "senders"}}


def setup(world):
    world.relay = Relay(world, TENANTS, follows=True)


def send(world, recipient, login=LOGIN, sender=SENDER):
    with world.relay.client(LOGIN=login) as client:
        return client.send(sender, [recipient], message(sender, recipient))


def outcomes(world, recipient, event=None):
    return [r for r in world.relay.gate.records() if r.get("rcpt") == recipient and "outcome" in r
            and event in (None, r["event"])]


def wait_outcome(world, recipient, event):
    return wait_for(lambda: outcomes(world, recipient, event), f"a record {event} of {recipient}", 20)[0]


def counted(world, name):
    return world.relay.gate.tool_json("bounce", "count", "acme")[name]


def test_delivered(world):
    """a delivery is a record of the message, with the next hop's words"""
    reply = accepted(send(world, "ok@example.test"))
    record = wait_outcome(world, "ok@example.test", "delivered")
    first = next(r for r in world.relay.gate.mail_records(event="accepted") if "ok@example.test" in r["to"])
    check_eq(record["message"], first["message"], "message of both records")
    check_eq((record["tenant"], record["queue_id"]), ("acme", first["queue_id"]), "tenant and queue id")
    check_eq(record["outcome"]["dsn"], "2.0.0", "dsn")
    shown = world.relay.gate.tool_ok("log", "show", first["message"])
    check("accepted" in shown and "delivered" in shown, "no whole timeline: {}", shown)
    wait_for(lambda: counted(world, "delivered") == 1, "one delivery counted")


def test_two_spellings(world):
    """a domain in UTF-8 and its xn-- form are one: sender, From, suppression, log search"""
    typed, labels = "日本語.test", "xn--wgv71a119e.test"
    with world.relay.client(LOGIN="user@nihon.test") as c:
        if "SMTPUTF8" not in c.ehlo().lines:
            raise Skipped("this MTA does not offer SMTPUTF8")
        for domain in (typed, labels, "日本語。TEST"):
            check_eq(c.mail(f"a@{domain}", "SMTPUTF8").code, 250, f"MAIL FROM:<a@{domain}>")
            c.command("RSET")
        refused(c.mail("a@日本国.test", "SMTPUTF8"), 550, "5.7.1", "SKQ-SENDER")
        check_eq(c.mail(f"a@{typed}", "SMTPUTF8").code, 250, "MAIL")
        check_eq(c.rcpt(f"bounce.idn@{typed}").code, 250, "RCPT in UTF-8")
        accepted(c.data(f"From: <a@{typed}>\r\nSubject: idn\r\n\r\nhi\r\n".encode()))
        record = wait_outcome(world, f"bounce.idn@{labels}", "failed")
        first = world.relay.gate.mail_records(event="accepted", message=record["message"])[-1]
        check_eq((first["from"], first["to"]), (f"a@{labels}", [f"bounce.idn@{labels}"]), "who and whom")
        check_eq(c.mail(f"a@{labels}").code, 250, "MAIL")
        refused(c.rcpt(f"bounce.idn@{labels}"), 550, "5.7.1", "SKQ-SUPP")
        c.command("RSET")
        check_eq(c.mail(f"a@{labels}", "SMTPUTF8").code, 250, "MAIL")
        refused(c.rcpt(f"bounce.idn@{typed}"), 550, "5.7.1", "SKQ-SUPP")
    gate = world.relay.gate
    for domain in (typed, labels):
        for words in (["--sender", f"@{domain}"], ["--recipient", f"bounce.idn@{domain}"], [f"idn@{domain}"]):
            found = gate.tool_ok("log", "search", "--json", *words)
            check(record["message"] in found, "log search {} printed: {}", words, found)
    gate.tool_ok("suppress", "remove", "nihon", f"bounce.idn@{typed}")
    check_eq(gate.tool_ok("suppress", "list", "nihon", "--json").strip(), "", "the list")


def test_failed(world):
    """a hard bounce: recorded, counted once, on the suppression list, refused at the next RCPT"""
    accepted(send(world, "bounce.neko@example.test"))
    record = wait_outcome(world, "bounce.neko@example.test", "failed")
    check_eq((record["outcome"]["reason"], record["outcome"]["hard"], record["outcome"]["dsn"]), ("userunknown", True, "5.1.1"),
             "verdict")
    check("550 5.1.1" in record["outcome"]["reply"], "no reply in {}", record["outcome"])
    refused(send(world, "Bounce.Neko@example.test"), 550, "5.7.1", "SKQ-SUPP")
    check_eq((counted(world, "failed"), counted(world, "hard")), (1, 1), "failed and hard")
    listed = world.relay.gate.tool_ok("suppress", "list", "acme", "--json")
    check('"source":"bounce","reason":"userunknown","by":"mail.log"' in listed, "not so on the list: {}", listed)


def test_released_by_hand(world):
    """taken off the list, mail goes again; and fails again, as another message"""
    world.relay.gate.tool_ok("suppress", "remove", "acme", "bounce.neko@example.test")
    accepted(send(world, "bounce.neko@example.test"))
    wait_for(lambda: counted(world, "hard") == 2, "the second failure counted", 20)


def test_delayed(world):
    """a deferral is no failure, and suppresses nobody"""
    accepted(send(world, "tf.tora@example.test"))
    record = wait_outcome(world, "tf.tora@example.test", "delayed")
    check_eq(record["outcome"]["hard"], False, "hard")
    accepted(send(world, "tf.tora@example.test"))
    check_eq(counted(world, "hard"), 2, "hard")


def test_delivery_releases(world):
    """a good delivery takes back what a bounce has entered, and nothing else"""
    gate = world.relay.gate
    gate.config["tenants"]["acme"]["suppress"]["list"] = "monitor"
    gate.reload()
    gate.tool_ok("suppress", "add", "acme", "by-hand@example.test")
    with open(world.path("list.jsonl"), "w") as out:
        out.write('{"recipient":"back@example.test","source":"bounce","reason":"userunknown"}\n')
    gate.tool_ok("suppress", "import", "acme", world.path("list.jsonl"))
    for name in ("by-hand@example.test", "back@example.test"):
        accepted(send(world, name))
        wait_outcome(world, name, "delivered")
    listed = gate.tool_ok("suppress", "list", "acme", "--json")
    check("by-hand@" in listed and "back@" not in listed, "on the list: {}", listed)


def test_rotated(world):
    """the log is renamed and a new one begun: nothing is missing, nothing twice"""
    log = world.relay.mta.maillog_path
    accepted(send(world, "before@example.test"))
    wait_outcome(world, "before@example.test", "delivered")
    os.rename(log, log + ".1")
    accepted(send(world, "between@example.test"))
    world.relay.mta.reopen_log()
    accepted(send(world, "after@example.test"))
    for name in ("between@example.test", "after@example.test"):
        wait_outcome(world, name, "delivered")
    for name in ("before@example.test", "between@example.test", "after@example.test"):
        check_eq(len(outcomes(world, name)), 1, f"outcomes of {name}")


def test_restarted(world):
    """what the MTA says while the gate is away is told afterwards, under the right message"""
    gate, mta = world.relay.gate, world.relay.mta
    mta.restart()
    accepted(send(world, "tf.late@example.test"))
    wait_outcome(world, "tf.late@example.test", "delayed")
    before = len(outcomes(world, "tf.late@example.test"))
    gate.kill()
    time.sleep(2.5)                                # the MTA tries again meanwhile
    gate.start()
    wait_for(lambda: len(outcomes(world, "tf.late@example.test")) > before, "more deferrals told", 20)
    said = [(r["queue_id"], r["rcpt"], r["event"], r["outcome"]["logged"]) for r in gate.records() if "outcome" in r]
    check_eq(len(said), len(set(said)), "outcomes, each once")


def test_own_rules(world):
    """the operator's bounce rules are reloaded with the configuration; a broken file changes nothing"""
    gate, rules = world.relay.gate, world.path("rules.yaml")
    gate.config["bounces"] = {"rules": rules}
    with open(rules, "w") as out:
        out.write("rules:\n  - {id: own-1, priority: 400, reason: blocked, text: no such user here, sample: no such user here}\n")
    gate.reload()
    accepted(send(world, "bounce.own@example.test"))
    outcome = wait_outcome(world, "bounce.own@example.test", "failed")["outcome"]
    check_eq((outcome["reason"], outcome["hard"]), ("blocked", False), "by the operator's rule")
    with open(rules, "a") as out:
        out.write("  - {id: own-2, priority: 400, reason: blocked, text: neko}\n")
    check("before stays" in gate.reload(), "a broken file was taken")
    check(f"{rules}:3:5: rule own-2 is untested" in gate.log(), "its place is not in the log")
    check_eq(gate.tool("check").returncode, 1, "exit status of check")
    del gate.config["bounces"]
    gate.reload()
    accepted(send(world, "bounce.theirs@example.test"))
    check_eq(wait_outcome(world, "bounce.theirs@example.test", "failed")["outcome"]["reason"], "userunknown", "by the program's")


def test_stated(world):
    """status says how far behind it is"""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.relay.gate.metrics_port}/status") as page:
        status = json.load(page)["maillog"]
    check(status["lines"] > 0 and "lag_s" in status and "behind_octets" in status, "status: {}", status)
    world.relay.gate.verify()
