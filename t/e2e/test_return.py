"""Signed envelope senders: what comes back to one is known, counted once, and sent on; what is forged counts nowhere."""
import re
import secrets
import time
import urllib.request

from lib.gate import new_tracking_key
from lib.harness import Skipped, check, check_eq, wait_for
from lib.relay import Relay, accepted, refused
from lib.smtp import message

PATH = re.compile(r"<([0-9a-hjkmnp-tv-z]{26}-[0-9a-hjkmnp-tv-z]{36}@(?:bounce|back)\.[a-z]+\.test)>")
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}], "senders": ["@acme.test"], "return_path": "bounce.acme.test"},
    "wild": {"match": [{"auth": "*@wild.test"}], "return_path": "bounce.wild.test",
             "guard": {"hard_bounces": "50%", "sample": 2, "action": "reject"}},
    "drop": {"match": [{"auth": "*@drop.test"}], "return_path": {"domain": "bounce.drop.test", "bounces": "discard"}},
    "keep": {"match": [{"auth": "*@keep.test"}], "return_path": {"domain": "back.keep.test", "bounces": "accept"}},
    "metered": {"match": [{"auth": "*@metered.test"}], "return_path": "bounce.metered.test",
                "quotas": [{"name": "by-sender", "limit": "3/hour", "key": "sender"}]},
    "brief": {"match": [{"auth": "*@brief.test"}], "return_path": {"domain": "bounce.brief.test", "keep": "2s"}},
    "plain": {"match": [{"auth": "*@plain.test"}]},
}
DSN = """\
From: MAILER-DAEMON@mx.far.test (Mail Delivery System)\r
To: {path}\r
Subject: Undelivered Mail Returned to Sender\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r
\r
--b\r
\r
This is the mail system at host mx.far.test.\r
\r
<{recipient}>: {reply}\r
\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.far.test\r
\r
Final-Recipient: rfc822; {recipient}\r
Action: {action}\r
Status: {status}\r
Diagnostic-Code: smtp; {reply}\r
\r
--b\r
Content-Type: message/rfc822\r
\r
From: <a@acme.test>\r
To: <{to}>\r
Subject: what came back\r
\r
{returned}\r
--b--\r
"""
ARF = """\
From: <staff@feedback.test>\r
To: fbl@bounce.acme.test\r
Subject: abuse report\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r
\r
--b\r
\r
This is an abuse report.\r
\r
--b\r
Content-Type: message/feedback-report\r
\r
Feedback-Type: {kind}\r
User-Agent: SomeGenerator/1.0\r
Version: 1\r
Original-Mail-From: <{path}>\r
Original-Rcpt-To: <{recipient}>\r
\r
--b\r
Content-Type: message/rfc822\r
\r
From: <a@acme.test>\r
Subject: an offer\r
\r
Hello.\r
--b--\r
"""


def setup(world):
    keys = new_tracking_key(world)
    world.keys, settings = keys, {"tracking": {"key_file": keys}}
    world.relay = Relay(world, TENANTS, settings=settings, follows=True)
    world.deaf = Relay(world, TENANTS, settings=settings)          # nobody reads this one's log


def send(relay, tenant, *to, subject="hello", parameters=""):
    sender = f"a@{tenant}.test"
    with relay.client(LOGIN=sender) as client:
        return client.send(sender, list(to), message(sender, to[0], subject), parameters)


def path_of(relay, tenant, *to, parameters=""):
    """The return path of a message that goes out now, and the id of its record."""
    subject = f"out {secrets.token_hex(6)}"
    accepted(send(relay, tenant, *to, subject=subject, parameters=parameters))
    delivered = relay.sink.find(subject.encode())
    found = PATH.match(delivered.sender)
    check(found, "no return path, but {}", delivered.sender)
    check(len(found[1].partition("@")[0]) <= 64, "too long: {}", found[1])
    return found[1], delivered


def come_back(relay, path, recipient, to=None, sender="", reply="550 5.1.1 no such user here", action="failed",
              status="5.1.1", returned="Hello.", content=None):
    with relay.client() as client:
        text = content or DSN.format(path=path, recipient=recipient, to=to or recipient, reply=reply, action=action,
                                     status=status, returned=returned)
        return client.send(sender, [path], text.encode())


def recipients(delivered):
    """Without the ESMTP parameters."""
    return tuple(recipient.split()[0] for recipient in delivered.recipients)


