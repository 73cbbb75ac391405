"""A whole relay: Postfix with Sekisho in front, logins, a next hop; and clients of it."""
from .certs import Certificates
from .gate import Gate
from .harness import check, check_eq
from .postfix import Postfix
from .sink import Sink
from .smtp import Client

PASSWORD = "secret"


class Relay:
    def __init__(self, world, tenants, logins=(), with_tls=False, settings=None, postfix=(), log_dir=None,
                 behind=()):
        """`behind`: more milters, which see what Sekisho made of the mail."""
        self.world = world
        self.sink = Sink(world)
        self.gate = Gate(world, tenants, settings, log_dir=log_dir)
        self.certificates = Certificates(world) if with_tls else None
        self.mta = Postfix(world, self.sink.port, ", ".join((self.gate.socket, *behind)), {login: PASSWORD for login in logins},
                           self.certificates, postfix)

    def client(self, login=None, tls=False, certificate=None, special=False, **xclient):
        """A session that has said EHLO, and whatever else is asked for."""
        client = Client(self.mta.special_port if special else self.mta.port)
        check_eq(client.ehlo().code, 250, "EHLO")
        if xclient:
            check_eq(client.xclient(**xclient).code, 220, "XCLIENT")
            check_eq(client.ehlo().code, 250, "EHLO")
        if tls or certificate:
            check_eq(client.starttls(certificate).code, 220, "STARTTLS")
            check_eq(client.ehlo().code, 250, "EHLO after STARTTLS")
        if login:
            reply = client.auth(login, PASSWORD)
            check_eq(reply.code, 235, f"AUTH as {login}")
        return client


def refused(reply, code, enhanced, tag):
    """The reply is this refusal, in Sekisho's form; its reference."""
    check(reply.code == code and reply.text.startswith(enhanced + " ") and f"[{tag}]" in reply.text and reply.ref,
          "want {} {} ... [{}] (ref ...), got: {}", code, enhanced, tag, reply)
    return reply.ref


def accepted(reply):
    check(reply.code == 250, "want 250, got: {}", reply)
    return reply
