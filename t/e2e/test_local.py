"""Mail that no SMTP client sends: scripts on the host, and the MTA's own bounces."""
from lib.harness import check, check_eq, wait_for
from lib.relay import Relay, accepted
from lib.smtp import message

LOGIN = "user@acme.test"
TENANTS = {
    "scripts": {"match": [{"sender": "@scripts.test"}],
                "quotas": [{"name": "hourly", "limit": "3/hour", "counts": "recipients"}]},
    "acme": {"match": [{"auth": "*@acme.test"}]},
    "internal": {},
}


def setup(world):
    world.relay = Relay(world, TENANTS, settings={"default_tenant": "internal"})


def test_sendmail(world):
    """the sendmail command: judged, recorded, delivered"""
    content = message("job@scripts.test", "a@example.test", "from a script").replace(b"\r\n", b"\n")
    done = world.relay.mta.sendmail("job@scripts.test", ["a@example.test", "b@example.test"], content)
    check_eq(done.returncode, 0, f"sendmail: {done.stderr}")
    delivered = world.relay.sink.find(b"Subject: from a script")
    record = world.relay.gate.record_of(delivered.record, "accepted")
    check_eq(record["tenant"], "scripts", "tenant")
    check_eq(record["nrcpt"], 2, "recipients")


def test_sendmail_over_quota(world):
    """over its quota such mail waits in the MTA's queue, and nothing is lost"""
    content = message("job@scripts.test", "a@example.test", "one too many").replace(b"\r\n", b"\n")
    world.relay.mta.sendmail("job@scripts.test", ["c@example.test", "d@example.test"], content)
    wait_for(lambda: world.relay.gate.mail_records(tenant="scripts", event="deferred"), "the refusal on record")
    check(not any(b"Subject: one too many" in m.body for m in world.relay.sink.messages), "it was delivered")
    world.relay.gate.tool_ok("quota", "reset", "scripts")
    world.relay.sink.find(b"Subject: one too many", 60)


test_sendmail_over_quota.seconds = 90


def test_bounce(world):
    """the MTA's own bounce reaches the sender; the gate sees Postfix's, and Sendmail shows its own to nobody"""
    with world.relay.client(LOGIN=LOGIN) as client:
        accepted(client.send(LOGIN, ["bounce.x@example.test"], message(LOGIN, "bounce.x@example.test")))
    bounce = world.relay.sink.find(world.relay.mta.bounce_subject.encode(), 30)
    check_eq(bounce.sender.split()[0], "<>", "sender of the bounce")
    check_eq(bounce.recipients[0].split()[0], f"<{LOGIN}>", "recipient of the bounce")
    check_eq(bool(bounce.record), world.relay.mta.shows_bounces, "is it on record")
    if bounce.record:
        world.relay.gate.record_of(bounce.record, "accepted")
    world.relay.gate.verify()


def test_deferred_delivery(world):
    """a delivery that the next hop puts off changes no record"""
    with world.relay.client(LOGIN=LOGIN) as client:
        accepted(client.send(LOGIN, ["tf.x@example.test"], message(LOGIN, "tf.x@example.test")))
    world.relay.mta.wait_log(r"to=<tf\.x@example\.test>.* sta(tus|t)=[dD]eferred")
    records = [r for r in world.relay.gate.mail_records() if "tf.x@example.test" in r.get("to", [])]
    check_eq([r["event"] for r in records], ["accepted"], "records")
