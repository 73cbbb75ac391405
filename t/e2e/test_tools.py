"""What operators see and do beside running mail: counts, suspensions, records, proof; starts that must fail."""
import glob
import json
import os
import shutil
import subprocess
import time
import urllib.request

from lib.harness import check, check_eq, wait_for
from lib.milter import milter_answers
from lib.relay import Relay, accepted, refused
from lib.smtp import message

TO = "someone@example.test"
LOGIN = "user@acme.test"
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}], "senders": ["@acme.test"],
             "quotas": [{"name": "hourly", "limit": "5/hour", "counts": "recipients"}]},
    "ginza": {"match": [{"auth": "*@ginza.test"}]},
}


def setup(world):
    world.relay = Relay(world, TENANTS)


def send(world, login=LOGIN, *recipients):
    sender = f"a@{login.partition('@')[2]}"
    with world.relay.client(LOGIN=login) as client:
        return client.send(sender, recipients or [TO], message(sender, TO))


def quota(world):
    shown = world.relay.gate.tool_json("quota", "show", "acme")["usage"]
    return next(row for row in shown if row["quota"] == "hourly")


def test_quota_show(world):
    """what is used and what is left, to the recipient"""
    check_eq(quota(world)["used"], 0, "used at first")
    accepted(send(world, LOGIN, TO, "other@example.test"))
    check_eq((quota(world)["used"], quota(world)["left"]), (2, 3), "used and left")
    refused(send(world, LOGIN, *(f"r{n}@example.test" for n in range(4))), 451, "4.7.1", "SKQ-RATE")
    check_eq((quota(world)["used"], quota(world)["refused"]), (2, 1), "used and refused")


def test_quota_survives(world):
    """a restart, a reload and a kill -9 forget nothing for long"""
    gate = world.relay.gate
    gate.reload()
    check_eq(quota(world)["used"], 2, "used after a reload")
    gate.restart()
    check_eq(quota(world)["used"], 2, "used after a restart")
    time.sleep(1.5)                                # counts are synced about once a second
    gate.kill()
    gate.start()
    check_eq(quota(world)["used"], 2, "used after kill -9")


def test_quota_limit_changes(world):
    """another limit keeps the count"""
    gate = world.relay.gate
    gate.config["tenants"]["acme"]["quotas"][0]["limit"] = "2/hour"
    gate.reload()
    refused(send(world), 451, "4.7.1", "SKQ-RATE")
    gate.config["tenants"]["acme"]["quotas"][0]["limit"] = "5/hour"
    gate.reload()
    accepted(send(world))
    check_eq(quota(world)["used"], 3, "used")


def test_quota_reset(world):
    """reset by name: there is room at once"""
    accepted(send(world, LOGIN, TO, "other@example.test"))
    refused(send(world), 451, "4.7.1", "SKQ-RATE")
    for said in ("nothing is used any more", "nothing was counted"):
        out = world.relay.gate.tool_ok("quota", "reset", "acme")
        check(f"hourly: {said}" in out, "quota reset: {}", out)
    accepted(send(world))
    check_eq(quota(world)["used"], 1, "used")


def explain(world, *more):
    return world.relay.gate.tool("explain", "--auth", LOGIN, "--client", "192.0.2.1", *more)


def test_explain(world):
    """explain says what would happen, and takes nothing for it"""
    before = quota(world)["used"]
    done = explain(world, "--from", "a@acme.test", "--rcpt", TO)
    check(done.returncode == 0 and "acme" in done.stdout and "hourly" in done.stdout, "explain: {}", done)
    many = [part for n in range(5) for part in ("--rcpt", f"r{n}@example.test")]
    done = explain(world, "--from", "a@acme.test", *many)
    check("451 4.7.1 acme: 5 recipients/hour used up" in done.stdout, "explain of five recipients: {}", done.stdout)
    done = explain(world, "--from", "x@evil.test", "--rcpt", TO)
    check("550 5.7.1" in done.stdout and "SKQ-SENDER" in done.stdout, "explain of a forgery: {}", done.stdout)
    done = world.relay.gate.tool("explain", "--client", "192.0.2.1", "--from", "x@evil.test", "--rcpt", TO)
    check("SKQ-WHO" in done.stdout, "explain of nobody: {}", done.stdout)
    check_eq(quota(world)["used"], before, "used")


