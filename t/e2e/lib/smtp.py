"""An SMTP client that does exactly what it is told, good manners or bad."""
import base64
import re
import socket
import ssl
import struct
from dataclasses import dataclass

LINE_MAX = 1 << 16


@dataclass(frozen=True)
class Reply:
    code: int
    lines: tuple

    @property
    def text(self):
        return " ".join(self.lines)

    @property
    def ok(self):
        return 200 <= self.code < 400

    @property
    def ref(self):
        """The reference that `sekisho log show` finds."""
        found = re.search(r"\(ref ([0-9A-Z]{26})\)", self.text)
        return found[1] if found else None

    def __str__(self):
        return f"{self.code} {self.text}"


class Closed(Exception):
    """The server went away."""


class Client:
    def __init__(self, port, seconds=60.0, greet=True, source=None):
        """`source`: an address of this host to come from."""
        server = "::1" if ":" in (source or "") else "127.0.0.1"
        self.socket = socket.create_connection((server, port), timeout=seconds, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self.socket.makefile("rb")
        self.greeting = self.reply() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Hangs up, without a word."""
        self._lines.close()
        self.socket.close()

    def reset(self):
        """Hangs up rudely: the server sees a connection reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def raw(self, data):
        self.socket.sendall(data)

    def reply(self):
        lines = []
        while True:
            try:
                line = self._lines.readline(LINE_MAX)
            except OSError as problem:
                raise Closed(str(problem)) from None
            if not line:
                raise Closed("connection closed by the server")
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            lines.append(text[4:])
            if text[3:4] != "-":
                return Reply(int(text[:3]), tuple(lines))

    def command(self, line):
        self.raw((line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape")) + b"\r\n")
        return self.reply()

    def ehlo(self, name="client.sekisho.test"):
        return self.command(f"EHLO {name}")

    def auth(self, user, password="secret"):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f"AUTH PLAIN {token}")

    def xclient(self, **attributes):
        """XCLIENT LOGIN=... ADDR=...; a new session begins behind it."""
        return self.command("XCLIENT " + " ".join(f"{name}={value}" for name, value in attributes.items()))

    def starttls(self, certificate=None):
        """Client certificate: a file with key and certificate. The server's is not looked at."""
        reply = self.command("STARTTLS")
        if not reply.ok:
            return reply
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate)
        self._lines.close()
        self.socket = context.wrap_socket(self.socket)
        self._lines = self.socket.makefile("rb")
        return reply

    def mail(self, sender, parameters=""):
        return self.command(f"MAIL FROM:<{sender}>{' ' if parameters else ''}{parameters}")

    def rcpt(self, recipient):
        return self.command(f"RCPT TO:<{recipient}>")

    def data(self, content):
        """DATA and the content, dots doubled; the last reply, or DATA's own when that refuses."""
        reply = self.command("DATA")
        if reply.code != 354:
            return reply
        return self.content(content)

    def content(self, content):
        stuffed = re.sub(rb"(?m)^\.", b"..", content)
        self.raw(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.reply()

    def send(self, sender, recipients, content, parameters=""):
        """A whole message: the first refusal, or the end. Refused recipients count only when none is left."""
        reply = self.mail(sender, parameters)
        if not reply.ok:
            return reply
        answers = [self.rcpt(recipient) for recipient in recipients]
        if not any(answer.ok for answer in answers):
            self.command("RSET")
            return answers[-1]
        reply = self.data(content)
        if not reply.ok:
            self.command("RSET")
        return reply

    def quit(self):
        reply = self.command("QUIT")
        self.close()
        return reply


def message(sender, recipient, subject="a message", body="Hello.\r\n", extra=""):
    """A plain message; `extra` are whole header lines."""
    body = body if isinstance(body, bytes) else body.encode()
    head = f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\n{extra}\r\n"
    return head.encode("utf-8", "surrogateescape") + body
