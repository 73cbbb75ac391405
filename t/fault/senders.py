"""Who sends mail to a gate whose calls fail, what becomes of it, and what must be on record of it."""
import collections
import http.client
import os
import quopri
import re
import time

from lab import LOGIN
from lib.harness import check, port_answers, wait_for
from lib.milter import MilterPeer
from lib.planted import Planted

TRACK_HOST = "track.acme.test"
LINKS = 40                             # of a page, to http://shop.example/N?q=1; then one that is not ASCII
TRACKED = re.compile(rb"https://track\.acme\.test/[^\"]*")
DSN_FIELDS = ((b"MIME-Version", b"1.0"), (b"Content-Type", b'multipart/report; report-type=delivery-status; boundary="b"'))
DSN = b"""\
--b\r
\r
<%(to)b>: host mx.example.test said: 550 5.1.1 no such user\r
\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.test\r
\r
Final-Recipient: rfc822; %(to)b\r
Action: failed\r
Status: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 no such user\r
\r
--b--\r
"""


class Mail:
    """Messages over the milter's own protocol, each known by its queue id, and what each was answered."""

    def __init__(self, lab, body=b"Hello.\r\n", fields=((b"Subject", b"hello"),)):
        self.lab, self.body, self.fields, self.count = lab, body, fields, 0
        self.passed = []
        self.new_sender = self.new_body = None     # what the gate made of the last one's

    def send(self):
        """Does one pass?"""
        return self.deliver(LOGIN)

    def deliver(self, login, to="someone@example.test"):
        """One message over a connection of its own, from `login`, or from nobody: is it let through?"""
        self.count += 1
        queue_id = f"4F{self.count:08d}"
        try:
            with MilterPeer(self.lab.gate.socket, 20) as peer:
                passed = self._deliver(peer, login, to, queue_id)
                self.new_sender, self.new_body = peer.sender, peer.body
        except (OSError, ValueError, TypeError):
            passed = False                         # the gate hung up: the MTA says 451 by itself
        if passed:
            self.passed.append(queue_id)
        return passed

    def _deliver(self, peer, login, to, queue_id):
        if not peer.negotiate():
            return False
        peer.connect()
        peer.step("H", b"peer.test\0")
        logged_in = {"auth_authen": login, "auth_type": "PLAIN"} if login else {}
        peer.macros("M", client_addr="192.0.2.1", **logged_in)
        if not goes_on(peer.step("M", f"<{login}>\0".encode())) or not goes_on(peer.step("R", f"<{to}>\0".encode())):
            return False
        peer.macros("T", i=queue_id)
        if not goes_on(peer.step("T")):
            return False
        for name, value in ((b"From", login.encode()), *self.fields):
            peer.step("L", name + b"\0" + value + b"\0")
        peer.step("N")
        for at in range(0, len(self.body), 60000):
            peer.step("B", self.body[at:at + 60000])
        peer.macros("E", i=queue_id)
        return goes_on(peer.step("E"))

    def wait_passes(self):
        """Seconds until a message passes again."""
        began = time.monotonic()
        wait_for(self.send, "a message to pass again", 60, 0.05)
        return time.monotonic() - began

    def count_records(self):
        """What was let through and is not on record once."""
        seen = {}
        for record in self.lab.gate.mail_records(event="accepted"):
            seen[record.get("queue_id")] = seen.get(record.get("queue_id"), 0) + 1
        return [queue_id for queue_id in self.passed if seen.get(queue_id) != 1]


class Strangers(Mail):
    """Each message is from a login of its own: what is told once of each is told of every message."""

    def send(self):
        return self.deliver(f"user{self.count}@acme.test")


