"""A Postfix wired by contrib/setup.sh, its smtpd in a chroot: doctor finds nothing wrong, then each planted fault by its name."""
import json
import os
import pwd
import re
import shutil
import subprocess

from lib.doctor import Doctor, Edited
from lib.gate import Gate, new_tracking_key
from lib.harness import check, check_eq, end_process, free_port, need_namespaces, port_answers, wait_for
from lib.postfix import Postfix
from lib.relay import accepted
from lib.sink import Sink
from lib.smtp import Client, message

SETUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../contrib/setup.sh")
HOST, TO = "track.acme.test", "someone@example.test"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}], "tracking": {"host": HOST, "clicks": True}}}
# A kernel that vouches for its clock, whatever this host's does; "unsynchronised" as without a time daemon.
ADJTIMEX = """
#include <stdlib.h>
#include <sys/timex.h>
int adjtimex(struct timex *t) { t->maxerror = getenv("CLOCK_IS_FREE") ? 16000000 : 900; return 0; }
int ntp_adjtime(struct timex *t) { return adjtimex(t); }
"""


def setup(world):
    need_namespaces("--mount")
    world.sink = Sink(world)
    world.mta = mta = Postfix(world, world.sink.port, "")
    world.main, world.master = f"{mta.dir}/etc/main.cf", f"{mta.dir}/etc/master.cf"
    strip_wiring(world.main)
    make_gate(world)
    start_track(world)
    wire(world)
    make_host(world)
    world.doctor = Doctor(world.gate, world.etc, "--postfix", f"{mta.dir}/etc", wrap=world.wrap)


def strip_wiring(main):
    """As a Postfix is that never heard of a milter."""
    with open(main) as text:
        bare = [line for line in text if "milter" not in line and not line.startswith(("enable_long", "internal_mail"))]
    with open(main, "w") as out:
        out.writelines(bare)


def make_gate(world):
    spool, keys, world.port = f"{world.mta.dir}/spool", new_tracking_key(world), free_port()
    os.mkdir(f"{spool}/milter", 0o750)
    os.chown(f"{spool}/milter", 0, pwd.getpwnam("postfix").pw_gid)
    log = world.new_dir("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", log], check=True)
    world.at_end(lambda: subprocess.run(["umount", "-l", log], check=True))
    os.mkdir(f"{log}/log", 0o750)
    world.gate = Gate(world, TENANTS, {
        "milter": {"listen": f"unix:{spool}/milter/sekisho.sock", "socket_mode": "0660", "socket_group": "postfix"},
        "relay_log": {"disk_warn": 10},
        "tracking": {"key_file": keys, "listen": f"127.0.0.1:{world.port}"}}, log_dir=f"{log}/log")


def start_track(world):
    output = open(world.path("track.log"), "a")
    world.track = world.spawn([world.program("sekisho-track"), "-c", world.gate.config_path, "-f"], stdout=output, stderr=output)
    wait_for(lambda: port_answers(world.port), "sekisho-track to listen")


def wire(world):
    done = world.run(["sh", SETUP, "--config", f"{world.mta.dir}/etc", "--yes", "--no-reload"])
    check_eq(done.returncode, 0, f"setup.sh: {done.stdout}{done.stderr}")
    with open(world.master) as text:
        master = text.read()
    with open(world.master, "w") as out:
        out.write(master.replace(f"127.0.0.1:{world.mta.port} inet n - n", f"127.0.0.1:{world.mta.port} inet n - y"))
    world.mta.postfix("reload")


def make_host(world):
    """Logs that are rotated in time, a name that resolves, and a clock that is vouched for."""
    world.etc = world.new_dir("etc")
    os.makedirs(f"{world.etc}/logrotate.d")
    for name, text in (("logrotate.d/rsyslog", "/var/log/mail.log\n{\n\trotate 4\n\tweekly\n}\n"), ("hosts", f"127.0.0.1 {HOST}\n"),
                       ("nsswitch.conf", "hosts: files\npasswd: files\ngroup: files\n"), ("adjtimex.c", ADJTIMEX)):
        with open(f"{world.etc}/{name}", "w") as out:
            out.write(text)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", f"{world.etc}/adjtimex.so", f"{world.etc}/adjtimex.c"], check=True)
    world.wrap = ["unshare", "--mount", "sh", "-c",
                  f"mount --bind {world.etc}/hosts /etc/hosts && mount --bind {world.etc}/nsswitch.conf /etc/nsswitch.conf && "
                  "ASAN_OPTIONS=\"${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0\" "         # it wants to be first
                  f"LD_PRELOAD={world.etc}/adjtimex.so exec \"$0\" \"$@\""]


