"""The n-th call fails, for n = 1, 2, 3 ... until none does: in the daemon while messages pass, and in every command that writes."""
import collections
import errno
import os
import quopri
import re
import time

from lab import DAY, LOGIN, TENANTS, fault
from lib.gate import new_tracking_key
from lib.harness import check, fill_disk, wait_for
from lib.milter import MilterPeer, milter_answers
from lib.planted import KINDS, Planted
from lib.redis import Redis

MESSAGES = 3                           # of a try
PAGE = b'<html><body><a href="http://shop.example/%d">shop</a>' + b"<p>words</p>\r\n" * 60000 + b"</body></html>\r\n"
TRACK_HOST = "track.acme.test"
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
ERRORS = {"write": errno.ENOSPC, "allocate": errno.ENOSPC, "open": errno.EMFILE, "connect": errno.ECONNREFUSED, "memory": errno.ENOMEM}
DONE = (0, 1, 3)                       # how a command may end; a signal is none of them


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
    """A stage that is not asked about, or answered with "continue" or "accept"."""
    return answer is None or answer[0] in "ca"


def nth_call(lab, kind, place, most, mail, before=lambda: None, after=lambda: None):
    """In the running daemon, while messages pass; until a whole try met no failing call, twice."""
    quiet, n = 0, 0
    while quiet < 2 and n < most:
        n += 1
        lab.planted.arm(kind, n, place, ERRORS.get(kind, errno.EIO))
        before()
        lab.refused += sum(not mail.send() for _ in range(MESSAGES))
        after()
        is_quiet = lab.planted.failed == 0
        lab.planted.disarm()
        quiet = quiet + 1 if is_quiet else 0
        check(lab.gate.is_alive, "the daemon died of {} {}: {}", kind, n, lab.gate.log()[-1500:])
        if not is_quiet:
            lab.tried(mail.wait_passes())


def evidence(lab, mail):
    """Before and after the daemon's sudden death; then as small as ever, and the log intact."""
    missing = mail.count_records()
    lab.unrecorded = len(missing)
    check(not missing, "{} of {} that passed are not on record once, the first: {}", len(missing), len(mail.passed), missing[:1])
    lab.flat()
    lab.gate.kill()
    lab.gate.start()
    lab.lost = len(mail.count_records())
    check(lab.lost == 0, "{} records are gone after a kill", lab.lost)
    check(mail.send(), "no message passes after a kill")
    lab.verify()


def warm(lab, mail, **begin):
    lab.begin(behind_gate=False, **begin)
    for _ in range(50):
        check(mail.send(), "no message passes before the fault")
    lab.rest()


def in_the_daemon(lab, most, kinds, place, mail=None, before=lambda: None, after=lambda: None, **begin):
    mail = mail or Mail(lab)
    warm(lab, mail, **begin)
    for kind in kinds.split():
        nth_call(lab, kind, place(), most, mail, before, after)
    evidence(lab, mail)


LONG = {"classes": {"relay": "10y"}}   # so that no day is over that messages are looked for in


def next_day(lab):
    """Each try begins a new file, and a new key where the log is sealed."""
    def step():
        lab.planted.shift += DAY
    return step


@fault("calls", "relay log: n-th write, sync, open, allocate", 200, 4)
def calls_record(lab, most):
    in_the_daemon(lab, most, "write sync open allocate", lambda: f"{lab.gate.log_dir}/relay", before=next_day(lab),
                  settings={"relay_log": LONG})


@fault("calls", "sealed log: n-th write, sync, open, rename", 200, 4)
def calls_sealed(lab, most):
    keyring = lab.world.path("keyring")
    in_the_daemon(lab, most, "write sync open rename", lambda: keyring, before=next_day(lab),
                  settings={"relay_log": {"personal_data": "sealed", "keyring": keyring, **LONG}})


@fault("calls", "store, embedded: n-th write, sync, open", 200, 4)
def calls_store(lab, most):
    in_the_daemon(lab, most, "write sync open", lambda: f"{lab.gate.dir}/state")


@fault("calls", "store, Redis: n-th connect", 10, 2)
def calls_redis(lab, most):
    """Every connection is cut, and the n-th that is made anew fails; a link is tried again within two seconds."""
    redis = Redis(lab.world)

    def cut():
        redis.ask("CLIENT", "KILL", "TYPE", "normal")

    def wait():
        end = time.monotonic() + 3
        while not lab.planted.failed and time.monotonic() < end:
            mail.send()
            time.sleep(0.05)

    mail = Mail(lab)
    in_the_daemon(lab, most, "connect", lambda: "", mail, cut, wait, settings={"store": redis.settings()})


