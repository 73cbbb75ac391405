"""What a tenant may do: senders, From, size, recipients; suspension with the operators' tool."""
from email.header import Header

from lib.harness import check, check_eq, wait_for
from lib.relay import Relay, accepted, refused
from lib.smtp import message

TO = "someone@example.test"
TENANTS = {
    "owner": {"match": [{"auth": "*@owner.test"}], "senders": ["@owner.test", "@*.sub.test", "boss@other.test"],
              "from": "senders"},
    "watched": {"match": [{"auth": "*@watched.test"}], "senders": ["@watched.test"],
                "from": {"rule": "senders", "monitor": True}},
    "limits": {"match": [{"auth": "*@limits.test"}], "size_max": "20KiB", "recipients_max": 3},
    "strict": {"match": [{"auth": "*@strict.test"}], "recipients_max": {"limit": 2, "on_excess": "reject"}},
    "closed": {"match": [{"auth": "*@closed.test"}], "suspended": True},
    "acme": {"match": [{"auth": "*@acme.test"}]},
    "rules": {"match": [{"auth": "*@rules.test"}], "content": [
        {"header": "X-Seen", "match": "*", "monitor": True, "name": "seen"},
        {"header": "Subject", "match": "*請求書*"},
        {"header": "Subject", "match": "*wire transfer*", "action": "defer"},
        {"header": "Subject", "match": "urgent*", "action": "hold", "name": "urgent"}]},
}


def setup(world):
    world.relay = Relay(world, TENANTS)


def client(world, tenant):
    return world.relay.client(LOGIN=f"user@{tenant}.test")


def test_senders(world):
    """only its own envelope senders, whatever their case, and the null sender"""
    with client(world, "owner") as c:
        for sender in ("a@owner.test", "A@OWNER.TEST", "a@x.sub.test", "a@y.x.sub.test", "Boss@Other.Test", ""):
            check_eq(c.mail(sender).code, 250, f"MAIL FROM:<{sender}>")
            c.command("RSET")
        for sender in ("a@sub.test", "a@notowner.test", "a@owner.test.evil.test", "other@other.test", "owner.test",
                       '"a@owner.test"@evil.test'):
            refused(c.mail(sender), 550, "5.7.1", "SKQ-SENDER")


