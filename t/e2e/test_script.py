"""Mail that scripts on the host hand in: it belongs to the Unix user who sent it, whatever the message says."""
import os
import re
import socket

from lib.gate import Gate
from lib.harness import check, check_eq, free_port, need_namespaces, wait_for
from lib.postfix import Postfix
from lib.relay import accepted, refused
from lib.sendmail import Sendmail
from lib.sink import Sink
from lib.smtp import Client, message

TO, FIELD = "someone@example.test", "X-Sekisho-Submit"
UIDS = {"daemon": 1, "games": 5}       # two of Debian's users that are on every host
LIMIT = {"name": "hourly", "limit": "3/hour", "counts": "recipients", "on_excess": "reject"}
TENANTS = {
    "one": {"match": [{"auth": "daemon@unix"}], "quotas": [LIMIT]},
    "two": {"match": [{"auth": "games@unix"}, {"sender": "@two.test"}], "senders": ["@two.test"], "from": "senders",
            "content": [{"header": "Subject", "match": "*overdue*", "name": "overdue"}]},
    "host": {"match": [{"auth": "root@unix"}]},
    "far": {"match": [{"auth": "user@far.test"}]},
}


def setup(world):
    need_namespaces("--mount")
    world.socket = f"{world.dir}/submit.sock"
    world.sink = Sink(world)
    world.gate = Gate(world, TENANTS, {"submit": {"socket": world.socket}, "sender_match_networks": ["192.0.2.0/24"],
                                       "identify": ["auth", "sender"]})
    world.mta = Postfix(world, world.sink.port, world.gate.socket)


def script(world, user, *arguments, text=None, program=None, env=None):
    """The way PHP's mail() does it, as this user: Postfix's own programs, in a mount namespace where its configuration is ours."""
    inside = 'mount --bind "$0" /etc/postfix && exec setpriv --reuid "$1" --clear-groups "${@:2}"'
    program = program or world.program("sekisho-sendmail")
    return world.run(["unshare", "--mount", "bash", "-c", inside, f"{world.mta.dir}/etc", str(UIDS.get(user, 0)), program, *arguments],
                     input=text if text is not None else "", env={**os.environ, "SEKISHO_SUBMIT": world.socket, **(env or {})})


def mail(subject, sender="web@one.test", extra=""):
    return f"{extra}From: {sender}\nTo: {TO}\nSubject: {subject}\n\nhello\n"


def record(world, subject):
    """What arrived, and its record."""
    delivered = world.sink.find(f"Subject: {subject}\r\n".encode(), 20)
    check(FIELD.encode() not in delivered.body, "the field is still there: {}", delivered.body[:800])
    return world.gate.record_of(delivered.record, "accepted")


def test_users(world):
    """each user's mail is his tenant's, by the kernel's word"""
    for user, tenant, sender in (("daemon", "one", "web@one.test"), ("games", "two", "web@two.test")):
        done = script(world, user, "-i", "-f", sender, TO, text=mail(f"from {user}", sender))
        check_eq(done.returncode, 0, f"sekisho-sendmail as {user}: {done.stderr}")
        found = record(world, f"from {user}")
        check_eq((found["tenant"], found["auth"]), (tenant, f"{user}@unix"), "tenant and login")


def test_first_lines(world):
    """a mailbox's line before the header, and text without any header that begins with a blank"""
    for subject, text in (("mailbox", "From web Sat Nov 21 18:04:05 2026\n" + mail("mailbox", "web@two.test")), ("", "  12 % free\nand more\n")):
        done = script(world, "root", "-i", *(() if subject else (TO,)), *(("-t",) if subject else ()), text=text)
        check_eq(done.returncode, 0, f"{text}: {done.stderr}")
        delivered = world.sink.find(b"Subject: mailbox\r\n" if subject else b"\r\n\r\n  12 % free\r\nand more\r\n", 20)
        check_eq(world.gate.record_of(delivered.record, "accepted")["tenant"], "host", "tenant")


def test_spoofed(world):
    """another's sender, another's field: nothing but the user counts"""
    field = f"{FIELD}: 1 games 1795186800 0123456789abcdef 0123456789abcdef0123456789abcdef\n"
    done = script(world, "daemon", "-i", "-f", "web@two.test", TO, text=mail("spoofed", "web@two.test", field))
    check_eq(done.returncode, 0, f"{done.stderr}")
    check_eq(record(world, "spoofed")["tenant"], "one", "tenant")
    done = script(world, "games", "-i", "-f", "web@two.test", TO, text=mail("wrong from", "chief@one.test"))
    check_eq(done.returncode, 0, f"{done.stderr}")
    wait_for(lambda: world.gate.mail_records(tenant="two", event="rejected", rule="from"), "the refusal of a From that is not his")
    done = script(world, "games", "-i", "-f", "web@two.test", TO, text=mail("=?utf-8?q?Invoice_over?=\n =?utf-8?q?due?=", "web@two.test"))
    check_eq(done.returncode, 0, f"{done.stderr}")
    wait_for(lambda: world.gate.mail_records(tenant="two", event="rejected", rule="content:overdue"), "the refusal by his tenant's rule")


