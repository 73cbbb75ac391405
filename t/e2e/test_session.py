"""How sessions go on and end: several messages, second thoughts, hang-ups, TLS in between, and odd manners."""
import time

from lib.harness import Skipped, check, check_eq, wait_for
from lib.relay import Relay, accepted, refused
from lib.smtp import Client, message

LOGIN = "user@acme.test"
TO = "someone@example.test"
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}],
             "quotas": [{"name": "hourly", "limit": "10000/hour", "counts": "recipients"}]},
    "tls": {"match": [{"client": "198.51.100.0/24"}], "require": ["tls"]},
    "auth": {"match": [{"client": "203.0.113.0/24"}], "require": ["auth"]},
}


def setup(world):
    world.relay = Relay(world, TENANTS, logins=[LOGIN], with_tls=True)


def used(world):
    """Recipients that acme has accepted on the record."""
    return sum(r["nrcpt"] for r in world.relay.gate.mail_records(tenant="acme", event="accepted"))


def works(world, client):
    """The session still takes a message, which arrives with its record."""
    marker = f"marker {time.monotonic_ns()}"
    accepted(client.send(LOGIN, [TO], message(LOGIN, TO, marker)))
    delivered = world.relay.sink.find(marker.encode())
    world.relay.gate.record_of(delivered.record, "accepted")
    return delivered


def test_several_messages(world):
    """ten messages over one connection: ten records, ten ids"""
    with world.relay.client(LOGIN) as client:
        ids = {works(world, client).record for _ in range(10)}
    check_eq(len(ids), 10, "different ids")


def test_body_untouched(world):
    """a message leaves byte for byte as it came, but for one header"""
    body = b".dot\r\n..\r\n\ttab \x00 nul \xff\xfe 8-bit\r\n" + b"x" * 990 + b"\r\n\r\n\r\n"
    with world.relay.client(LOGIN) as client:
        accepted(client.send(LOGIN, [TO], message(LOGIN, TO, "untouched", body), "BODY=8BITMIME"))
    delivered = world.relay.sink.find(b"Subject: untouched")
    check_eq(delivered.body.partition(b"\r\n\r\n")[2], body, "body")


def test_forged_record_header(world):
    """a header Sekisho-Record that the sender brings does not pass for ours"""
    with world.relay.client(LOGIN) as client:
        forged = message(LOGIN, TO, "forged id", extra="Sekisho-Record: 00000000000000000000000000\r\n")
        accepted(client.send(LOGIN, [TO], forged))
    values = world.relay.sink.find(b"Subject: forged id").header("Sekisho-Record")
    ours = [v for v in values if any(v in (r["id"], r.get("message")) for r in world.relay.gate.mail_records())]
    check_eq(len(ours), 1, f"ids that are on record, of {values}")


def test_rset(world):
    """RSET at every stage, then a message"""
    with world.relay.client(LOGIN) as client:
        for stage in range(4):
            if stage > 0:
                client.mail(LOGIN)
            if stage > 1:
                client.rcpt(TO)
            if stage > 2:
                client.rcpt("other@example.test")
            check_eq(client.command("RSET").code, 250, "RSET")
        works(world, client)


def test_hang_up(world):
    """a client that disappears at any stage leaves nothing behind"""
    before, records = used(world), len(world.relay.gate.mail_records())
    steps = (lambda c: None, lambda c: c.ehlo(), lambda c: c.auth(LOGIN), lambda c: c.mail(LOGIN), lambda c: c.rcpt(TO),
             lambda c: c.command("DATA"), lambda c: c.raw(b"Subject: half"), lambda c: c.raw(b"\r\n\r\nbody\r\n"))
    for rudely in (False, True):
        for count in range(1, len(steps) + 1):
            client = Client(world.relay.mta.port)
            for step in steps[:count]:
                step(client)
            client.reset() if rudely else client.close()
    with world.relay.client(LOGIN) as client:
        works(world, client)
    check_eq(used(world), before + 1, "recipients on the record")
    check_eq(len(world.relay.gate.mail_records()), records + 1, "records")


def test_quit_anywhere(world):
    """QUIT in the middle of a message"""
    for count in range(3):
        client = world.relay.client(LOGIN)
        for step in (lambda: client.mail(LOGIN), lambda: client.rcpt(TO))[:count]:
            step()
        check_eq(client.quit().code, 221, "QUIT")


def test_starttls(world):
    """EHLO, STARTTLS, EHLO: what TLS requires is there after it and not before"""
    with world.relay.client(ADDR="198.51.100.1") as client:
        ref = refused(client.mail("a@tls.test"), 530, "5.7.0", "SKQ-TLS")
        check_eq(client.starttls().code, 220, "STARTTLS")
        check_eq(client.ehlo().code, 250, "EHLO")
        accepted(client.send("a@tls.test", [TO], message("a@tls.test", TO, "over tls")))
    world.relay.gate.record_of(ref, "rejected")
    record = world.relay.gate.mail_records(tenant="tls", event="accepted")[-1]
    check(record.get("tls", "").startswith("TLSv1"), "tls on the record: {}", record.get("tls"))