def test_suspend_for_a_time(world):
    """suspended for a while: deferred, until the time is over"""
    gate = world.relay.gate
    gate.tool_ok("tenant", "suspend", "ginza", "--for", "4s", "--reason", "password stolen")
    reply = wait_for(lambda: next((r for r in [send(world, "u@ginza.test")] if r.code != 250), None), "the suspension")
    refused(reply, 450, "4.7.1", "SKQ-SUSP")
    check("password stolen" in reply.text, "reply: {}", reply)
    wait_for(lambda: send(world, "u@ginza.test").code == 250, "the end of the suspension", 15, 0.3)


def test_suspension_survives(world):
    """a suspension outlives kill -9, at once"""
    gate = world.relay.gate
    gate.tool_ok("tenant", "suspend", "ginza")
    gate.kill()
    gate.start()
    refused(send(world, "u@ginza.test"), 550, "5.7.13", "SKQ-SUSP")
    gate.tool_ok("tenant", "resume", "ginza")
    wait_for(lambda: send(world, "u@ginza.test").code == 250, "the resumption", 10, 0.2)


def test_tenant_list(world):
    """the tenants, and what has become of them"""
    world.relay.gate.tool_ok("tenant", "suspend", "ginza")
    states = {row["tenant"]: row["state"] for row in world.relay.gate.tool_json("tenant", "list")}
    check(states["acme"] == "active" and states["ginza"] != "active", "states: {}", states)
    world.relay.gate.tool_ok("tenant", "resume", "ginza")
    check_eq(world.relay.gate.tool("tenant", "show", "nobody").returncode, 1, "exit status for no tenant")


def test_search(world):
    """records are found by tenant, event, recipient and words, and that somebody looked is on record"""
    gate = world.relay.gate
    lines = gate.tool_ok("log", "search", "--tenant", "acme", "--event", "deferred", "--json").splitlines()
    found = {json.loads(line)["id"] for line in lines}
    check_eq(found, {r["id"] for r in gate.mail_records(tenant="acme", event="deferred")}, "deferred records of acme")
    check_eq(len(gate.tool_ok("log", "search", "--recipient", "other@*", "--json").splitlines()), 2, "records to other@")
    check_eq(gate.tool("log", "search", "no such words anywhere").returncode, 1, "exit status of a search in vain")
    check(any(r["event"] == "access" for r in gate.records("ops")), "no access record")


def altered(world, change, *options):
    """`log verify` on a copy of the log in which `change` has been at work on the lines of the relay class."""
    gate, copy = world.relay.gate, world.new_dir("altered") + "/gate"
    shutil.copytree(gate.dir, copy, ignore=shutil.ignore_patterns("*.sock"))
    with open(gate.config_path) as config, open(f"{copy}/sekisho.yaml", "w") as out:
        out.write(config.read().replace(gate.dir, copy))
    path = max(glob.glob(f"{copy}/log/relay/*.jsonl"))
    with open(path, "rb") as log:
        lines = log.read().splitlines(keepends=True)
    with open(path, "wb") as log:
        log.write(b"".join(change(lines)))
    return world.run([world.program("sekisho"), "-c", f"{copy}/sekisho.yaml", "log", "verify", "--class", "relay", *options])


