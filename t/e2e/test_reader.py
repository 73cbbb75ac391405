"""A tenant's own auditor: sees that tenant's records through `log serve`, and in no way another's."""
import json
import os
import pwd
import shutil
import socket
import struct
import threading

from lib.harness import check, check_eq, wait_for
from lib.relay import Relay, accepted
from lib.smtp import message

TO = "someone@example.test"
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}], "readers": ["daemon"]},
    "ginza": {"match": [{"auth": "*@ginza.test"}], "readers": ["@games", "irc"]},
    "shiba": {"match": [{"auth": "*@shiba.test"}], "readers": ["irc"]},
}


def setup(world):
    world.relay = Relay(world, TENANTS)
    for tenant in TENANTS:
        for n in range(3):
            with world.relay.client(LOGIN=f"u@{tenant}.test") as client:
                accepted(client.send(f"a@{tenant}.test", [TO, f"{tenant}{n}@example.test"], message(f"a@{tenant}.test", TO)))
    gate, place = world.relay.gate, world.new_dir("reader")
    world.socket, world.tool = f"{place}/reader.sock", f"{place}/sekisho"
    shutil.copy(world.program("sekisho"), world.tool)
    os.chmod(world.tool, 0o755)
    world.serve = world.spawn([world.program("sekisho"), "-c", gate.config_path, "log", "serve", "--socket", world.socket])
    wait_for(lambda: os.path.exists(world.socket), "the reader's socket")


def ask(world, user, *words):
    """The command as that user, who has nothing but the socket."""
    who = pwd.getpwnam(user)
    return world.run([world.tool, "--via", world.socket, *words], user=who.pw_uid, group=who.pw_gid, extra_groups=[], cwd="/")


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def only(world, user, tenant, *words):
    """What is answered is `tenant`'s, and something is; the names of others stand nowhere."""
    done = ask(world, user, *words)
    check_eq(done.returncode, 0, f"exit status for {user}: {words} {done.stderr}")
    check(done.stdout, "nothing for {}: {}", user, words)
    for other in TENANTS:
        check(other == tenant or other not in done.stdout, "{} in what {} sees of {}: {}", other, user, tenant, done.stdout)
    return done


def test_search(world):
    """search finds the tenant's records, by its user or its group"""
    found = lines(only(world, "daemon", "acme", "log", "search", "--json"))
    check_eq({r["tenant"] for r in found}, {"acme"}, "tenants")
    check_eq(len([r for r in found if r["event"] == "accepted"]), 3, "accepted records")
    only(world, "games", "ginza", "log", "search", "--sender", "@ginza.test")
    only(world, "daemon", "acme", "log", "search", "--recipient", TO)


def test_search_of_others(world):
    """records of others are not found, whatever is asked for"""
    for words in (["--sender", "@ginza.test"], ["ginza"], ["--recipient", "ginza0@example.test"], ["--class", "ops", "started"],
                  ["--no-index", "ginza1@"]):
        done = ask(world, "daemon", "log", "search", *words)
        check_eq((done.returncode, done.stdout), (1, "Nothing found.\n"), f"search {words}")
    for words in (["--tenant", "ginza"], ["--tenant=ginza"], ["--tenant", "acme", "--tenant", "ginza"], ["--tenant"],
                  ["--purpose", "--tenant", "ginza"]):
        done = ask(world, "daemon", "log", "search", *words)
        check(done.returncode in (1, 2) and "may see" in done.stderr and not done.stdout, "search {}: {}", words, done)


def test_show(world):
    """show tells of the tenant's message, and knows no other's id"""
    records = world.relay.gate.mail_records(event="accepted")
    for record in records:
        for key in ("id", "message", "queue_id"):
            done = ask(world, "daemon", "log", "show", record[key])
            mine = record["tenant"] == "acme"
            check_eq(done.returncode, 0 if mine else 1, f"show {key} of {record['tenant']}: {done.stdout}{done.stderr}")
            check(mine or not done.stdout, "shown: {}", done.stdout)


def test_export(world):
    """an export is one tenant's, signed, and proves itself complete"""
    done = only(world, "daemon", "acme", "log", "export")
    path = f"{world.relay.gate.dir}/acme.jsonl"
    with open(path, "w") as out:
        out.write(done.stdout)
    world.relay.gate.tool_ok("log", "verify", path)
    only(world, "games", "ginza", "log", "export", "--format", "csv")


