"""The n-th call fails in every command that writes, for n = 1, 2, 3 ... until none does; then the same command does it."""
import errno
import os

from call_faults import ERRORS, evidence
from lab import DAY, LOGIN, fault
from lib.harness import check
from lib.planted import KINDS, Planted
from senders import Mail

DONE = (0, 1, 3)                       # how a command may end; a signal is none of them


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

    def nth(self, most, words, may_end=DONE, whole=""):
        """`words`: a function that gives a command; what failed is run again, and then must succeed. `whole`: what it says
        at least, when it says that it could."""
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
                check(done.returncode or whole in done.stdout, "sekisho {}, {} {}: exit 0 with\n{}", " ".join(command), kind, n,
                      done.stdout[-1000:])
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
    """Whatever fails, it never says less than there is, nor that an intact log was altered."""
    hand, mail = with_hand(lab)
    export = lab.world.path("export.jsonl")
    with open(export, "w") as out:
        out.write(hand.well("log", "export"))
    for words in (("log", "search", "someone@example.test"), ("log", "show", mail.passed[0]), ("log", "export", "--format", "csv"),
                  ("log", "export")):
        hand.nth(most, lambda words=words: words, (0, 3), hand.well(*words))
    for words in (("log", "checkpoint"), ("log", "verify"), ("log", "verify", "--level", "content"),
                  ("log", "verify", "--key", f"{lab.gate.dir}/relay-log.key.pub", export), ("log", "index", "--rebuild")):
        hand.nth(most, lambda words=words: words, (0, 3))
    hand.nth(most, lambda: ("log", "report"))
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
    many = lab.world.path("many")
    with open(many, "w") as out:
        out.write("".join(f"gone{n}@example.test\n" for n in range(20)))
    for words in (("suppress", "add", "acme", "gone@example.test"), ("suppress", "import", "acme", many), ("suppress", "list", "acme"),
                  ("suppress", "export", "acme"), ("quota", "show", "acme"), ("tenant", "list"), ("tenant", "show", "acme"),
                  ("explain", "--auth", LOGIN, "--from", LOGIN, "--rcpt", "someone@example.test"), ("bounce", "count", "acme"),
                  ("tenant", "suspend", "acme", "--for", "1h"), ("tenant", "resume", "acme"), ("quota", "reset", "acme")):
        hand.nth(most, lambda words=words: words)
    listed = hand.well("suppress", "list", "acme")
    check(all(f"gone{n}@example.test" in listed for n in range(20)), "not all that was imported is listed: {}", listed)
    lab.recovered.append(mail.wait_passes())
    evidence(lab, mail)


@fault("calls", "tracking commands: n-th call of each kind", 400, 3)
def commands_track(lab, most):
    keys = lab.world.path("tracking.key")
    hand, mail = with_hand(lab, tracking={"key_file": keys})
    deny, allow = (("track", verb, "acme", "--host", "evil.example") for verb in ("deny", "allow"))
    known = set()

    def rotate():
        if os.path.exists(keys):
            with open(keys) as text:
                now = set(text)
            check(known <= now, "a key is gone, and the links made with it lead nowhere")
            known.update(now)
        return ("key", "rotate")

    def denied_before():
        hand.well(*deny)
        return allow

    def again(command):
        """It may have been allowed, and only not been said."""
        done = hand.run(*command)
        check(done.returncode == 0 or (command == allow and "not denied" in done.stderr), "again: exit {} {}", done.returncode, done.stderr)

    hand.again = again
    for words in (rotate, lambda: ("key", "list"), lambda: deny, denied_before, lambda: ("track", "forget", "acme", "someone@example.test"),
                  lambda: ("track", "stats", "acme")):
        hand.nth(most, words)
    check(known, "no key was ever made")
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