def test_verify(world):
    """an untouched copy is intact; a changed, dropped, doubled or moved line is not"""
    world.relay.gate.restart()                     # the stop signs what was written
    for what, want, change in (
            ("nothing", 0, lambda lines: lines),
            ("a changed octet", 1, lambda lines: [line.replace(b"someone@", b"anyone1@") for line in lines]),
            ("a dropped line", 1, lambda lines: lines[:4] + lines[5:]),
            ("a dropped first line", 1, lambda lines: lines[1:]),
            ("a doubled line", 1, lambda lines: lines[:4] + lines[3:]),
            ("two lines changed round", 1, lambda lines: lines[:3] + [lines[4], lines[3]] + lines[5:])):
        done = altered(world, change)
        check_eq(done.returncode, want, f"exit status after {what}: {done.stdout}{done.stderr}")
        check_japanese(altered(world, change, "--lang", "ja", "--retention", "--no-personal-data").stdout)
        found = json.loads(altered(world, change, "--lang", "ja", "--json").stdout)["findings"]
        check_eq([f["text"] for f in found if f["text"].isascii()], [], "not in Japanese")


def check_japanese(shown):
    """No field begins, and no sentence is, in English: names and numbers are all that is ASCII."""
    check("異常なし" in shown or "改ざん" in shown or "判定不能" in shown or "保存期間" in shown, "{}", shown)
    for line in shown.splitlines():
        words = [word for word in line.split() if word.isascii() and word.isalpha() and word not in ("relay", "milter", "records")]
        check(not words, "English in {!r}", line)


def test_second_daemon(world):
    """a second daemon does not start, and takes nothing away from the first"""
    gate = world.relay.gate
    done = world.run([world.program("sekisho-milter"), "-c", gate.config_path, "-f"], 20)
    check(done.returncode != 0, "it started")
    check(milter_answers(gate.socket), "the first one is gone")
    accepted(send(world, "u@ginza.test"))


def test_bad_starts(world):
    """a broken configuration, an open key, a missing file: exit 78, and a line that says what and where"""
    gate = world.relay.gate
    path, key = f"{gate.dir}/other.yaml", f"{gate.dir}/open.key"
    shutil.copy(f"{gate.dir}/relay-log.key", key)
    os.chmod(key, 0o644)
    with open(gate.config_path) as config:
        good = config.read().replace("/state", "/state2").replace(f"127.0.0.1:{gate.metrics_port}", "none")
    os.makedirs(f"{gate.dir}/state2", exist_ok=True)
    nowhere = good.replace(gate.socket, f"unix:{gate.dir}/no/such/x.sock")
    rows = [("an unknown key", good + "listen: x\n", f"{path}:"),
            ("an open key", good.replace("relay-log.key", "open.key"), "chmod"),
            ("no such directory", nowhere, "no/such")]
    if not os.path.exists("/dev/log"):
        rows.append(("nobody to take syslog", nowhere.replace("to: stderr", "to: syslog"), "no/such"))
    for what, text, words in rows:
        with open(path, "w") as out:
            out.write(text)
        done = world.run([world.program("sekisho-milter"), "-c", path, "-f"], 20)
        check(done.returncode != 0, "{}: it started", what)
        check(words in done.stderr, "{}: {}", what, done.stderr)
    done = world.run([world.program("sekisho-milter"), "-c", f"{gate.dir}/none.yaml", "-f"], 20)
    check_eq(done.returncode, 78, "exit status without a file")


def test_metrics(world):
    """figures for Prometheus on loopback"""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.relay.gate.metrics_port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    check("# TYPE" in text and "sekisho" in text, "metrics: {}", text[:300])


def test_status(world):
    """status says what is going on, for people and for machines"""
    accepted(send(world, "u@ginza.test"))
    done = world.relay.gate.tool("status")
    check(done.returncode == 0 and done.stdout, "status: {}", done)
    json.loads(world.relay.gate.tool_ok("status", "--json"))


def test_usage(world):
    """every command has its help, and a wrong command line is exit 2"""
    program = world.program("sekisho")
    listed = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    check("log verify" in listed or "verify" in listed, "help: {}", listed)
    for words in (["nonsense"], ["log"], ["log", "nonsense"], ["quota", "show"], ["check", "--nonsense"]):
        check_eq(world.relay.gate.tool(*words).returncode, 2, f"exit status of sekisho {' '.join(words)}")
