"""log reconcile against a real Postfix: what goes round the gate is found; what Postfix made of recorded mail is not."""
import gzip
import json
import time

from lib.harness import Skipped, check, check_eq, wait_for
from lib.relay import Relay, accepted
from lib.smtp import message

LOGIN = "user@acme.test"
SENDER = "a@acme.test"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}, {"sender": "@acme.test"}]}}


def setup(world):
    world.relay = Relay(world, TENANTS)


def send(world, recipient="someone@example.test"):
    with world.relay.client(LOGIN=LOGIN) as client:
        return client.send(SENDER, [recipient], message(SENDER, recipient))


def reconcile(world, *files):
    """Exit code and the findings."""
    files = files or (world.relay.mta.maillog_path,)
    done = world.relay.gate.tool("log", "reconcile", "--json", "--maillog", *files)
    check(done.returncode in (0, 1), "reconcile: exit {}: {}", done.returncode, done.stderr)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def unexplained(findings):
    return [item for item in findings if not item["explained"]]


def test_all_recorded(world):
    """mail by SMTP, mail handed in, a bounce: nothing is left unexplained"""
    for name in ("one", "two", "bounce.three"):
        accepted(send(world, f"{name}@example.test"))
    world.relay.mta.sendmail(SENDER, ["four@example.test"], message(SENDER, "four@example.test"))
    world.relay.mta.wait_log(r"non-delivery notification: \w+|: DSN: ")
    wait_for(lambda: len(world.relay.gate.mail_records(event="accepted")) >= 4, "four records")
    wait_for(lambda: reconcile(world)[0] == 0, "all to be explained", 20, 0.5)


def test_requeued(world):
    """what postsuper takes in again under another name is explained"""
    mta = world.relay.mta
    if world.relay.is_sendmail:
        raise Skipped("needs Postfix: Sendmail renames nothing")
    accepted(send(world, "tf.five@example.test"))
    held = wait_for(lambda: [m["queue_id"] for m in mta.queue()
                             if m["queue_name"] == "deferred" and m["recipients"][0]["address"].startswith("tf.five")],
                    "a deferred message", 20)
    mta.tool("postsuper", "-r", held[0])
    mta.wait_log(f"orig_id={held[0]}", 30)
    wait_for(lambda: reconcile(world)[0] == 0, "all to be explained", 20, 0.5)
    reasons = " ".join(item["reason"] for item in reconcile(world)[1])
    check("requeued, before it was" in reasons, "reasons: {}", reasons)


def test_lost(world):
    """a record whose message the MTA's log does not know: a log with lines taken out"""
    accepted(send(world, "gone@example.test"))
    record = wait_for(lambda: [r for r in world.relay.gate.mail_records(event="accepted") if "gone@example.test" in r["to"]],
                      "the record")[0]
    with open(world.relay.mta.maillog_path) as log, open(world.path("cut"), "w") as cut:
        cut.write(at(-120))
        cut.writelines(line for line in log if record["queue_id"] not in line)
        cut.write(at(120))
    found = reconcile(world, world.path("cut"))[1]
    check(any(item["queue_id"] == record["queue_id"] and "NO MESSAGE" in item["reason"] for item in found), "findings: {}", found)


def test_smtp_bypass(world):
    """smtpd_milters taken out: the message is listed, with who sent it"""
    world.relay.mta.leave_milters()
    before = len(world.relay.gate.mail_records())
    wait_for(lambda: send(world, "past@example.test").code == 250 and len(world.relay.gate.mail_records()) == before,
             "a message round the gate", 20)
    code, found = wait_for(lambda: next(iter([r for r in [reconcile(world)] if r[0] == 1]), None), "a finding", 20, 0.5)
    check_eq(code, 1, "exit code")
    check("by SMTP from" in unexplained(found)[0]["reason"], "findings: {}", found)


def test_local_bypass(world):
    """handed in on the host without non_smtpd_milters: listed, and the setting named"""
    world.relay.mta.sendmail(SENDER, ["inside@example.test"], message(SENDER, "inside@example.test"))
    wait_for(lambda: any("non_smtpd_milters" in item["reason"] for item in unexplained(reconcile(world)[1])), "a finding", 20, 0.5)


def test_packed_and_for_people(world):
    """a log packed by gzip says the same, in one table with its sums"""
    plain = world.relay.mta.maillog_path
    with open(plain, "rb") as log, gzip.open(world.path("mail.log.1.gz"), "wb") as packed:
        packed.write(log.read())
    check_eq(len(unexplained(reconcile(world, world.path("mail.log.1.gz"))[1])), len(unexplained(reconcile(world)[1])), "findings")
    done = world.relay.gate.tool("log", "reconcile", "--maillog", plain)
    check_eq(done.returncode, 1, "exit code")
    check("NO RECORD" in done.stdout and "Unexplained" in done.stdout, "said: {}", done.stdout)
    check(max(map(len, done.stdout.splitlines())) <= 80, "wider than 80: {}", done.stdout)
    with open(world.path("empty"), "w"):
        pass
    check_eq(world.relay.gate.tool("log", "reconcile", "--maillog", world.path("empty")).returncode, 3, "exit code without a line")


def test_gate_gone(world):
    """milter_default_action = accept, and no gate: mail passes unseen, and is found"""
    if world.relay.is_sendmail:
        raise Skipped("needs Postfix: its default action")
    world.relay.mta.set(f"smtpd_milters = {world.relay.gate.socket}", "milter_default_action = accept")
    world.relay.gate.stop()
    try:
        count = len(unexplained(reconcile(world)[1]))
        accepted(send(world, "alone@example.test"))
        wait_for(lambda: len(unexplained(reconcile(world)[1])) > count, "one more finding", 20, 0.5)
    finally:
        world.relay.gate.start()


def at(seconds):
    """A line of so many seconds from now: the log reaches well before and behind the record."""
    return f"{time.strftime('%b %e %H:%M:%S', time.localtime(time.time() + seconds))} mx postfix/qmgr[1]: 0AAAAAAAAAA: removed\n"