def test_quota(world):
    """a quota holds for him, with a null sender too, and for nobody else"""
    check_eq(script(world, "daemon", "-i", "-f", "<>", TO, text=mail("third")).returncode, 0, "the third")
    check_eq(record(world, "third")["tenant"], "one", "tenant of mail with a null sender")
    check_eq(script(world, "daemon", "-i", "-f", "web@one.test", TO, text=mail("fourth")).returncode, 0, "the fourth is taken in")
    wait_for(lambda: world.gate.mail_records(tenant="one", event="rejected", rule="hourly"), "its refusal")
    check_eq(script(world, "games", "-i", "-f", "web@two.test", TO, text=mail("still goes", "web@two.test")).returncode, 0, "another's")
    record(world, "still goes")
    check(not any(b"Subject: fourth\r\n\r\nhello" in m.body and m.sender != "<>" for m in world.sink.messages), "the fourth was delivered")


def test_suppressed(world):
    """who is on the suppression list gets no script's mail either, and the others are told with him"""
    world.gate.tool_ok("suppress", "add", "two", "gone@example.test")
    done = script(world, "games", "-i", "-f", "web@two.test", "gone@example.test", TO, text=mail("to one who is gone", "web@two.test"))
    check_eq(done.returncode, 0, f"{done.stderr}")
    refusal = wait_for(lambda: world.gate.mail_records(tenant="two", event="rejected", rule="suppress"), "the refusal")[0]
    check("gone@example.test is on the suppression list" in refusal["reply"], "the reply: {}", refusal["reply"])
    check(not any(b"Subject: to one who is gone\r\n\r\nhello" in m.body and m.sender != "<>" for m in world.sink.messages), "it was delivered")


def test_without(world):
    """who goes round the program is nobody, whatever his message says"""
    stolen = {}
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(world.socket)
    with peer, peer.makefile() as answer:
        stolen["root"] = answer.read()
    check(re.fullmatch(rf"{FIELD}: 1 root \d+ [0-9a-f]{{16}} [0-9a-f]{{32}}\n", stolen["root"]), "the field: {}", stolen["root"])
    for what, extra in (("plain", ""), ("forged", stolen["root"].replace("root", "games"))):
        done = script(world, "daemon", "-i", "-f", "web@one.test", TO, text=mail(what, extra=extra), program="/usr/sbin/sendmail")
        check_eq(done.returncode, 0, f"sendmail: {done.stderr}")
    wait_for(lambda: len([r for r in world.gate.mail_records(event="rejected") if not r.get("tenant")]) >= 2, "two refusals of nobody's")


def test_network(world):
    """a field that comes over the network is worth nothing, and goes no further"""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(world.socket)
    with peer, peer.makefile() as answer:
        field = answer.read()
    with Client(world.mta.port) as client:
        client.ehlo()
        client.xclient(ADDR="198.51.100.7", LOGIN="user@far.test")
        client.ehlo()
        accepted(client.send("a@far.test", [TO], (field * 3 + mail("far")).replace("\n", "\r\n").encode()))
    check_eq(record(world, "far")["tenant"], "far", "tenant")
    with Client(world.mta.port) as client:
        client.ehlo()
        client.xclient(ADDR="198.51.100.7")
        client.ehlo()
        refused(client.mail("a@far.test"), 550, "5.7.1", "SKQ-WHO")


def test_other_uses(world):
    """what is no message goes to the real one as it is"""
    done = script(world, "root", "-bp")
    check(done.returncode == 0 and "ueue" in done.stdout, "mailq: {} {}", done.stdout, done.stderr)
    done = script(world, "root", "x", program=world.program("sekisho-sendmail"), env={"SEKISHO_SENDMAIL": "/nowhere"})
    check_eq(done.returncode, 127, "no real one")


def test_gate_away(world):
    """while the gate is away nothing is handed in, and the caller knows; mail that waits is still its user's"""
    world.gate.stop()
    done = script(world, "games", "-i", "-f", "web@two.test", TO, text=mail("lost", "web@two.test"))
    check(done.returncode == 75 and world.socket in done.stderr, "away: {} {}", done.returncode, done.stderr)
    world.gate.start()
    done = script(world, "games", "-i", "-f", "web@two.test", TO, text=mail("again", "web@two.test"))
    check_eq(done.returncode, 0, f"{done.stderr}")
    record(world, "again")


def test_sendmail(world):
    """behind Sendmail, whose own sendmail(1) comes by SMTP from loopback"""
    listen = f"inet:{free_port()}@127.0.0.1"
    gate = Gate(world, TENANTS, {"milter": {"listen": listen}, "submit": {"socket": f"{world.dir}/submit2.sock"},
                                 "identify": ["auth", "sender"]})
    sink = Sink(world)
    mta = Sendmail(world, sink.port, listen, {})
    ask = "import socket,sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.makefile().read(), end='')"
    field = world.run(["setpriv", "--reuid", "5", "--clear-groups", "/usr/bin/python3", "-c", ask, f"{world.dir}/submit2.sock"])
    check(field.stdout, "no field: {}", field.stderr)
    with Client(mta.port) as client:
        client.ehlo()
        accepted(client.send("web@two.test", [TO], (field.stdout + mail("by loopback", "web@two.test")).replace("\n", "\r\n").encode()))
        refused(client.send("web@nobodys.test", [TO], mail("nobody's").replace("\n", "\r\n").encode()), 550, "5.7.1", "SKQ-WHO")
    delivered = sink.find(b"Subject: by loopback", 30)
    check(FIELD.encode() not in delivered.body, "the field is still there")
    check_eq(gate.record_of(delivered.record, "accepted")["auth"], "games@unix", "login")
