"""Whose mail is it: every kind of match rule, through a real MTA."""
from lib.harness import check, check_eq
from lib.relay import Relay, accepted, refused
from lib.smtp import message

TENANTS = {
    "by-auth": {"match": [{"auth": "*@auth.test"}]},
    "by-exact-auth": {"match": [{"auth": "boss@auth.test"}]},
    "by-client": {"match": [{"client": "198.51.100.0/24"}]},
    "by-near-client": {"match": [{"client": "198.51.100.7"}]},
    "by-client6": {"match": [{"client": "2001:db8::/32"}]},
    "by-cert": {"match": [{"cert": {"issuer": "Test Authority", "subject": "cert.test"}},          # as Postfix tells it, and as Sendmail
                          {"cert": {"issuer": "/O=Sekisho+20test/CN=Test+20Authority", "subject": "/CN=cert.test"}}]},
    "by-daemon": {"match": [{"daemon": "special"}]},
    "by-sender": {"match": [{"sender": "@sender.test"}]},
}


def setup(world):
    world.relay = Relay(world, TENANTS, logins=["user@auth.test", "Boss@Auth.test"], with_tls=True)


def tenant_of(world, client, sender):
    """Sends one message and gives back whose record it became."""
    with client:
        accepted(client.send(sender, ["someone@example.test"], message(sender, "someone@example.test")))
        client.quit()
    return world.relay.gate.mail_records(event="accepted")[-1]["tenant"]


def test_auth(world):
    """a SASL login finds its tenant"""
    check_eq(tenant_of(world, world.relay.client("user@auth.test"), "a@any.test"), "by-auth", "tenant")
    record = world.relay.gate.mail_records()[-1]
    check_eq(record["auth"], "user@auth.test", "login on the record")


def test_auth_case(world):
    """logins are compared in lower case, and the longer pattern wins"""
    check_eq(tenant_of(world, world.relay.client("Boss@Auth.test"), "a@any.test"), "by-exact-auth", "tenant")


def test_auth_xclient(world):
    """a login that a trusted proxy reports counts as one"""
    client = world.relay.client(LOGIN="u2@auth.test", ADDR="203.0.113.9")
    check_eq(tenant_of(world, client, "a@any.test"), "by-auth", "tenant")


def test_client(world):
    """a client network finds its tenant, the smallest one first"""
    check_eq(tenant_of(world, world.relay.client(ADDR="198.51.100.99"), "a@any.test"), "by-client", "tenant")
    check_eq(tenant_of(world, world.relay.client(ADDR="198.51.100.7"), "a@any.test"), "by-near-client", "tenant")
    check_eq(world.relay.gate.mail_records()[-1]["client"], "198.51.100.7", "client on the record")


def test_client6(world):
    """an IPv6 network as well"""
    check_eq(tenant_of(world, world.relay.client(ADDR="IPV6:2001:db8::25"), "a@any.test"), "by-client6", "tenant")


def test_certificate(world):
    """a verified client certificate finds its tenant"""
    certificate = world.relay.certificates.issue("cert.test")
    check_eq(tenant_of(world, world.relay.client(certificate=certificate), "a@any.test"), "by-cert", "tenant")
    check(world.relay.gate.mail_records()[-1].get("tls"), "the record does not say that there was TLS")


def test_untrusted_certificate(world):
    """a certificate that nobody vouches for proves nothing"""
    certificate = world.relay.certificates.issue("cert.test", trusted=False)
    with world.relay.client(certificate=certificate) as client:
        refused(client.mail("a@any.test"), 550, "5.7.1", "SKQ-WHO")


def test_daemon(world):
    """a listener of its own finds its tenant"""
    client = world.relay.client(special=True, ADDR="203.0.113.9")
    check_eq(tenant_of(world, client, "a@any.test"), "by-daemon", "tenant")


def test_sender(world):
    """the envelope sender is believed on loopback"""
    check_eq(tenant_of(world, world.relay.client(), "A@Sender.test"), "by-sender", "tenant")


def test_sender_from_afar(world):
    """and not from anywhere else"""
    with world.relay.client(ADDR="203.0.113.9") as client:
        refused(client.mail("a@sender.test"), 550, "5.7.1", "SKQ-WHO")


def test_nobody(world):
    """mail that nobody claims is refused, and on the record without a tenant"""
    with world.relay.client() as client:
        ref = refused(client.mail("a@nobody.test"), 550, "5.7.1", "SKQ-WHO")
    record = world.relay.gate.record_of(ref, "rejected")
    check_eq(record.get("tenant"), None, "tenant on the record")


def test_order(world):
    """what a login says outweighs address and sender"""
    client = world.relay.client(LOGIN="u@auth.test", ADDR="198.51.100.7")
    check_eq(tenant_of(world, client, "a@sender.test"), "by-auth", "tenant")


def test_default_tenant(world):
    """with a default tenant nobody is turned away"""
    gate = world.relay.gate
    gate.config["tenants"]["others"] = {}
    gate.config["default_tenant"] = "others"
    gate.reload()
    check_eq(tenant_of(world, world.relay.client(ADDR="203.0.113.9"), "a@nobody.test"), "others", "tenant")