def records(relay, event, **want):
    return [r for r in relay.gate.records() if r["event"] == event and all(r.get(k) == v for k, v in want.items())]


def wait_record(relay, event, **want):
    return wait_for(lambda: records(relay, event, **want), f"a record {event} {want}", 20)[-1]


def count(relay, tenant, name):
    return relay.gate.tool_json("bounce", "count", tenant)[name]


def suppressed(relay, tenant):
    return relay.gate.tool_ok("suppress", "list", tenant, "--json")


def test_outgoing(world):
    """the sender becomes a path of the tenant's domain; ENVID and RET stay, and `link decode` reads it"""
    path, delivered = path_of(world.deaf, "acme", "ok@example.test", parameters="RET=HDRS ENVID=abc")
    check("ENVID=abc" in delivered.sender and "RET=HDRS" in delivered.sender, "DSN parameters: {}", delivered.sender)
    record = world.deaf.gate.record_of(delivered.record, "accepted")
    check_eq((record["from"], "return_path" in record["actions"]), ("a@acme.test", True), "sender on the record")
    told = world.deaf.gate.tool_json("link", "decode", path.upper())
    check_eq((told["purpose"], told["tenant"], told["message"], told["sender"]),
             ("return path", "acme", record["message"], "a@acme.test"), "what the path says")


def test_without(world):
    """who wants none keeps his sender, and so does the null sender"""
    accepted(send(world.deaf, "plain", "ok@example.test", subject="plain sender"))
    check(world.deaf.sink.find(b"plain sender").sender.startswith("<a@plain.test>"), "a plain sender was changed")
    with world.deaf.client(LOGIN="a@acme.test") as client:
        accepted(client.send("", ["ok@example.test"], message("a@acme.test", "ok@example.test", "null sender")))
    check(world.deaf.sink.find(b"null sender").sender.startswith("<>"), "the null sender was changed")


def test_policy_sees_the_sender(world):
    """quotas count the sender that the client gave"""
    for _ in range(3):
        accepted(send(world.deaf, "metered", "ok@example.test"))
    refused(send(world.deaf, "metered", "ok@example.test"), 451, "4.7.1", "SKQ-RATE")


def test_remote_report(world):
    """a remote report: recorded under the message, counted, suppressed at the next RCPT, passed on to the sender"""
    relay, to = world.deaf, "gone@example.test"
    path, delivered = path_of(relay, "acme", to)
    accepted(come_back(relay, path, to, returned="first report"))
    record = wait_record(relay, "bounced", rcpt=to)
    check_eq((record["tenant"], record["message"], record["outcome"]["reason"], record["outcome"]["hard"]),
             ("acme", relay.gate.record_of(delivered.record)["message"], "userunknown", True), "record")
    refused(send(relay, "acme", "Gone@example.test"), 550, "5.7.1", "SKQ-SUPP")
    check('"by":"dsn"' in suppressed(relay, "acme"), "not on the list: {}", suppressed(relay, "acme"))
    passed = relay.sink.find(b"first report")
    check_eq((passed.sender.split()[0], recipients(passed)), ("<>", ("<a@acme.test>",)), "sender and recipient of what goes on")
    brought = relay.gate.record_of(record["outcome"]["report"], "accepted")
    check_eq((brought["tenant"], brought["actions"]), ("acme", ["returned:sender"]), "record of the report")


def test_said_again(world):
    """the same failure in other words, from another sender, counts no second time"""
    relay, to = world.deaf, "twice@example.test"
    path, _ = path_of(relay, "acme", to)
    before = count(relay, "acme", "failed")
    accepted(come_back(relay, path, to))
    accepted(come_back(relay, path, to, reply="550 5.1.1 user unknown", sender="mailer-daemon@mx.far.test"))
    check_eq(count(relay, "acme", "failed"), before + 1, "failures")
    known = [r["outcome"].get("known", False) for r in records(relay, "bounced", rcpt=to)]
    check_eq(known, [False, True], "records, the second of something known")


def test_not_his_to_say(world):
    """who got one message cannot get somebody else suppressed, nor count for more than his own"""
    relay = world.deaf
    path, _ = path_of(relay, "acme", "mine@example.test")
    before = count(relay, "acme", "failed")
    for name in ("victim", "victim2", "victim3"):
        accepted(come_back(relay, path, f"{name}@example.test"))
    check_eq(count(relay, "acme", "failed"), before + 1, "failures")
    check("victim" not in suppressed(relay, "acme"), "suppressed: {}", suppressed(relay, "acme"))