def main_cf(world, old, new):
    return Edited(world.main, lambda text: text.replace(old, new))


def test_wired(world):
    """wired by setup.sh, through a chroot: a mail passes, and doctor finds nothing"""
    with Client(world.mta.port) as client:
        client.ehlo()
        client.xclient(LOGIN="user@acme.test")
        client.ehlo()
        accepted(client.send("a@acme.test", [TO], message("a@acme.test", TO, "through the chroot")))
    world.sink.find(b"Subject: through the chroot", 20)
    found = world.doctor.well()
    for name in ("smtpd_milters", "socket_access", "clock", "macros", "tracking_dns", "tracking_endpoint", "disk", "key", "logrotate"):
        check_eq(found[name]["level"], "ok", name)


def test_milter_line(world):
    """1: the milter's line is gone; 2: it names another socket"""
    with main_cf(world, "\nsmtpd_milters = unix:milter/sekisho.sock", "\nsmtpd_milters ="):
        code, found = world.doctor.examine()
        check_eq((code, found["smtpd_milters"]["level"], found["smtpd_milters"]["fix"]),
                 (1, "fault", "smtpd_milters = unix:milter/sekisho.sock"), "no milter")
    with main_cf(world, "\nsmtpd_milters = unix:milter/sekisho.sock", "\nsmtpd_milters = unix:milter/gate.sock"):
        code, found = world.doctor.examine()
        check(code == 1 and "milter/gate.sock" in found["smtpd_milters"]["text"], "another socket: {}", found["smtpd_milters"])


def test_default_action(world):
    """3: mail passes while the gate is away"""
    # Postfix 3.10 has another default, so setup.sh has written a line; 3.7 has tempfail already.
    with Edited(world.main, lambda text: re.sub(r"(?m)^milter_default_action.*\n", "", text) + "milter_default_action = accept\n"):
        world.doctor.names("milter_default_action", "accept", "milter_default_action = tempfail")


def test_socket_mode(world):
    """4: everybody, or not even Postfix, can come to the socket"""
    path = world.gate.socket.partition(":")[2]
    for place, mode, text in ((path, 0o666, "every user"), (path, 0o600, "cannot write"),
                              (os.path.dirname(path), 0o700, "cannot pass")):
        before = os.stat(place).st_mode & 0o7777
        os.chmod(place, mode)
        try:
            world.doctor.names("socket_access", text, "0660" if place == path else "chmod g+x")
        finally:
            os.chmod(place, before)


def test_non_smtpd(world):
    """5: mail of scripts on this host goes past the gate"""
    with main_cf(world, "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters ="):
        world.doctor.names("non_smtpd_milters", 'is ""', "non_smtpd_milters = $smtpd_milters")


def test_signer(world):
    """6: a DKIM signer stands before the gate, whose rewriting breaks its signatures"""
    with main_cf(world, "\nsmtpd_milters = unix:milter/sekisho.sock", "\nsmtpd_milters = inet:localhost:8891, unix:milter/sekisho.sock"):
        world.doctor.names("milter_order", "inet:localhost:8891 signs before", "unix:milter/sekisho.sock, inet:localhost:8891")


def test_key(world):
    """7: others can read the key"""
    key = f"{world.gate.dir}/relay-log.key"
    os.chmod(key, 0o640)
    code, found = world.doctor.examine()
    os.chmod(key, 0o600)
    check(code == 1 and f"chmod 600 {key}" in found["configuration"]["text"], "{}", found["configuration"])