@fault("calls", "spooled body: n-th write, open, unlink, read", 100, 4)
def calls_spool(lab, most):
    keys = new_tracking_key(lab.world)
    tenants = {"acme": {**TENANTS["acme"], "tracking": {"host": TRACK_HOST, "clicks": True}}}
    mail = Mail(lab, PAGE, ((b"MIME-Version", b"1.0"), (b"Content-Type", b"text/html; charset=utf-8")))
    in_the_daemon(lab, most, "write open unlink read", lambda: f"{lab.gate.dir}/state/body.", mail, tenants=tenants,
                  settings={"tracking": {"key_file": keys}})


@fault("calls", "any room: n-th allocation", 300, 40)
def calls_memory(lab, most):
    in_the_daemon(lab, most, "memory", lambda: "")


@fault("calls", "every rule of policy: n-th allocation", 300, 20)
def calls_policy(lab, most):
    """Each message reaches a warning, a guard's bar and every rule that can be monitored."""
    in_the_daemon(lab, most, "memory", lambda: "", Strangers(lab), tenants={"acme": {
        "match": [{"auth": "*@acme.test"}],
        "senders": {"allow": ["boss@acme.test"], "monitor": True}, "from": {"rule": "senders", "monitor": True},
        "recipients": {"allow": ["@acme.test"], "monitor": True}, "recipients_max": {"limit": 0, "monitor": True},
        "content": [{"header": "Subject", "match": "*hell?*", "monitor": True}],
        "quotas": [{"name": "each", "limit": "1/day", "counts": "messages", "key": "auth", "monitor": True, "warn_at": [50, 100]},
                   {"name": "grows", "limit": "1000000/day", "window": "calendar", "warn_at": [1],
                    "warm_up": {"from": time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * DAY)), "start": 500000, "growth": "100%"}}],
        "guard": {"volume": 10, "clients": 1, "senders": True, "sample": 1, "action": "notify"}}})


@fault("calls", "mail that comes back: n-th allocation", 300, 20)
def calls_returned(lab, most):
    """What the gate lets come back it has read."""
    keys = new_tracking_key(lab.world)
    in_the_daemon(lab, most, "memory", lambda: "", Returned(lab), settings={"tracking": {"key_file": keys}}, tenants={"acme": {
        "match": [{"auth": "*@acme.test"}], "return_path": "bounce.acme.test",
        "guard": {"hard_bounces": "1%", "unknown_users": "1%", "sample": 1, "action": "notify"}}})


@fault("calls", "tracked mail: n-th allocation", 300, 20)
def calls_tracked(lab, most):
    page = b"".join(b'<p>=E6=96=87 <a href=3D"http://shop.example/%d?q=3D1">=\r\nshop</a>\r\n' % n for n in range(40))
    mail = Tracked(lab, page, ((b"MIME-Version", b"1.0"), (b"Content-Type", b"text/html; charset=utf-8"),
                               (b"Content-Transfer-Encoding", b"quoted-printable")))
    tenants = {"acme": {**TENANTS["acme"], "tracking": {"host": TRACK_HOST, "clicks": True, "opens": True}}}
    in_the_daemon(lab, most, "memory", lambda: "", mail, tenants=tenants, settings={"tracking": {"key_file": new_tracking_key(lab.world)}})


@fault("calls", "the MTA's log read: n-th read, open, write, allocate", 100, 10)
def calls_maillog(lab, most):
    lab.maillog = lab.world.path("mail.log")
    with open(lab.maillog, "w"):
        pass
    os.chmod(lab.maillog, 0o644)
    mail = Logged(lab)
    warm(lab, mail, settings={"maillog": {"path": lab.maillog}})
    for kind, place, wait in (("read", lab.maillog, mail.wait_read), ("memory", "", mail.wait_read),
                              ("write open", f"{lab.gate.dir}/state/maillog", mail.wait_saved)):
        nth_call(lab, kind, place, most, mail, after=wait)
    evidence(lab, mail)


@fault("calls", "operator told: n-th spawn, n-th thread", 20, 1)
def calls_told(lab, most):
    """Each try fills the log's disk, which is an alarm: nobody's message may suffer from how the operator is told."""
    command, disk, failed = lab.world.path("page"), lab.mount(), 0
    with open(command, "w") as script:
        script.write("#!/bin/sh\ncat >/dev/null\n")
    os.chmod(command, 0o755)
    lab.begin(behind_gate=False, log_dir=f"{disk}/log",
              settings={"alarm": {"command": command}, "relay_log": {"preallocate": "64KiB"}})
    mail = Mail(lab)
    check(mail.send(), "no message passes before the fault")
    lab.rest()
    for n in range(most):
        lab.planted.arm("spawn thread", 1 + n % 2)
        fill_disk(disk)
        wait_for(lambda: not mail.send(), "the disk to be full", 30, 0)
        lab.refused += 1
        if n == 0:
            wait_for(lambda: lab.planted.failed, "somebody to be told", 30)
        time.sleep(1)
        failed += lab.planted.failed
        lab.planted.disarm()
        os.unlink(f"{disk}/filler")
        lab.tried(mail.wait_passes())
    check(failed, "nobody was told anything")
    evidence(lab, mail)


