"""The n-th call fails in the daemons while messages pass, for n = 1, 2, 3 ... until none does."""
import errno
import os
import time

from lab import DAY, TENANTS, fault
from lib.gate import new_tracking_key
from lib.harness import check, end_process, fill_disk, free_port, wait_for
from lib.milter import milter_answers
from lib.planted import ANYWHERE, KINDS
from lib.redis import Redis
from senders import LINKS, TRACK_HOST, Logged, Mail, Readers, Returned, Strangers, Tracked

ANY = f"memory {ANYWHERE}"
MESSAGES = 3                           # of a try
PAGE = b'<html><body><a href="http://shop.example/%d">shop</a>' + b"<p>words</p>\r\n" * 60000 + b"</body></html>\r\n"
ERRORS = {"write": errno.ENOSPC, "allocate": errno.ENOSPC, "open": errno.EMFILE, "connect": errno.ECONNREFUSED, "memory": errno.ENOMEM, ANYWHERE: errno.ENOMEM}


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
    in_the_daemon(lab, most, ANY, lambda: "")


@fault("calls", "every rule of policy: n-th allocation", 300, 20)
def calls_policy(lab, most):
    """Each message reaches a warning, a guard's bar and every rule that can be monitored."""
    in_the_daemon(lab, most, ANY, lambda: "", Strangers(lab), tenants={"acme": {
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
    in_the_daemon(lab, most, ANY, lambda: "", Returned(lab), settings={"tracking": {"key_file": keys}}, tenants={"acme": {
        "match": [{"auth": "*@acme.test"}], "return_path": "bounce.acme.test",
        "guard": {"hard_bounces": "1%", "unknown_users": "1%", "sample": 1, "action": "notify"}}})


def begin_tracked(lab, port):
    page = b"".join(b'<p>=95=B6 <a href=3D"http://shop.example/%d?q=3D1">=\r\nshop</a>\r\n' % n for n in range(LINKS))
    page += b'<a href=3D"http://shop.example/=95=B6">=95=B6</a>\r\n'
    mail = Tracked(lab, page, ((b"MIME-Version", b"1.0"), (b"Content-Type", b"text/html; charset=shift_jis"),
                               (b"Content-Transfer-Encoding", b"quoted-printable")))
    tenants = {"acme": {**TENANTS["acme"], "tracking": {"host": TRACK_HOST, "clicks": True, "opens": True}}}
    warm(lab, mail, tenants=tenants,
         settings={"tracking": {"key_file": new_tracking_key(lab.world), "listen": f"127.0.0.1:{port}"}})
    return mail


@fault("calls", "tracked mail: n-th allocation", 300, 20)
def calls_tracked(lab, most):
    mail = begin_tracked(lab, free_port())
    for kind in ANY.split():
        nth_call(lab, kind, "", most, mail)
    evidence(lab, mail)


@fault("calls", "the MTA's log read: n-th read, open, write, allocate", 100, 10)
def calls_maillog(lab, most):
    lab.maillog = lab.world.path("mail.log")
    with open(lab.maillog, "w"):
        pass
    os.chmod(lab.maillog, 0o644)
    mail = Logged(lab)
    warm(lab, mail, settings={"maillog": {"path": lab.maillog}})
    for kind, place, wait in (("read", lab.maillog, mail.wait_read), ("memory", "", mail.wait_read), (ANYWHERE, "", mail.wait_read),
                              ("write open", f"{lab.gate.dir}/state/maillog", mail.wait_saved)):
        nth_call(lab, kind, place, most, mail, after=wait)
    evidence(lab, mail)


@fault("calls", "links followed: n-th write, sync, open, allocation", 60, 6)
def calls_track(lab, most):
    tracked = begin_tracked(lab, port := free_port())
    check(tracked.send(), "no message passes before the fault")
    readers = Readers(lab, tracked, port)
    for n in range(100):
        check(readers.follow(n), "a link leads nowhere before the fault")
    for kind in "write", "sync", "open", "memory":
        for n in range(1, most + 1):
            readers.planted.arm(kind, n, "" if kind in ANY else lab.gate.dir, ERRORS.get(kind, errno.EIO))
            lab.refused += sum(not readers.follow(n + i) for i in range(20))
            time.sleep(0.2)
            failed = readers.planted.failed
            readers.planted.disarm()
            check(readers.process.poll() is None, "sekisho-track died of {} {}", kind, n)
            if not failed:
                break
            began = time.monotonic()
            wait_for(lambda: readers.follow(n), "a link to lead on again", 60, 0.05)
            lab.tried(time.monotonic() - began)
    wait_for(lambda: readers.accounted_for() >= readers.followed, f"{readers.followed} readers to be on record", 20, 0.5)
    end_process(readers.process)
    lab.rest()
    evidence(lab, tracked)


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