def test_forwarded(world):
    """a forwarder's report names its own address: the one we wrote to is found in what came back"""
    relay, to = world.deaf, "old@example.test"
    path, _ = path_of(relay, "acme", to)
    accepted(come_back(relay, path, "new@elsewhere.test", to=to))
    record = wait_record(relay, "bounced", rcpt=to)
    check_eq(record["outcome"]["final"], "new@elsewhere.test", "the address in the report")
    refused(send(relay, "acme", to), 550, "5.7.1", "SKQ-SUPP")


def test_several(world):
    """of a message to several, those and only those who failed"""
    relay, to = world.deaf, [f"r{n}@several.test" for n in range(3)]
    path, _ = path_of(relay, "acme", *to)
    accepted(come_back(relay, path, to[1]))
    accepted(come_back(relay, path, "r9@several.test"))
    check_eq([r.get("rcpt") for r in records(relay, "bounced") if "several" in r.get("rcpt", "")], [to[1]], "who failed")
    listed = suppressed(relay, "acme")
    check(to[1] in listed and to[0] not in listed and "r9@" not in listed, "suppressed: {}", listed)


def test_soft(world):
    """a full mailbox is counted and suppresses nobody; a delay is only recorded"""
    relay = world.deaf
    for to, reply, action, status in (("full@example.test", "552 5.2.2 mailbox full", "failed", "5.2.2"),
                                      ("policy@example.test", "550 5.7.1 message refused by policy", "failed", "5.7.1"),
                                      ("late@example.test", "451 4.3.0 try later", "delayed", "4.3.0")):
        path, _ = path_of(relay, "acme", to)
        accepted(come_back(relay, path, to, reply=reply, action=action, status=status))
        wait_record(relay, "bounced" if action == "failed" else "delayed", rcpt=to)
        check(to not in suppressed(relay, "acme"), "{} is suppressed", to)
    check_eq(records(relay, "bounced", rcpt="late@example.test"), [], "a delay as a bounce")


def test_forged(world):
    """an altered path, one of nobody, another tenant's: 550 5.7.1, and nothing counts"""
    relay = world.deaf
    path, _ = path_of(relay, "acme", "ok@example.test")
    before = [count(relay, "acme", name) for name in ("failed", "hard", "complaints")]
    last = path.index("@") - 1
    altered = path[:last - 3] + ("0" if path[last - 3] != "0" else "1") + path[last - 2:]
    for forged in (altered, path.replace("acme", "drop"), "0" * 26 + "-" + "0" * 36 + "@bounce.acme.test",
                   "somebody@bounce.acme.test", "a" * 63 + "@bounce.acme.test"):
        refused(come_back(relay, forged, "ok@example.test"), 550, "5.7.1", "SKQ-PATH")
    check_eq([count(relay, "acme", name) for name in ("failed", "hard", "complaints")], before, "counts")
    check("ok@example.test" not in suppressed(relay, "acme"), "suppressed by a forged report")


def test_expired(world):
    """a path lives as long as its tenant says"""
    relay = world.deaf
    path, _ = path_of(relay, "brief", "ok@example.test")
    time.sleep(2.2)
    check("expired" in str(come_back(relay, path, "ok@example.test")), "an expired path is taken")
    refused(come_back(relay, path, "ok@example.test"), 550, "5.7.1", "SKQ-PATH")
    check_eq(count(relay, "brief", "failed"), 0, "failures")


def test_case(world):
    """mail servers that change case are forgiven"""
    path, _ = path_of(world.deaf, "acme", "case@example.test")
    accepted(come_back(world.deaf, path.upper(), "CASE@example.test"))
    wait_for(lambda: "case@example.test" in suppressed(world.deaf, "acme"), "the suppression")


