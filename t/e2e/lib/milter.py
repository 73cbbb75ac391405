"""The MTA's side of the milter protocol (version 6), octet by octet, for peers no MTA would be."""
import socket
import struct

from .harness import wait_for

ACTIONS = 0x1FF
STEPS = 0x1FFFFF
CHANGES = "hib+-2meplq"                # and progress: what comes before a verdict


class MilterPeer:
    """One connection to a milter's socket. What is sent need not make sense."""

    def __init__(self, spec, seconds=30.0):
        """`spec` as libmilter writes it: unix:PATH or inet:PORT@HOST."""
        kind, _, rest = spec.partition(":")
        if kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(seconds)
            self.socket.connect(rest)
        else:
            port, _, host = rest.partition("@")
            self.socket = socket.create_connection((host or "127.0.0.1", int(port)), timeout=seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def packet(self, command, payload=b""):
        self.socket.sendall(struct.pack(">I", len(payload) + 1) + command.encode() + payload)

    def raw(self, data):
        self.socket.sendall(data)

    def read(self):
        """(command, payload), or None when the peer hung up."""
        head = self._exactly(5)
        if head is None:
            return None
        size, command = struct.unpack(">Ic", head)
        return command.decode("latin-1"), self._exactly(size - 1) or b""

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            try:
                part = self.socket.recv(size - len(data))
            except ConnectionError:
                return None
            if not part:
                return None
            data += part
        return data

    def answer(self):
        """The verdict that ends a command. Of the changes before it `sender` and `body` stay known: what they become, if anything."""
        while True:
            got = self.read()
            if got and got[0] == "e":
                self.sender = got[1].split(b"\0")[0].strip(b"<>").decode()
            if got and got[0] == "b":
                self.body = (self.body or b"") + got[1]
            if got is None or got[0] not in CHANGES:
                return got

    def negotiate(self):
        self.sender = self.body = None
        self.packet("O", struct.pack(">III", 6, ACTIONS, STEPS))
        got = self.read()
        if got is None:
            return None
        self.steps = struct.unpack(">III", got[1][:12])[2]
        return got

    def macros(self, command, **values):
        pairs = b"".join(f"{{{name}}}".encode() + b"\0" + value.encode(errors="surrogateescape") + b"\0" if len(name) > 1 else
                         name.encode() + b"\0" + value.encode() + b"\0" for name, value in values.items())
        self.packet("D", command.encode() + pairs)

    # step bits (mfdef.h): what the milter does not want, what it does not answer
    NO = {"C": 0x1, "H": 0x2, "M": 0x4, "R": 0x8, "B": 0x10, "L": 0x20, "N": 0x40, "U": 0x100, "T": 0x200}
    SILENT = {"L": 0x80, "C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000,
              "N": 0x40000, "B": 0x80000}

    def step(self, command, payload=b""):
        """As an MTA: not sent when not wanted, not waited for when not answered. None means just that."""
        if self.steps & self.NO.get(command, 0):
            return None
        self.packet(command, payload)
        if self.steps & self.SILENT.get(command, 0):
            return None
        return self.answer()

    def connect(self, host="peer.sekisho.test", address="192.0.2.1", port=12345):
        return self.step("C", host.encode() + b"\0" + b"4" + struct.pack(">H", port) + address.encode() + b"\0")

    def envelope(self, auth, sender, recipients):
        """MAIL, RCPTs and DATA of somebody who logged in; the answers, that of MAIL alone when it is a refusal."""
        self.macros("M", auth_authen=auth, auth_type="PLAIN", client_addr="192.0.2.1")
        answers = [self.step("M", f"<{sender}>".encode(errors="surrogateescape") + b"\0")]
        if answers[0] and answers[0][0] != "c":
            return answers
        for recipient in recipients:
            answers.append(self.step("R", f"<{recipient}>".encode(errors="surrogateescape") + b"\0"))
        self.macros("T", i="4AbCdEf")
        answers.append(self.step("T"))
        return answers

    def end_of_message(self):
        """The answer, and how many octets of a new body came before it."""
        self.macros("E", i="4AbCdEf")
        self.packet("E")
        size = 0
        while True:
            command, payload = self.read()
            if command not in CHANGES:
                return command, size
            size += len(payload) if command == "b" else 0


def milter_answers(spec):
    """Does something negotiate at this socket?"""
    try:
        with MilterPeer(spec, 2.0) as peer:
            return peer.negotiate() is not None
    except OSError:
        return False


def wait_milter(spec, seconds=15.0):
    wait_for(lambda: milter_answers(spec), f"a milter at {spec}", seconds)