@fault("calls", "the night's work: n-th read, rename, unlink, open", 60, 3)
def calls_night(lab, most):
    """What the daemon does by itself at the start of a day (verification, indexes, purge) may harm no message."""
    in_the_daemon(lab, most, "read rename unlink open", lambda: lab.gate.log_dir, before=next_day(lab),
                  settings={"relay_log": LONG})


@fault("calls", "start of the gate: n-th call of each kind", 60, 3)
def calls_start(lab, most):
    """It starts, or says why not and ends; the next start is as if nothing had been."""
    lab.begin(behind_gate=False, wrap=["env"])     # so that an end with a reason is no trouble of the world's
    mail = Mail(lab)
    check(mail.send(), "no message passes before the fault")
    for kind in KINDS:
        for n in range(1, most + 1):
            lab.gate.kill()
            lab.planted.arm(kind, n, "" if kind in ("connect", "memory", "thread", "spawn") else lab.world.dir, ERRORS.get(kind, errno.EIO))
            failed = try_start(lab)
            lab.planted.disarm()
            if not lab.gate.is_alive:
                began = time.monotonic()
                lab.gate.start()
                lab.refused += 1
                lab.tried(time.monotonic() - began)
            elif failed:
                lab.tried(mail.wait_passes())
            if not failed:
                break
    lab.rest()
    evidence(lab, mail)


def try_start(lab):
    """How many calls failed. The daemon has ended, or answers."""
    lab.gate.launch()
    wait_for(lambda: not lab.gate.is_alive or milter_answers(lab.gate.socket), "the start to end either way", 60)
    failed = lab.planted.failed
    if not lab.gate.is_alive:
        check(lab.gate.process.wait() >= 0, "the start crashed with {}: {}", lab.gate.process.returncode, lab.gate.log()[-1500:])
    return failed


# --- commands

class Hand:
    """An operator whose commands have faults of their own; the daemon has none meanwhile."""

    def __init__(self, lab):
        self.lab, self.planted = lab, Planted(lab.world)

    def run(self, *words):
        return self.lab.gate.tool(*words, env={**os.environ, **self.planted.environment})

    def well(self, *words):
        done = self.run(*words)
        check(done.returncode == 0, "sekisho {}: exit {} without a fault\n{}{}", " ".join(words), done.returncode, done.stdout, done.stderr)
        return done.stdout

    def nth(self, most, words, may_end=DONE):
        """`words`: a function that gives a command; what failed is run again, and then must succeed."""
        for kind in KINDS:
            place = "" if kind in ("connect", "memory", "thread", "spawn") else self.lab.world.dir
            for n in steps(most):
                command = words()
                self.planted.arm(kind, n, place, ERRORS.get(kind, errno.EIO))
                done = self.run(*command)
                failed = self.planted.failed
                self.planted.disarm()
                check(done.returncode in may_end, "sekisho {}, {} {}: exit {}\n{}{}", " ".join(command), kind, n, done.returncode,
                      done.stdout[-1000:], done.stderr[-1000:])
                check(done.returncode == 0 or done.stderr or done.stdout, "sekisho {}, {} {}: exit {} without a word", " ".join(command),
                      kind, n, done.returncode)
                if not failed:
                    break
                self.lab.tried()
                if done.returncode:
                    self.lab.refused += 1
                    self.again(command)

    def again(self, command):
        self.well(*command)


def steps(most):
    """Each of the first, then further and further apart."""
    n = 1
    while n <= most:
        yield n
        n += 1 + n // 20


def with_hand(lab, **settings):
    lab.begin(behind_gate=False, settings=settings or None)
    mail = Mail(lab)
    for _ in range(40):
        check(mail.send(), "no message passes before the fault")
    lab.rest()
    return Hand(lab), mail


@fault("calls", "commands that read the log: n-th call of each kind", 400, 3)
def commands_read(lab, most):
    hand, mail = with_hand(lab)
    for words in (("log", "verify"), ("log", "search", "someone@example.test"), ("log", "show", mail.passed[0]), ("log", "report"),
                  ("log", "export", "--format", "csv"), ("log", "export"), ("log", "checkpoint"), ("log", "index", "--rebuild")):
        hand.nth(most, lambda words=words: words)
    evidence(lab, mail)