def test_keys_turn(world):
    """paths made before a rotation are good after it; with their key gone they are not"""
    relay = world.deaf
    old, _ = path_of(relay, "acme", "early@example.test")
    relay.gate.tool_ok("key", "rotate")
    relay.gate.reload()
    new, _ = path_of(relay, "acme", "later@example.test")
    for path, to in ((old, "early@example.test"), (new, "later@example.test")):
        accepted(come_back(relay, path, to))
        wait_record(relay, "bounced", rcpt=to)
    with open(world.keys) as keys:
        lines = keys.readlines()
    with open(world.keys, "w") as keys:
        keys.write(lines[-1])
    relay.gate.reload()
    refused(come_back(relay, old, "early@example.test"), 550, "5.7.1", "SKQ-PATH")
    accepted(come_back(relay, new, "later@example.test"))


def test_fates(world):
    """discard: counted and gone; accept: the MTA has it as it came; a person's answer goes to the sender"""
    relay = world.deaf
    path, _ = path_of(relay, "drop", "x@example.test")
    accepted(come_back(relay, path, "x@example.test", returned="gone for good"))
    wait_record(relay, "bounced", rcpt="x@example.test")
    answer = message("x@example.test", path, "Re: hello", "a person wrote this\r\n")
    accepted(come_back(relay, path, "", sender="x@example.test", content=answer.decode()))
    check_eq(recipients(relay.sink.find(b"a person wrote this")), ("<a@drop.test>",), "recipient of an answer")
    vacation = message("x@example.test", path, "Away", "vacation text\r\n", "Auto-Submitted: auto-replied\r\n")
    accepted(come_back(relay, path, "", sender="x@example.test", content=vacation.decode()))
    path, _ = path_of(relay, "keep", "y@example.test")
    accepted(come_back(relay, path, "y@example.test", returned="as it came"))
    check_eq(recipients(relay.sink.find(b"as it came")), (f"<{path}>",), "recipient of what is accepted")
    check(not any(b"gone for good" in m.body or b"vacation text" in m.body for m in relay.sink.messages), "not discarded")
    check_eq(count(relay, "drop", "failed"), 1, "failures of the tenant that discards")


def test_complaint(world):
    """a complaint, at the role address or the path itself: recorded, counted as such, suppressed"""
    relay, to = world.deaf, "angry@example.test"
    path, _ = path_of(relay, "acme", to)
    report = ARF.format(path=path, recipient=to, kind="abuse")
    accepted(come_back(relay, "fbl@bounce.acme.test", "", sender="staff@feedback.test", content=report))
    check_eq(wait_record(relay, "complained", rcpt=to)["tenant"], "acme", "whose")
    refused(send(relay, "acme", to), 550, "5.7.1", "SKQ-SUPP")
    check('"source":"complaint"' in suppressed(relay, "acme"), "the list: {}", suppressed(relay, "acme"))
    before = count(relay, "acme", "complaints")
    accepted(come_back(relay, path, "", sender="staff@feedback.test", content=report))
    check_eq(count(relay, "acme", "complaints"), before, "complaints, said twice")


def test_praise(world):
    """what has a complaint's form and is none: nothing counts, nobody is suppressed"""
    relay, to = world.deaf, "happy@example.test"
    path, _ = path_of(relay, "acme", to)
    before = count(relay, "acme", "complaints")
    for kind in ("not-spam", "auth-failure"):
        report = ARF.format(path=path, recipient=to, kind=kind)
        accepted(come_back(relay, "fbl@bounce.acme.test", "", sender="staff@feedback.test", content=report))
    check_eq(count(relay, "acme", "complaints"), before, "complaints")
    accepted(send(relay, "acme", to))


def test_guard(world):
    """what comes back counts for the guard"""
    for to in ("none1@example.test", "none2@example.test"):
        path, _ = path_of(world.deaf, "wild", to)
        accepted(come_back(world.deaf, path, to))
    wait_for(lambda: "wild" in world.deaf.gate.tool_ok("tenant", "list", "--suspended"), "the guard to strike", 20)
    refused(send(world.deaf, "wild", "ok@example.test"), 550, "5.7.13", "SKQ-SUSP")


def test_alone(world):
    """a return path has a message for itself; and nobody's other mail is still nobody's"""
    path, _ = path_of(world.deaf, "acme", "ok@example.test")
    with world.deaf.client() as client:
        client.mail("")
        accepted(client.rcpt(path))
        check_eq(client.rcpt("other@example.test").code, 452, "a second recipient")
        client.command("RSET")
        client.mail("")
        refused(client.rcpt("other@example.test"), 550, "5.7.1", "SKQ-WHO")
        client.command("RSET")
        client.mail("someone@example.test")
        accepted(client.rcpt("postmaster@bounce.acme.test"))