def test_starttls_without_ehlo(world):
    """a client that goes straight from STARTTLS to MAIL"""
    with world.relay.client(ADDR="198.51.100.1") as client:
        client.starttls()
        accepted(client.send("a@tls.test", [TO], message("a@tls.test", TO, "no second EHLO")))


def test_auth_required(world):
    """a tenant that must log in"""
    with world.relay.client(ADDR="203.0.113.5") as client:
        refused(client.mail("a@auth.test"), 530, "5.7.0", "SKQ-AUTH")
    with world.relay.client(ADDR="203.0.113.5", LOGIN="x@auth.test") as client:
        accepted(client.send("a@auth.test", [TO], message("a@auth.test", TO)))


def test_noop_storm(world):
    """NOOP, EHLO, VRFY and nonsense between messages, as much of it as the MTA puts up with"""
    patience = world.relay.mta.patience
    with world.relay.client(LOGIN) as client:
        client.raw(b"NOOP\r\n" * patience)
        for _ in range(patience):
            check_eq(client.reply().code, 250, "NOOP")
        for _ in range(patience // 20 + 1):
            client.command("EHLO again.test")
            client.command("VRFY someone")
            client.command("XNONSENSE \x01\xff")
        client.mail(LOGIN)
        client.raw(b"NOOP\r\n" * (patience // 10))
        for _ in range(patience // 10):
            client.reply()
        client.rcpt(TO)
        accepted(client.data(message(LOGIN, TO, "after the storm")))
        works(world, client)


def test_pipelining(world):
    """whole messages sent without waiting for a reply"""
    content = message(LOGIN, TO, "pipelined")
    one = f"MAIL FROM:<{LOGIN}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode()
    before = used(world)
    with world.relay.client(LOGIN) as client:
        for _ in range(5):
            client.raw(one)
            check_eq([client.reply().code for _ in range(3)], [250, 250, 354], "replies")
            accepted(client.content(content))
    check_eq(used(world), before + 5, "recipients on the record")


def test_smtputf8(world):
    """addresses and headers in UTF-8"""
    sender, to = "差出人@acme.test", "受取人@例え.test"
    with world.relay.client(LOGIN) as client:
        if "SMTPUTF8" not in client.ehlo().lines:
            raise Skipped("this MTA does not offer SMTPUTF8")
        accepted(client.send(sender, [to], message(sender, to, "国際化"), "SMTPUTF8"))
    record = wait_for(lambda: world.relay.gate.mail_records(**{"from": sender}), "the record")[-1]
    check_eq(record["to"], ["受取人@xn--r8jz45g.test"], "recipients on the record")
    world.relay.sink.find("国際化".encode())
    world.relay.gate.verify()


def test_null_sender(world):
    """a bounce that a customer sends: the null sender"""
    with world.relay.client(LOGIN) as client:
        accepted(client.send("", [TO], message("mailer-daemon@acme.test", TO, "from nobody")))
    check_eq(world.relay.sink.find(b"Subject: from nobody").sender.split()[0], "<>", "sender at the next hop")


def test_quoted_addresses(world):
    """quoted local parts, source routes, blanks and capitals"""
    with world.relay.client(LOGIN) as client:
        for path in (b'<"a b"@acme.test>', b"<@hop.test:a@acme.test>", b"<A@ACME.test>", b'<"q\\"u"@acme.test>'):
            reply = client.command(b"MAIL FROM:" + path)
            check_eq(reply.code, 250, f"MAIL FROM:{path!r}")
            check_eq(client.command(b'RCPT TO:<"x y"@example.test>').code, 250, "RCPT")
            accepted(client.data(message(LOGIN, TO, "quoted")))
    world.relay.gate.verify()


def test_recipients_refused_by_mta(world):
    """recipients that the MTA refuses are in no record and cost nothing"""
    with world.relay.client(LOGIN) as client:
        client.mail(LOGIN)
        codes = [client.rcpt(recipient).code for recipient in (TO, "refused@mta.test", "other@example.test")]
        check_eq(codes, [250, 554, 250], "RCPT")
        accepted(client.data(message(LOGIN, TO, "two of three")))
    record = world.relay.gate.record_of(world.relay.sink.find(b"Subject: two of three").record, "accepted")
    check_eq(record["to"], [TO, "other@example.test"], "recipients on the record")
    check_eq(record["nrcpt"], 2, "number of recipients")


def test_big_message(world):
    """fifteen megabytes"""
    body = (b"y" * 76 + b"\r\n") * 200000
    with world.relay.client(LOGIN) as client:
        accepted(client.send(LOGIN, [TO], message(LOGIN, TO, "fifteen megabytes", body)))
    arrived = world.relay.sink.find(b"Subject: fifteen megabytes", 30).body.partition(b"\r\n\r\n")[2]
    check_eq(len(arrived), len(body), "octets of the body")