def test_report(world):
    """a report speaks of one tenant"""
    done = ask(world, "daemon", "log", "report")
    check(done.returncode == 0 and "acme" in done.stdout, "report: {}", done)
    for other in ("ginza", "shiba"):
        check(other not in done.stdout, "{} in the report", other)


def test_several_tenants(world):
    """who reads for several says for which"""
    done = ask(world, "irc", "log", "search")
    check(done.returncode == 2 and "which one" in done.stderr, "without a tenant: {}", done)
    only(world, "irc", "shiba", "log", "search", "--tenant", "shiba")
    only(world, "irc", "ginza", "log", "search", "--tenant=ginza")
    check_eq(ask(world, "irc", "log", "search", "--tenant", "acme").returncode, 1, "exit status for acme")


def test_nobody(world):
    """nobody's reader gets nothing, and root is no reader either"""
    for user in ("nobody", "root"):
        done = ask(world, user, "log", "search")
        check(done.returncode == 1 and "no tenant's reader" in done.stderr and not done.stdout, "{}: {}", user, done)


def test_only_reading(world):
    """no other command, and no option that names a file or another configuration"""
    for words in (["log", "purge"], ["tenant", "erase", "acme"], ["check"], ["log"], ["log", "serve"], ["key", "new"],
                  ["log", "search", "-c", "/etc/passwd"], ["log", "search", "--config=/etc/passwd"],
                  ["log", "report", "--key", "/etc/passwd"], ["log", "search", "--via", "/tmp/x"], ["log", "search", "--", "x"],
                  ["help", "log", "search"]):
        done = ask(world, "daemon", *words)
        check(done.returncode == 2 and not done.stdout and "root:" not in done.stderr, "{}: {}", words, done)


def test_access_record(world):
    """each question is on the record under the reader's name"""
    ask(world, "daemon", "log", "search", "--purpose", "yearly audit")
    record = [r for r in world.relay.gate.records("ops") if r["event"] == "access"][-1]
    check_eq((record["tenant"], record["detail"]["reason"]), ("acme", "yearly audit"), "access record")
    check(record["detail"]["by"].startswith("daemon (uid 1, by log serve)"), "by: {}", record)


def test_no_files(world):
    """the log's files, the configuration and the key are closed to readers"""
    who = pwd.getpwnam("daemon")
    os.chmod(world.relay.gate.log_dir, 0o750)
    done = world.run([world.tool, "-c", world.relay.gate.config_path, "log", "search"], user=who.pw_uid, group=who.pw_gid,
                     extra_groups=[], cwd="/")
    check(done.returncode == 3 and not done.stdout, "without the service: {}", done)


def raw(world, octets, reads=True):
    """Octets to the socket as they are; what comes back."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(world.socket)
        try:
            peer.sendall(octets)
            peer.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: peer.recv(65536), b"")) if reads else b""
        except OSError:
            return b""


def request(*words):
    body = b"".join(word + b"\0" for word in words)
    return struct.pack("<I", len(body)) + body


def test_hostile_requests(world):
    """broken, cut, huge and unfinished requests end the one question, and the service goes on"""
    good = request(b"80", b"log", b"search")
    for octets in (b"", b"\0", good[:-1], good[:6], struct.pack("<I", 1 << 31) + b"x" * 100000, struct.pack("<I", 4) + b"8\0lo",
                   request(b"80", *[b"x"] * 1000), request(b"-1", b"log", b"search"), request(b"80"), request(b"80", b""),
                   request(b"99999999999999999999", b"log", b"search"), request(b"80", b"log", b"search", b"\xff\xfe\x1b[2J"),
                   request(b"80", b"log", b"search", *[b"--limit"] * 61)):
        got = raw(world, octets)
        check(b"acme.test" not in got, "an answer to {}: {}", octets[:40], got[:200])
    raw(world, good, reads=False)
    stuck = []
    for _ in range(4):                             # who does not ask does not stop the others
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(world.socket)
        stuck.append(peer)
    threads = [threading.Thread(target=only, args=(world, "daemon", "acme", "log", "search")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for peer in stuck:
        peer.close()
    only(world, "daemon", "acme", "log", "search")


def test_stop(world):
    """TERM ends it and takes its socket away"""
    world.serve.terminate()
    check_eq(world.serve.wait(20), 0, "exit status")
    check(not os.path.exists(world.socket), "the socket is still there")
    done = ask(world, "daemon", "log", "search")
    check(done.returncode == 3 and "log serve" in done.stderr, "without a service: {}", done)