@fault("calls", "log verify of an altered log: n-th call of each kind", 400, 3)
def commands_altered(lab, most):
    """Whatever fails, it never says that such a log is intact."""
    hand, mail = with_hand(lab)
    copy = lab.world.path("altered")
    lab.world.run(["cp", "-R", f"{lab.gate.log_dir}/relay", copy])
    path = f"{copy}/{sorted(name for name in os.listdir(copy) if name.endswith('.jsonl'))[0]}"
    with open(path, "r+b") as log:
        text = log.read()
        log.seek(text.index(b"someone@"))
        log.write(b"Someone@")
    hand.again = lambda command: None
    hand.nth(most, lambda: ("log", "verify", copy, "--key", f"{lab.gate.dir}/relay-log.key.pub", "--class", "relay", "--node", "gate1"),
             (1, 3))
    evidence(lab, mail)


@fault("calls", "keys made: n-th call of each kind", 400, 3)
def commands_key(lab, most):
    hand, mail = with_hand(lab)
    count = 0

    def key_new():
        nonlocal count
        count += 1
        return ("key", "new", f"{lab.world.dir}/made{count}.key")

    def again(command):
        """It may have been made, and only not been said."""
        done = hand.run(*command)
        check(done.returncode == 0 or os.path.exists(f"{command[-1]}.pub"), "again: exit {} {}", done.returncode, done.stderr)

    hand.again = again
    hand.nth(most, key_new)
    evidence(lab, mail)


@fault("calls", "store commands: n-th call of each kind", 400, 3)
def commands_store(lab, most):
    hand, mail = with_hand(lab)
    for words in (("suppress", "add", "acme", "gone@example.test"), ("suppress", "list", "acme"), ("quota", "show", "acme"),
                  ("tenant", "suspend", "acme", "--for", "1h"), ("tenant", "resume", "acme"), ("quota", "reset", "acme")):
        hand.nth(most, lambda words=words: words)
    lab.recovered.append(mail.wait_passes())
    evidence(lab, mail)


@fault("calls", "backups: n-th call of each kind", 200, 3)
def commands_backup(lab, most):
    hand, mail = with_hand(lab, backup={"dir": lab.world.path("backups")})

    def later(*words):
        def command():
            hand.planted.shift += 61               # a generation is named by its second
            lab.planted.shift = hand.planted.shift
            return words
        return command

    hand.well("backup", "run")
    for words in (("backup", "run"), ("backup", "verify"), ("backup", "prune", "--keep", "1")):
        hand.nth(most, later(*words))
    hand.well(*later("backup", "run")())
    hand.well("backup", "verify")
    evidence(lab, mail)


@fault("calls", "redaction and erasure: n-th call of each kind", 200, 3)
def commands_erase(lab, most):
    hand, mail = with_hand(lab, relay_log={"operator_key_file": lab.world.path("operator.key")})
    hand.well("key", "new", "--operator")

    def redact():
        check(mail.send(), "no message passes")
        queue_id = mail.passed.pop()
        ref = next(r["id"] for r in lab.gate.mail_records(event="accepted") if r.get("queue_id") == queue_id)
        return ("log", "redact", ref)

    def again(command):
        """It may have been done, and only not been said."""
        done = hand.run(*command)
        check(done.returncode == 0 or "no record" in done.stderr, "again: exit {} {}", done.returncode, done.stderr)

    hand.again = again
    hand.nth(most, redact)
    del hand.again
    hand.nth(most, lambda: ("tenant", "erase", "former", "--nothing"))
    evidence(lab, mail)


@fault("calls", "purge: n-th call of each kind", 100, 3)
def commands_purge(lab, most):
    """A day goes by, and its end of the log with it; the daemon's own purge comes between."""
    hand, mail = with_hand(lab, relay_log={"classes": {"relay": "2d"}})

    def purge():
        check(mail.send(), "no message passes")
        hand.planted.shift += DAY
        lab.planted.shift = hand.planted.shift
        return ("log", "purge")

    hand.nth(most, purge)
    kept = mail.passed[-1:]
    mail.passed[:] = kept if mail.send() else []
    evidence(lab, mail)


@fault("calls", "witness: n-th call of each kind", 400, 3)
def commands_witness(lab, most):
    hand, mail = with_hand(lab)
    key, last, kept = (lab.world.path(name) for name in ("witness.key", "last", "kept"))
    hand.well("key", "new", key)
    os.mkdir(kept)
    lab.gate.stop()
    lab.gate.start()                               # a stop signs what there is
    with open(last, "w") as out:
        out.write(hand.well("log", "checkpoint"))
    hand.nth(most, lambda: ("witness", "--log-key", f"{lab.gate.dir}/relay-log.key.pub", "--key", key, "--dir", kept, last),
             (*DONE, 2))                           # without memory a name has no letters, and such a name is none
    lab.rest()
    evidence(lab, mail)