def test_clock(world):
    """8: nobody vouches for the clock; no promise is broken, as each record says so"""
    code, found = world.doctor.examine(env={"CLOCK_IS_FREE": "1"})
    check_eq((code, found["clock"]["level"]), (0, "note"), "a free clock")
    daemons = (("/usr/sbin/chronyd", "systemctl enable --now chrony"), ("/usr/lib/systemd/systemd-timesyncd", "timedatectl set-ntp true"),
               ("/usr/sbin/ntpd", "systemctl enable --now ntpsec"))
    here = [line for program, line in daemons if os.access(program, os.X_OK)]
    check_eq(found["clock"]["fix"], (here or ["apt-get install chrony"])[0], "what sets it")
    check("unsynchronised" in found["clock"]["text"], "{}", found["clock"])


def test_redis(world):
    """9: Redis may throw counters away"""
    check(shutil.which("redis-server"), "redis-server is not installed")
    socket = f"{world.dir}/redis.sock"
    server = world.spawn(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", world.dir,
                          "--maxmemory-policy", "volatile-lru"], stdout=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(socket), "Redis")
    with Edited(world.gate.config_path, lambda text: f"{text}store:\n  backend: redis\n  redis:\n    addresses:\n      - unix:{socket}\n"):
        world.doctor.names("redis_eviction", "volatile-lru", "maxmemory-policy noeviction")
    end_process(server)


def test_disk(world):
    """10: the log's disk is nearly full; or has no room for the next step"""
    filler = f"{os.path.dirname(world.gate.log_dir)}/filler"
    room = os.statvfs(world.gate.log_dir)
    with open(filler, "wb") as out:
        os.posix_fallocate(out.fileno(), 0, room.f_bavail * room.f_frsize - (4 << 20))
    try:
        world.doctor.names("disk", "is free", "df -h")
    finally:
        os.unlink(filler)
    with Edited(world.gate.config_path, lambda text: text.replace("relay_log:\n", "relay_log:\n  preallocate: 900MiB\n")):
        world.doctor.names("disk", "preallocation", "relay_log.preallocate")


def test_bounces(world):
    """11: Postfix keeps its own bounces to itself"""
    with main_cf(world, "internal_mail_filter_classes = bounce", ""):
        world.doctor.names("internal_mail_filter_classes", 'is ""', "internal_mail_filter_classes = bounce")


def test_other_logs(world):
    """12: the MTA's log is kept longer than the relay log"""
    with Edited(f"{world.etc}/logrotate.d/rsyslog", lambda text: text.replace("rotate 4", "rotate 12")):
        world.doctor.names("logrotate", "91 days", "maxage")


def test_links(world):
    """13: the name that links lead to has no address; 14: nobody answers there"""
    with Edited(f"{world.etc}/hosts", lambda text: text.replace(HOST, "other.test")):
        world.doctor.names("tracking_dns", HOST, f"{HOST}. IN A")
    end_process(world.track)
    world.doctor.names("tracking_endpoint", str(world.port), "sekisho-track")
    start_track(world)


def test_queue_ids(world):
    """15: queue ids come again"""
    with main_cf(world, "enable_long_queue_ids = yes", "enable_long_queue_ids = no"):
        world.doctor.names("enable_long_queue_ids", "is no", "enable_long_queue_ids = yes")


def test_japanese(world):
    """in Japanese every sentence is Japanese, and a line to be copied stays as it is"""
    for env, arguments in (({}, ("--lang", "ja")), ({"LC_ALL": "ja_JP.UTF-8"}, ())):
        shown = world.doctor.run("--all", *arguments, env=env).stdout
        check("異常 0 件" in shown and "すべての smtpd が" in shown, "{}", shown)
    with main_cf(world, "\nsmtpd_milters = unix:milter/sekisho.sock", "\nsmtpd_milters = inet:localhost:8891, unix:milter/sekisho.sock"):
        findings = json.loads(world.doctor.run("--json", "--lang", "ja").stdout)["findings"]
    english = [f for f in findings if f["text"].isascii() or f.get("why", "関").isascii()]
    check_eq(english, [], "not in Japanese")
    fix = next(f["fix"] for f in findings if f["check"] == "milter_order")
    check_eq(fix, "smtpd_milters = unix:milter/sekisho.sock, inet:localhost:8891", "the line")


def test_well_again(world):
    """all planted faults are gone, and so is every finding"""
    world.doctor.well()
