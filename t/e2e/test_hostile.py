"""Peers that mean harm: at Postfix's door, and at the milter's socket itself. The gate lives, and stays small."""
import random
import struct

from lib.harness import check, check_eq, wait_for
from lib.milter import MilterPeer
from lib.relay import Relay, accepted
from lib.smtp import Closed, message

LOGIN = "user@acme.test"
TO = "someone@example.test"
MIB = 1 << 20
RSS_MAX = 160 * MIB                    # transaction_memory_max is 4 MiB, and only a few messages are under way at once
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}], "from": "senders", "senders": ["@acme.test"],
             "quotas": [{"name": "hourly", "limit": "1000000/hour", "counts": "recipients"},
                        {"name": "volume", "limit": "100GiB/day", "counts": "bytes"}]},
}


def setup(world):
    world.relay = Relay(world, TENANTS)
    world.random = random.Random(20261121)
    works(world)


def works(world):
    """Alive, still the same process, small, and mail passes."""
    gate = world.relay.gate
    check(gate.is_alive, "the daemon died: {}", gate.log()[-1500:])
    with world.relay.client(LOGIN=LOGIN) as client:
        accepted(client.send(LOGIN, [TO], message(LOGIN, TO)))
    rss, most = gate.rss()
    check(world.is_sanitized or most < RSS_MAX, "the daemon had {} MiB at most, has {} MiB", most // MIB, rss // MIB)


def peer(world, negotiated=True):
    peer = MilterPeer(world.relay.gate.socket)
    if negotiated:
        check(peer.negotiate(), "the milter does not negotiate")
        peer.connect()
        peer.step("H", b"peer.test\0")
    return peer


# --- at the milter's socket

def test_garbage(world):
    """random octets instead of packets"""
    for size in (1, 3, 4, 5, 100, 70000):
        with peer(world, negotiated=False) as p:
            try:
                p.raw(world.random.randbytes(size))
            except OSError:
                pass
    works(world)


def test_overlong_packets(world):
    """packets that announce gigabytes, or nothing"""
    for head in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\1\0\0", b"\0\x10\0\1"):
        for negotiated in (False, True):
            with peer(world, negotiated) as p:
                try:
                    p.raw(head + b"M" + b"<a@acme.test>\0" * 1000)
                except OSError:
                    pass
    works(world)


def test_half_packets(world):
    """hang-ups in the middle of a packet, at every stage"""
    stages = (("M", b"<a@acme.test>\0"), ("R", b"<b@example.test>\0"), ("T", b""), ("L", b"Subject\0hello\0"),
              ("N", b""), ("B", b"body\r\n"), ("E", b""))
    for count in range(len(stages)):
        for cut in (0, 2, 5):
            with peer(world) as p:
                p.macros("M", auth_authen=LOGIN)
                for command, payload in stages[:count]:
                    p.step(command, payload)
                command, payload = stages[count]
                p.raw((struct.pack(">I", len(payload) + 1) + command.encode() + payload)[:cut])
    works(world)


def test_out_of_order(world):
    """commands at wrong times, with wrong payloads"""
    for _ in range(60):
        with peer(world) as p:
            p.socket.settimeout(0.2)
            try:
                for _ in range(30):
                    command = world.random.choice("ABCEHLMNRTUKQOX\0")
                    payload = world.random.choice((b"", b"\0", b"x", b"<a@acme.test>\0", b"no end", b"\0" * 50,
                                                   world.random.randbytes(40)))
                    p.packet(command, payload)
                p.read()
            except OSError:
                pass
    works(world)


def test_unterminated_strings(world):
    """addresses and headers without their NUL"""
    # Macros without a value are left out: libmilter 8.17 itself steps over the end of its array of pairs.
    for command, payload in (("C", b"host"), ("C", b"host\0004\0"), ("C", b"host\0006\0\x19nonsense\0"),
                             ("H", b"helo"), ("M", b"<a@acme.test>"), ("R", b"<"), ("L", b"Subject"), ("L", b"a\0b")):
        with peer(world) as p:
            try:
                p.packet(command, payload)
                p.packet("M", b"<a@acme.test>\0")
                p.socket.settimeout(0.5)
                p.read()
            except OSError:
                pass
    works(world)


def test_many_headers(world):
    """100 000 headers, short and long: deferred or accepted, but never held in memory without bound"""
    for value in (b"v", b"v" * 1000):
        with peer(world) as p:
            p.envelope(LOGIN, LOGIN, [TO])
            for number in range(100000):
                name = b"From" if number % 3 == 0 else b"X-%d" % number
                if p.step("L", name + b"\0" + value + b"\0") is not None:
                    break
            p.step("N")
            answer = p.step("E")
            check(answer and answer[0] in "crty", "answer: {}", answer)
        works(world)


test_many_headers.seconds = 120


def test_no_headers(world):
    """a message without a header, with a body and without: answered like any other"""
    for body in (None, b"body\r\n"):
        with peer(world) as p:
            p.envelope(LOGIN, LOGIN, [TO])
            p.step("N")
            if body:
                p.step("B", body)
            check_eq(p.step("E")[0], "c", "answer at the end of message")


def test_many_recipients(world):
    """10 000 recipients and more: those over the limit are refused one by one"""
    with peer(world) as p:
        answers = p.envelope(LOGIN, LOGIN, [f"{'r' * 200}{n}@example.test" for n in range(12000)])[1:-1]
        letters = [a[0] if a else None for a in answers]
        check(letters.count("c") <= 10000, "{} recipients were accepted", letters.count("c"))
        check("y" in letters, "none was refused")
        check_eq(set(letters) - {"c", "y"}, set(), "other answers")
    works(world)


def test_long_addresses(world):
    """addresses and logins of 60 000 octets"""
    long = "a" * 60000
    for auth, sender, recipient in ((long, LOGIN, TO), (LOGIN, long, TO), (LOGIN, LOGIN, long),
                                    (LOGIN, "<" * 60000, TO), (LOGIN, '"' * 60000 + "@acme.test", TO),
                                    (LOGIN, LOGIN, "(" * 60000)):
        with peer(world) as p:
            p.envelope(auth, sender, [recipient])
    works(world)


def test_long_from(world):
    """From fields that are slow to read for those who read them badly"""
    for value in (b"(" * 60000, b"<" * 60000, b'"' * 60000, b"a@b," * 15000, b"=?utf-8?q?" * 6000, b"g:" * 30000,
                  b"\\" * 60000, b"\0" * 1000, b"a@acme.test " * 5000):
        with peer(world) as p:
            p.envelope(LOGIN, LOGIN, [TO])
            p.step("L", b"From\0" + value.replace(b"\0", b"\1") + b"\0")
            p.step("N")
            check(p.step("E"), "no answer")
    works(world)


def test_endless_body(world):
    """half a gigabyte of body, then no end"""
    with peer(world) as p:
        p.envelope(LOGIN, LOGIN, [TO])
        p.step("L", b"From\0<user@acme.test>\0")
        p.step("N")
        if not p.steps & p.NO["B"]:
            chunk = struct.pack(">I", 65536) + b"B" + b"\n" * 65535
            silent = p.steps & p.SILENT["B"]
            for _ in range(8192):
                p.raw(chunk)
                answer = None if silent else p.answer()
                if answer and answer[0] != "c":
                    break
    works(world)


def test_many_connections(world):
    """a thousand idle connections at once"""
    peers = []
    try:
        for _ in range(1000):
            peers.append(peer(world, negotiated=False))
        works(world)
        for p in peers[:200]:
            check(p.negotiate(), "a waiting peer is not served")
    finally:
        for p in peers:
            p.socket.close()
    works(world)


def test_never_reads(world):
    """peers that send and never read an answer"""
    peers = []
    for _ in range(20):
        p = peer(world)
        p.socket.settimeout(0.3)
        peers.append(p)
        try:
            for _ in range(20000):
                p.raw(struct.pack(">I", 15) + b"M<a@acme.test>\0")
        except OSError:
            pass
    works(world)
    for p in peers:
        p.socket.close()
    works(world)


# --- through Postfix

def smtp(world, *chunks):
    """Throws octets at Postfix after a login, and reads what comes back for a moment."""
    client = world.relay.client(LOGIN=LOGIN)
    client.socket.settimeout(20)
    try:
        for chunk in chunks:
            client.raw(chunk)
        return client.reply()
    except (Closed, OSError, ValueError):
        return None
    finally:
        client.close()


def test_smtp_lines(world):
    """overlong lines, NUL, 8-bit and bare CR in commands"""
    for line in (b"MAIL FROM:<" + b"a" * 100000 + b"@acme.test>\r\n", b"MAIL FROM:<a\0b@acme.test>\r\n",
                 b"MAIL FROM:<\xff\xfe@acme.test>\r\n", b"MAIL FROM:<a@acme.test> " + b"X=1 " * 200 + b"\r\n",
                 b"MAIL FROM:<a\r@acme.test>\r\n", b"EHLO " + b"h" * 3000 + b"\r\n", b"EHLO \xff\x01\x02\r\n"):
        smtp(world, line)
    works(world)


def test_smtp_headers(world):
    """a message of 100 000 header lines, and one header of a megabyte"""
    begin = f"MAIL FROM:<{LOGIN}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode()
    smtp(world, begin, b"".join(b"X-%d: v\r\n" % n for n in range(100000)), b"\r\nbody\r\n.\r\n")
    smtp(world, begin, b"Subject: " + b" folded\r\n" * 120000, b"\r\nbody\r\n.\r\n")
    smtp(world, begin, b"From: " + b"a@acme.test,\r\n " * 60000, b"\r\nbody\r\n.\r\n")
    works(world)


def test_smtp_recipients(world):
    """10 000 recipients in one message; 1 000 behind Sendmail, which takes its time for them"""
    with world.relay.client(LOGIN=LOGIN) as client:
        client.mail(LOGIN)
        for block in range(10 if world.relay.is_sendmail else 100):
            client.raw(b"".join(b"RCPT TO:<r%d@example.test>\r\n" % (block * 100 + n) for n in range(100)))
            for _ in range(100):
                client.reply()
        client.command("RSET")
        accepted(client.send(LOGIN, [TO], message(LOGIN, TO)))
    works(world)


def test_records_are_lines(world):
    """line breaks, controls and quotes in what senders say stay inside one line of the log"""
    evil = b'MAIL FROM:<"a\\"},\\r{b"@acme.test>\r\n'
    smtp(world, evil, f"RCPT TO:<{TO}>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n".encode())
    with peer(world) as p:
        p.envelope("evil\n{\"seq\":1}", "x\r\n\x1b[2J@acme.test", ["a\u2028b@example.test"])
    wait_for(lambda: any("\x1b" in record.get("from", "") for record in world.relay.gate.mail_records()),
             "the record of a hostile sender")
    for record in world.relay.gate.lines():
        check(not any(octet < 0x20 or octet == 0x7f for octet in record[:-1]), "a control character in {}", record)
    world.relay.gate.verify()