def need_bounces(world):
    if not world.deaf.mta.shows_bounces:
        raise Skipped("Sendmail shows no filter the bounces that it writes")


def test_own_bounce(world):
    """Postfix's own bounce goes to the return path through internal_mail_filter_classes, and on to the sender"""
    need_bounces(world)
    relay, to = world.deaf, "bounce.own@example.test"
    accepted(send(relay, "acme", to, subject="own bounce"))
    record = wait_record(relay, "bounced", rcpt=to)
    check_eq((record["tenant"], record["outcome"]["reason"]), ("acme", "userunknown"), "record")
    passed = relay.sink.find(b"Subject: own bounce")
    check_eq((passed.sender.split()[0], recipients(passed)), ("<>", ("<a@acme.test>",)), "who gets it")
    refused(send(relay, "acme", to), 550, "5.7.1", "SKQ-SUPP")


def test_own_bounce_without_path(world):
    """a sender that was left alone is bounced to as ever; the message is known by its queue id"""
    need_bounces(world)
    relay, to = world.relay, "bounce.plain@example.test"
    accepted(send(relay, "plain", to, subject="plain bounce"))
    record = wait_record(relay, "bounced", rcpt=to)
    check_eq((record["tenant"], record["outcome"]["hard"]), ("plain", True), "record")
    check_eq(recipients(relay.sink.find(b"Subject: plain bounce")), ("<a@plain.test>",), "who gets it")
    wait_record(relay, "failed", rcpt=to)
    check_eq(count(relay, "plain", "failed"), 1, "failures")


def test_one_count(world):
    """the MTA's log, its own bounce and a remote's report speak of one failure: it counts once"""
    need_bounces(world)
    relay, to = world.relay, "bounce.once@example.test"
    before = count(relay, "acme", "failed")
    accepted(send(relay, "acme", to))
    said = [wait_record(relay, event, rcpt=to) for event in ("failed", "bounced")]
    check_eq(len({r["message"] for r in said}), 1, "messages")
    check_eq(sum(r["outcome"].get("known", False) for r in said), 1, "records that tell of something known")
    path = next(PATH.search(f"<{m}>")[1] for m in re.findall(r"from=<([^>]+@bounce\.acme\.test)>", relay.mta.maillog())
                if m.upper().startswith(said[0]["message"]))
    accepted(come_back(relay, path, to))
    wait_for(lambda: len(records(relay, "bounced", rcpt=to)) == 2, "the second report")
    check_eq((count(relay, "acme", "failed"), count(relay, "acme", "hard")), (before + 1, before + 1), "failures")
    delivered = count(relay, "acme", "delivered")
    time.sleep(1)
    check_eq(count(relay, "acme", "delivered"), delivered, "what is passed on is no delivery of the tenant's")


def test_large(world):
    """16 and 100 MB come back: understood, and hardly anything of them is held"""
    relay = world.deaf
    before = relay.gate.rss()[1]
    for megabytes in (16, 95):
        to = f"large{megabytes}@example.test"
        path, _ = path_of(relay, "acme", to)
        accepted(come_back(relay, path, to, returned=("x" * 70 + "\r\n") * (megabytes * 14563)))
        wait_record(relay, "bounced", rcpt=to)
    grown = relay.gate.rss()[1] - before
    check(world.is_sanitized or grown < 24 << 20, "the daemon grew by {} octets", grown)


def test_flood(world):
    """forged ones are refused one after the other, and leave no trace but their records"""
    relay = world.deaf
    metrics = refusals(relay)
    with relay.client() as client:
        client.mail("")
        for n in range(500):
            check_eq(client.rcpt(f"{'0' * 26}-{n:036d}@bounce.acme.test").code, 550, "a forged path")
    check_eq(refusals(relay) - metrics, 500, "refusals counted")


def refusals(relay):
    with urllib.request.urlopen(f"http://127.0.0.1:{relay.gate.metrics_port}/metrics", timeout=10) as page:
        text = page.read().decode()
    return int(re.search(r'sekisho_returns_total\{what="refused"\} (\d+)', text)[1])


def test_evidence(world):
    """both logs verify"""
    world.relay.gate.verify()
    world.deaf.gate.verify()