def unreadable(world, reply):
    """Sendmail refuses most of it by itself."""
    if world.relay.is_sendmail:
        check_eq(reply.code // 100, 5, "class of the reply")
    else:
        refused(reply, 553, "5.1.0", "SKQ-ADDR")


def test_unreadable(world):
    """an address that the MTA finds in a text, and another that somebody else would: refused, whichever is whose"""
    with client(world, "owner") as c:
        for sender in ("<a@evil.test>(x@owner.test", "<>x\\@owner.test", "<a@evil.test\\@owner.test>"):
            unreadable(world, c.command(f"MAIL FROM:{sender}"))
        check_eq(c.mail("a@owner.test").code, 250, "MAIL")
        unreadable(world, c.command("RCPT TO:<a@evil.test>(x@owner.test"))
        check_eq(c.rcpt(TO).code, 250, "RCPT")
        accepted(c.data(message("a@owner.test", TO)))
    check_eq(world.relay.gate.mail_records(event="accepted")[-1]["to"], [TO], "recipients")


def from_reply(world, tenant, head, sender=None):
    with client(world, tenant) as c:
        return c.send(sender or f"a@{tenant}.test", [TO], f"{head}To: {TO}\r\nSubject: from\r\n\r\nhi\r\n".encode())


def test_from(world):
    """From and Sender only of its own, each of several addresses"""
    for head in ("From: A <a@owner.test>\r\n", "From: a@owner.test, b@x.sub.test\r\n",
                 'From: "evil@evil.test" <a@owner.test>\r\n', "From: =?utf-8?q?A?=\r\n <a@OWNER.test>\r\n",
                 "From: a@owner.test (evil@evil.test)\r\n"):
        accepted(from_reply(world, "owner", head))
    for head in ("From: A <a@evil.test>\r\n", "From: a@owner.test, b@evil.test\r\n",
                 '"From: a@owner.test\r\nFrom: <a@evil.test>\r\n'.lstrip('"'),
                 "From: a@owner.test\r\nSender: b@evil.test\r\n", "From: <a@owner.test>, \r\n <x@evil.test>\r\n",
                 "From: group: a@owner.test, b@evil.test;\r\n", "From: <>\r\n", "From: (a@owner.test)\r\n",
                 "From: nobody:;\r\n", "Sender: a@owner.test\r\nFrom: <>\r\n",
                 "From: <@owner.test:b@evil.test>\r\n", "From: a@owner.test\r\nSender: \r\n"):
        refused(from_reply(world, "owner", head), 550, "5.7.1", "SKQ-FROM")
    accepted(from_reply(world, "owner", "From: <@relay.test:a@owner.test>\r\n"))


def test_from_empty(world):
    """Postfix passes an empty From on, Sendmail makes one of the sender instead"""
    for head in ("From:\r\n", "From: a@owner.test\r\nFrom:\r\n"):
        reply = from_reply(world, "owner", head)
        if world.relay.is_sendmail:
            accepted(reply)
        else:
            refused(reply, 550, "5.7.1", "SKQ-FROM")


def test_from_missing(world):
    """without a From the MTA makes one of the sender; of a null sender it would make its own"""
    accepted(from_reply(world, "owner", ""))
    with client(world, "owner") as c:
        refused(c.send("", [TO], b"Subject: from\r\n\r\nhi\r\n"), 550, "5.7.1", "SKQ-FROM")
        accepted(c.send("", [TO], b"From: a@owner.test\r\n\r\nhi\r\n"))


def test_from_monitor(world):
    """a From that is only watched passes, and the record says so"""
    accepted(from_reply(world, "watched", "From: x@evil.test\r\n"))
    record = world.relay.gate.mail_records(tenant="watched")[-1]
    check("from" in str(record.get("actions")), "actions: {}", record.get("actions"))


def test_size(world):
    """a declared size is refused at MAIL, a real one at the end"""
    big = message("a@limits.test", TO, "big", "z" * 70 + "\r\n" + ("y" * 76 + "\r\n") * 300)
    with client(world, "limits") as c:
        refused(c.mail("a@limits.test", f"SIZE={30 << 10}"), 552, "5.3.4", "SKQ-SIZE")
        refused(c.send("a@limits.test", [TO], big), 552, "5.3.4", "SKQ-SIZE")
        refused(c.send("a@limits.test", [TO], big, "SIZE=100"), 552, "5.3.4", "SKQ-SIZE")
        accepted(c.send("a@limits.test", [TO], message("a@limits.test", TO, "small")))


def test_recipients(world):
    """too many recipients: the rest later, or none at all"""
    with client(world, "limits") as c:
        c.mail("a@limits.test")
        replies = [c.rcpt(f"r{n}@example.test") for n in range(5)]
        check_eq([r.code for r in replies], [250, 250, 250, 452, 452], "RCPT")
        check(replies[3].text.startswith("4.5.3 "), "reply: {}", replies[3])
        accepted(c.data(message("a@limits.test", TO)))
    record = world.relay.gate.mail_records(tenant="limits", event="accepted")[-1]
    check_eq(record["nrcpt"], 3, "recipients on the record")
    with client(world, "strict") as c:
        c.mail("a@strict.test")
        replies = [c.rcpt(f"r{n}@example.test") for n in range(3)]
        check_eq([r.code for r in replies], [250, 250, 550], "RCPT")
        check(replies[2].text.startswith("5.5.3 "), "reply: {}", replies[2])


def test_content(world):
    """rules on what the header says, however it is written"""
    gate = world.relay.gate
    with client(world, "rules") as c:
        def send(subject, extra=""):
            return c.send("a@rules.test", [TO], message("a@rules.test", TO, subject, extra=extra))

        for charset in ("iso-2022-jp", "utf-8"):
            subject = Header("七月分の請求書のご案内", charset).encode(linesep="\r\n")
            ref = refused(send(subject), 550, "5.7.1", "SKQ-CONTENT")
            check("content:subject-2" in gate.tool_ok("log", "show", ref), "log show does not name the rule")
        refused(send("hello", "Subject: Your wire\r\n transfer\r\n"), 451, "4.7.1", "SKQ-CONTENT")
        accepted(send(Header("七月分のご案内", "iso-2022-jp").encode(), "X-Seen: 1\r\n"))
        check_eq(gate.mail_records(tenant="rules", event="accepted")[-1]["actions"], ["monitor:content:seen"], "actions")
        accepted(send("URGENT: read"))
        check_eq(gate.mail_records(tenant="rules", event="held")[-1]["rule"], "content:urgent", "rule")


def test_suspended_by_configuration(world):
    """a tenant that the configuration suspends"""
    with client(world, "closed") as c:
        refused(c.mail("a@closed.test"), 550, "5.7.13", "SKQ-SUSP")


def test_suspend_and_resume(world):
    """suspended and resumed with the tool, in the middle of a session"""
    gate = world.relay.gate

    def mail_code():
        code = c.mail("a@acme.test").code
        c.command("RSET")
        return code

    with client(world, "acme") as c:
        accepted(c.send("a@acme.test", [TO], message("a@acme.test", TO)))
        gate.tool_ok("tenant", "suspend", "acme")
        wait_for(lambda: mail_code() == 550, "the suspension", 10, 0.2)
        refused(c.mail("a@acme.test"), 550, "5.7.13", "SKQ-SUSP")
        gate.tool_ok("tenant", "resume", "acme")
        wait_for(lambda: mail_code() == 250, "the resumption", 10, 0.2)
        accepted(c.send("a@acme.test", [TO], message("a@acme.test", TO)))


def test_log_show(world):
    """the reference of a refusal finds its record with the tool"""
    with client(world, "owner") as c:
        ref = refused(c.mail("x@evil.test"), 550, "5.7.1", "SKQ-SENDER")
    shown = world.relay.gate.tool_ok("log", "show", ref)
    check(ref in shown and "x@evil.test" in shown, "log show printed: {}", shown)
    unknown = world.relay.gate.tool("log", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    check_eq(unknown.returncode, 1, "exit status for no record")