class Returned(Mail):
    """A message goes out, and then comes back to its return path."""

    def send(self):
        to, self.body, self.fields = f"gone{self.count}@example.test", b"Hello.\r\n", ((b"Subject", b"hello"),)
        if not self.deliver(f"user{self.count}@acme.test", to) or not self.new_sender:
            return False
        self.body, self.fields = DSN % {b"to": to.encode()}, DSN_FIELDS
        return self.deliver("", self.new_sender)

    def count_records(self):
        """And what came back was read: why, and about whom, is on record."""
        told = {r["outcome"]["report"] for r in self.lab.gate.each_record() if r.get("event") == "bounced" and "outcome" in r}
        return super().count_records() + [r["queue_id"] for r in self.lab.gate.mail_records(event="accepted")
                                          if "auth" not in r and r["id"] not in told]


class Logged(Mail):
    """The MTA says of each message that passes, in its log, that it was delivered."""

    def send(self):
        if not super().send():
            return False
        now = time.strftime("%b %e %H:%M:%S")
        with open(self.lab.maillog, "a") as log:
            log.write(f"{now} mx postfix/smtp[7]: {self.passed[-1]}: to=<someone@example.test>, relay=mx.example.test[192.0.2.9]:25, "
                      f"delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 taken)\n")
        return True

    def delivered(self):
        return collections.Counter(r["queue_id"] for r in self.lab.gate.each_record() if r.get("event") == "delivered")

    def wait_read(self):
        wait_for(lambda: self.lab.planted.failed or len(self.delivered()) >= len(self.passed), "deliveries to be on record", 30)

    def wait_saved(self):
        """Where the reader has come to is written down every two seconds."""
        end = time.monotonic() + 5
        wait_for(lambda: self.lab.planted.failed or time.monotonic() > end, "its place to be saved", 10)

    def count_records(self):
        """And once that it was delivered."""
        self.wait_read()
        return super().count_records() + [queue_id for queue_id, count in self.delivered().items() if count != 1]


class Tracked(Mail):
    """A page whose links are tracked, or all of it as it was."""
    whole = b""

    def send(self):
        if not super().send():
            return False
        seen = TRACKED.sub(b"", quopri.decodestring(self.new_body or b""))
        self.whole = self.whole or seen
        check(seen in (b"", self.whole), "a page in parts: {} octets, the whole has {}", len(seen), len(self.whole))
        return True


def goes_on(answer):
    """A stage that is not asked about, or answered with "continue" or "accept". Nothing that was sent here is refused for good."""
    check(not answer or (answer[0] != "r" and not (answer[0] == "y" and answer[1].startswith(b"5"))), "refused for good: {}", answer)
    return answer is None or answer[0] in "ca"


class Readers:
    """Who follows the links of a page that went out: led where the link says, or told to come again."""

    def __init__(self, lab, tracked, port):
        self.lab, self.port, self.followed, self.planted = lab, port, 0, Planted(lab.world)
        page = quopri.decodestring(tracked.new_body)
        self.links = [url.removeprefix(b"https://" + TRACK_HOST.encode()).decode() for url in TRACKED.findall(page) if b"/c/" in url][:LINKS]
        self.log = lab.world.path("track.log")
        output = open(self.log, "a")
        self.process = lab.world.spawn([lab.world.program("sekisho-track"), "-c", lab.gate.config_path, "-f"], stdout=output,
                                       stderr=output, env={**os.environ, **self.planted.environment})
        wait_for(lambda: port_answers(port), "sekisho-track to listen")

    def follow(self, n):
        """Was the reader led on?"""
        peer = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            peer.request("GET", self.links[n % len(self.links)], headers={"Host": TRACK_HOST})
            reply = peer.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            peer.close()
        if reply.status >= 500:
            return False
        check((reply.status, reply.getheader("Location")) == (302, f"http://shop.example/{n % len(self.links)}?q=1"),
              "a reader was led astray: {} {}", reply.status, reply.getheader("Location"))
        self.followed += 1
        return True

    def accounted_for(self):
        """On record, or said to be lost."""
        recorded = sum(r["event"] == "clicked" for r in self.lab.gate.each_record("action"))
        with open(self.log) as log:
            return recorded + sum(int(n) for n in re.findall(r"(\d+) hits were not counted", log.read()))
