"""A whole relay: Postfix with Sekisho in front, logins, a next hop; and clients of it."""
from .certs import Certificates
from .gate import Gate
from .harness import Skipped, check, check_eq, free_port
from .postfix import Postfix
from .sendmail import Sendmail
from .sink import Sink
from .smtp import Client, Closed

PASSWORD = "secret"


class AnyLogin(dict):
    """Whoever knows the password may log in: Sendmail has no XCLIENT to say who a client is."""

    def get(self, *_):
        return PASSWORD


class Relay:
    def __init__(self, world, tenants, logins=(), with_tls=False, settings=None, postfix=(), log_dir=None, behind=(),
                 follows=False):
        """`behind`: more milters, which see what Sekisho made of the mail; `follows`: the gate reads the MTA's log."""
        self.world = world
        self.sink = Sink(world)
        self.is_sendmail = world.options.mta == "sendmail"
        self.certificates = Certificates(world, world.new_safe_dir("certs")) if with_tls else None
        if self.is_sendmail:
            if postfix:
                raise Skipped("needs Postfix: its settings")
            listen, settings = f"inet:{free_port()}@127.0.0.1", dict(settings or {})
            settings["milter"] = {**settings.get("milter", {}), "listen": listen}
        self.gate = Gate(world, tenants, settings, start=False, log_dir=log_dir)
        if self.is_sendmail:
            self.mta = Sendmail(world, self.sink.port, listen, AnyLogin(), self.certificates, [sendmail_form(m) for m in behind])
        else:
            self.mta = Postfix(world, self.sink.port, ", ".join((self.gate.socket, *behind)), {login: PASSWORD for login in logins},
                               self.certificates, postfix)
        if follows:
            self.gate.config["maillog"] = {"path": self.mta.maillog_path}
            self.gate.write_config()
        self.gate.start()

    def client(self, login=None, tls=False, certificate=None, special=False, **xclient):
        """A session that has said EHLO, and whatever else is asked for."""
        address = None
        if self.is_sendmail:
            login = login or xclient.pop("LOGIN", None)
            address = xclient.pop("ADDR", "").removeprefix("IPV6:") or None
        client = Client(self.mta.special_port if special else self.mta.port, source=address)
        check_eq(client.ehlo().code, 250, "EHLO")
        if xclient:
            check_eq(client.xclient(**xclient).code, 220, "XCLIENT")
            check_eq(client.ehlo().code, 250, "EHLO")
        if tls or certificate:
            check_eq(client.starttls(certificate).code, 220, "STARTTLS")
            check_eq(client.ehlo().code, 250, "EHLO after STARTTLS")
        if login:
            reply = client.auth(login, PASSWORD)
            if reply.code == 454:                  # Sendmail's word while its filter is away
                raise Closed()
            check_eq(reply.code, 235, f"AUTH as {login}")
        return client


def sendmail_form(milter):
    """inet:HOST:PORT of Postfix, as Sendmail has it."""
    _, host, port = milter.split(":")
    return f"inet:{port}@{host}"


def refused(reply, code, enhanced, tag):
    """The reply is this refusal, in Sekisho's form; its reference."""
    check(reply.code == code and reply.text.startswith(enhanced + " ") and f"[{tag}]" in reply.text and reply.ref,
          "want {} {} ... [{}] (ref ...), got: {}", code, enhanced, tag, reply)
    return reply.ref


def accepted(reply):
    check(reply.code == 250, "want 250, got: {}", reply)
    return reply
