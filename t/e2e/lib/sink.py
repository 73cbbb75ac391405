"""The next hop: a small threaded SMTP server that keeps each message as it came.

Recipients whose local part or domain begins with `bounce.` hear 550, those with `tf.` hear 451, and no message of
theirs arrives.
"""
import re
import socket
import threading
from dataclasses import dataclass

from .harness import wait_for
from .listener import serve

LINE_MAX = 1 << 20


@dataclass(frozen=True)
class Delivered:
    sender: str                        # the argument of MAIL FROM, parameters included
    recipients: tuple                  # the arguments of RCPT TO
    body: bytes                        # after DATA, dots undone, CRLF kept

    def header(self, name):
        """The values of a header field, unfolded."""
        head = re.sub(rb"\r\n[ \t]+", b" ", self.body.partition(b"\r\n\r\n")[0])
        return [line.partition(b":")[2].strip().decode("utf-8", "surrogateescape") for line in head.split(b"\r\n")
                if line.partition(b":")[0].strip().lower() == name.lower().encode()]

    @property
    def record(self):
        """What the header Sekisho-Record says, or nothing."""
        values = self.header("Sekisho-Record")
        return values[0] if len(values) == 1 else None


class Sink:
    def __init__(self, world):
        self.messages, self.keeps_bodies = [], True
        self._changed = threading.Condition()
        server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = server.getsockname()[1]
        serve(world, server, self._serve)

    def wait_count(self, count, seconds=30.0):
        """Until `count` messages have come in all."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.messages) >= count, seconds)
            got = len(self.messages)
        wait_for(lambda: got >= count, f"{count} messages at the next hop ({got} came)", 0)
        return self.messages

    def find(self, needle, seconds=15.0):
        """The one message that has these octets in it."""
        return wait_for(lambda: next((m for m in list(self.messages) if needle in m.body), None),
                        f"a message with {needle!r} at the next hop", seconds)

    def _serve(self, peer):
        try:
            with peer, peer.makefile("rb") as lines:
                peer.settimeout(60)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._talk(peer, lines)
        except (OSError, EOFError):
            pass

    def _talk(self, peer, lines):
        def say(text):
            peer.sendall(text.encode() + b"\r\n")

        sender, recipients = None, []
        say("220 sink.sekisho.test ESMTP")
        while line := lines.readline(LINE_MAX):
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            verb = text[:4].upper()
            if verb == "EHLO":
                say("250-sink.sekisho.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n"
                    "250-ENHANCEDSTATUSCODES\r\n250 SIZE 0")
            elif verb == "MAIL":
                sender, recipients = text.partition(":")[2].strip(), []
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                recipient = text.partition(":")[2].strip()
                say(answer_to(recipient, recipients))
            elif verb == "DATA":
                if not recipients:
                    say("554 5.5.1 no valid recipients")
                    continue
                say("354 go on")
                body = read_data(lines)
                self._keep(Delivered(sender, tuple(recipients), body if self.keeps_bodies else body.partition(b"\r\n\r\n")[0]))
                say("250 2.0.0 kept")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            elif verb in ("HELO", "RSET", "NOOP"):
                sender, recipients = None, []
                say("250 2.0.0 ok")
            else:
                say("500 5.5.2 what?")

    def _keep(self, message):
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()


def answer_to(recipient, accepted):
    if re.search(r"[<@]bounce\.", recipient):
        return "550 5.1.1 no such user here"
    if re.search(r"[<@]tf\.", recipient):
        return "451 4.3.0 come again"
    accepted.append(recipient)
    return "250 2.1.5 ok"


def read_data(lines):
    """What a client that goes before its last dot has said is no message (RFC 5321, 4.1.1.4)."""
    body = []
    while (line := lines.readline(LINE_MAX)) != b".\r\n":
        if not line:
            raise EOFError
        body.append(line[1:] if line.startswith(b".") else line)
    return b"".join(body)
