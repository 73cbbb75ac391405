"""sekisho doctor and the gate's own host: keys, logs, what takes records away, and a daemon that runs with other settings."""
import grp
import json
import os
import shutil
import subprocess
import sys

from lib.doctor import TENANTS, beside_postfix
from lib.harness import check, check_eq, need_namespaces

NAMESERVER = os.path.join(os.path.dirname(__file__), "lib", "nameserver.py")


def setup(world):
    beside_postfix(world)


def test_owner(world):
    """the gate's own user, as the owner of its state says: a key and a log that are not his"""
    need_namespaces("--mount")
    gate = world.relay.gate
    gate.stop()
    try:
        os.chown(f"{gate.dir}/state", 1, 1)
        found = world.doctor.examine()[1]
        check_eq((found["key"]["level"], found["key"]["fix"]), ("fault", f"chown daemon {gate.dir}/relay-log.key"), "the key's owner")
        check_eq(found["relay_log"]["level"], "fault", "the log's")
    finally:
        os.chown(f"{gate.dir}/state", 0, 0)
        gate.start()
    world.doctor.well()


def test_tracking_key(world):
    """the key of tracked links and return paths: away, none, another user's, and good"""
    gate, key = world.relay.gate, world.path("links.key")

    def look():
        found = world.doctor.examine()[1]["tracking_key"]
        return found["level"], found["text"], found.get("fix")

    gate.stop()
    gate.config["tenants"] = {"acme": {**TENANTS["acme"], "return_path": "bounce.acme.test"}}
    gate.config["tracking"] = {"key_file": key}
    gate.write_config()
    check_eq(look(), ("fault", f"{key}: No such file or directory", "sekisho key rotate"), "away")
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
        out.write("no key\n")
    level, text, _ = look()
    check(level == "fault" and "it cannot be read" in text and key in text, "none: {} {}", level, text)
    os.remove(key)
    gate.tool_ok("key", "rotate")
    check_eq(look(), ("ok", f"{key} is its owner's alone", None), "made")
    os.chown(f"{gate.dir}/state", 1, 1)
    check_eq(look()[::2], ("fault", f"chown daemon {key}"), "another user's")
    os.chown(f"{gate.dir}/state", 0, 0)
    gate.config["tenants"] = TENANTS
    del gate.config["tracking"]
    gate.write_config()
    gate.start()
    world.doctor.well()


def test_commands(world):
    """a program that is to be told of alarms: away, and one that nobody can run"""
    gate, command = world.relay.gate, world.path("tell")
    gate.config["notify"] = {"command": command}
    gate.write_config()
    world.doctor.names("commands", f"{command}: No such file", "notify: {command: ")
    with open(command, "w") as out:
        out.write("#!/bin/sh\n")
    os.chmod(command, 0o644)
    world.doctor.names("commands", f"cannot run {command} (mode 0644)", f"chmod a+rx {command}")
    os.chmod(command, 0o755)
    check_eq(world.doctor.well()["commands"]["level"], "ok", "it can be run")
    del gate.config["notify"]
    gate.write_config()
    world.doctor.well()


def test_socket(world):
    """a socket that everybody, or nobody, may write to"""
    path = world.relay.gate.socket.partition(":")[2]
    mode, group = os.stat(path).st_mode & 0o7777, os.stat(path).st_gid
    try:
        os.chmod(path, 0o666)
        world.doctor.names("socket_access", "mode 0666", "0660")
        os.chmod(path, 0o660)
        os.chown(path, -1, grp.getgrnam("daemon").gr_gid)
        world.doctor.names("socket_access", "postfix cannot write", "socket_group: postfix")
    finally:
        os.chmod(path, mode)
        os.chown(path, -1, group)
    world.doctor.well()


def test_key(world):
    """a key that others can read, and a public key that is away or another's"""
    key = f"{world.relay.gate.dir}/relay-log.key"
    os.chmod(key, 0o644)
    code, found = world.doctor.examine()
    check_eq((code, found["configuration"]["level"]), (1, "fault"), "an open key")
    check_eq(found["configuration"]["fix"], f"chmod 600 {key}", "the line")
    os.chmod(key, 0o600)
    os.rename(f"{key}.pub", f"{key}.away")
    world.doctor.names("public_key", key, "openssl pkey")
    world.relay.gate.tool_ok("key", "new", f"{world.dir}/other.key")
    shutil.copy(f"{world.dir}/other.key.pub", f"{key}.pub")
    world.doctor.names("public_key", "does not hold", "openssl pkey")
    os.replace(f"{key}.away", f"{key}.pub")
    world.doctor.well()


def test_other_logs(world):
    """logs that outlive the relay log"""
    os.makedirs(f"{world.etc}/logrotate.d")
    os.makedirs(f"{world.etc}/systemd/journald.conf.d")
    rotate = f"{world.etc}/logrotate.d/rsyslog"
    for text, level in (("/var/log/mail.log\n{\n\trotate 4\n\tweekly\n}\n", "ok"),
                        ("/var/log/syslog\n{\n\trotate 99\n\tweekly\n}\n", "ok"),
                        ("/var/log/mail.log {\n\trotate 52\n\tweekly\n\tmaxage 40\n}\n", "ok")):
        with open(rotate, "w") as out:
            out.write(text)
        check_eq(world.doctor.well()["logrotate"]["level"], level, text)
    with open(rotate, "w") as out:
        out.write("/var/log/syslog\n/var/log/mail.log\n{\n\trotate 12\n\tmonthly\n}\n")
    world.doctor.names("logrotate", "403 days", "maxage")
    with open(rotate, "w") as out:
        out.write("# /var/log/mail.log has a file of its own\n/var/log/cron.log {\n\trotate 52\n\tweekly\n}\n")
    check_eq(world.doctor.well()["logrotate"]["level"], "ok", "a remark")
    for lines in ("rotate 4\n\tsize 100M", "rotate -1\n\tweekly", "rotate\t52\n\tweekly"):
        with open(rotate, "w") as out:
            out.write(f"/var/log/mail.log\n{{\n\t{lines}\n}}\n")
        world.doctor.names("logrotate", "days", "maxage")
    with open(rotate, "w") as out:
        out.write("/var/log/*.log {\n\trotate 52\n\tweekly\n}\n")
    world.doctor.names("logrotate", "371 days", "maxage")
    gate = world.relay.gate
    for keep, line in (("20d", "daily, rotate 18"), ("1d", "daily, rotate 0")):
        gate.config["relay_log"]["classes"] = {"relay": keep}
        gate.write_config()
        world.doctor.names("logrotate", f"is kept {keep[:-1]}", line)
        with open(rotate, "w") as out:
            out.write("/var/log/*.log {\n\t" + line.replace(", ", "\n\t") + "\n}\n")
        check_eq(world.doctor.well()["logrotate"]["level"], "ok", f"{keep}, mended by the line")
        with open(rotate, "w") as out:
            out.write("/var/log/*.log {\n\trotate 52\n\tweekly\n}\n")
    del gate.config["relay_log"]["classes"]
    gate.write_config()
    os.remove(rotate)
    journald = f"{world.etc}/systemd/journald.conf"
    with open(journald, "w") as out:
        out.write("[Journal]\n#MaxRetentionSec=0\n")
    check_eq(world.doctor.well()["journald"]["level"], "note", "bounded by its size alone")
    with open(f"{world.etc}/systemd/journald.conf.d/long.conf", "w") as out:
        out.write("[Journal]\nMaxRetentionSec=6month\n")
    world.doctor.names("journald", "183 days", "journald.conf.d/long.conf: MaxRetentionSec=60day")
    with open(f"{world.etc}/systemd/journald.conf.d/long.conf", "w") as out:
        out.write("[Journal]\nMaxRetentionSec=8weeks 5days\n")
    world.doctor.names("journald", "61 days", "MaxRetentionSec=60day")
    shutil.rmtree(f"{world.etc}/systemd")
    world.doctor.well()


def test_own_log(world):
    """the log that Postfix writes by itself, which nothing takes away; the line is for a shell"""
    os.makedirs(f"{world.etc}/logrotate.d", exist_ok=True)
    found = world.doctor.well()["maillog_file"]
    check_eq(found["level"], "note", "kept for ever")
    subprocess.run(["sh", "-c", found["fix"]], check=True)
    found = world.doctor.well()
    check_eq((found["maillog_file"]["level"], found["logrotate"]["level"]), ("ok", "ok"), "mended by the line")
    os.remove(f"{world.etc}/logrotate.d/postfix")


def test_open_configuration(world):
    """a configuration that every user of the host can change, or put another in place of"""
    gate = world.relay.gate
    for path in gate.config_path, os.path.dirname(gate.config_path):
        mode = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode | 0o002)
        world.doctor.names("configuration_owner", f"can change {path}", f"chmod o-w {path}")
        os.chmod(path, mode)
    world.doctor.well()


def test_open_log(world):
    """a log that every user of the host can change"""
    gate = world.relay.gate
    record = next(name for name in os.listdir(f"{gate.log_dir}/ops") if name.endswith(".jsonl"))
    for path in gate.log_dir, f"{gate.log_dir}/ops", f"{gate.log_dir}/ops/{record}":
        mode, dir_mode = os.stat(path).st_mode & 0o7777, os.stat(gate.log_dir).st_mode & 0o7777
        os.chmod(gate.log_dir, 0o751)
        os.chmod(path, mode | 0o003)
        world.doctor.names("relay_log_privacy", f"can change {path}", f"chmod -R o-rwx {gate.log_dir}")
        os.chmod(path, mode)
        os.chmod(gate.log_dir, dir_mode)
    world.doctor.well()


def test_cleaners(world):
    """what takes records away, by whatever means; and what only looks as if it did"""
    log = world.relay.gate.log_dir
    for name, line, is_fault in (
            ("logrotate.d/all", f"{log}/*/*.jsonl {{", True),
            ("logrotate.d/all", f'"{log}/relay/*" {{', True),
            ("logrotate.d/all", f"{log}/ops/*.jsonl {{", True),
            ("logrotate.d/all", f"{log}/*.log {{", False),
            ("logrotate.d/all", f"# {log}/*/*.jsonl {{", False),
            ("tmpfiles.d/log.conf", f"d {log} 0750 root root 30d -", True),
            ("tmpfiles.d/log.conf", f"R {log}/relay", True),
            ("tmpfiles.d/log.conf", f"d {log} 0750 root root - -", False),
            ("tmpfiles.d/log.conf", f"x {log}", False),
            ("tmpfiles.d/log.conf", f"d {log}2 0750 root root 30d -", False),
            ("crontab", f"17 3 * * * root find {log} -type f -mtime +14 -delete", True),
            ("cron.d/tidy", f"17 3 * * * root find {os.path.dirname(log)} -name '*.jsonl' -mtime +14 -exec rm {{}} ;", True),
            ("cron.d/tidy", f"17 3 * * * root find {log} -name '*.gz' -mtime +14 -delete", False),
            ("cron.daily/tidy", f"rm -f {log}/relay/2020*", True),
            ("cron.daily/tidy", f"ls -l {log}", False),
            ("cron.daily/tidy", "rm -f /somewhere/else", False)):
        path = f"{world.etc}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(f"# tidy\n{line}\n")
        if is_fault:
            world.doctor.names("cleaners", path, f'{path}: take out "{line}"')
        else:
            check_eq(world.doctor.well()["cleaners"]["level"], "ok", line)
        os.remove(path)


def test_disks(world):
    """a log that lives in memory"""
    need_namespaces("--mount")
    gate, volatile = world.relay.gate, world.new_dir("volatile")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", volatile], check=True)
    try:
        os.chmod(volatile, 0o750)
        before = gate.config["relay_log"]["dir"]
        gate.config["relay_log"]["dir"] = volatile
        gate.write_config()
        found = world.doctor.examine()[1]["disk_kind"]
        check_eq((found["level"], found["text"]), ("note", f"{volatile} is on tmpfs"), "in memory")
        gate.config["relay_log"]["dir"] = before
        gate.write_config()
    finally:
        subprocess.run(["umount", "-l", volatile], check=True)
    world.doctor.well()


def test_configuration(world):
    """an error in the configuration, and a reload that was refused for it"""
    gate = world.relay.gate
    gate.reload("node: gate1\ntenants: {acme: {mach: []}}\n")
    code, found = world.doctor.examine()
    check_eq((code, found["configuration"]["level"]), (1, "fault"), "an error")
    gate.write_config()
    world.doctor.names("reload", "mach", "sekisho reload")
    gate.reload()
    world.doctor.well()


def test_unloaded(world):
    """a file that the configuration includes, changed, taken away or put back since it was loaded, however old it is"""
    gate, path = world.relay.gate, world.path("more.yaml")
    gate.config["include"] = f"{world.dir}/*.yaml"

    def write(text):
        with open(path, "w") as out:
            out.write(text)
        os.utime(path, (0, 0))

    write("tenants: {more: {match: [{auth: more}]}}\n")
    gate.reload()
    check_eq(world.doctor.well()["reload"]["level"], "ok", "as it was loaded")
    for what, change in (("changed", lambda: write("tenants: {more: {match: [{auth: more}], suspended: true}}\n")),
                         ("taken away", lambda: os.remove(path))):
        change()
        found = world.doctor.well()["reload"]
        check_eq((found["level"], found["fix"]), ("note", "sekisho reload"), what)
        check("changed since" in found["text"], "{}: {}", what, found)
    write("tenants: {more: {match: [{auth: more}]}}\n")
    check_eq(world.doctor.well()["reload"]["level"], "ok", "put back")
    del gate.config["include"]
    gate.reload()
    os.remove(path)
    world.doctor.well()


def test_return_path_dns(world):
    """where bounces of a return path would go: a host, its own address, nowhere, to nobody; and whether SPF lets it send"""
    need_namespaces("--mount", "--net")
    gate, domain = world.relay.gate, "bounce.acme.test"
    path, key = os.path.join(world.etc, "return.yaml"), os.path.join(world.etc, "key")
    with open(path, "w") as out:
        json.dump({"state_dir": world.etc, "tracking": {"key_file": f"{key}.tracking"}, "relay_log": {"dir": world.etc, "key_file": key},
                   "tenants": {"acme": {"match": [{"auth": "acme"}], "return_path": domain}}}, out)
    os.chown(world.etc, 1, 1)
    for command in ("key", "new"), ("key", "rotate"):
        check_eq(world.run([world.program("sekisho"), "-c", path, *command]).returncode, 0, " ".join(command))
    os.chown(world.etc, 0, 0)
    check_eq(os.stat(f"{key}.tracking").st_uid, 1, "whose the key is that root makes for the daemons")
    os.chown(f"{key}.tracking", 0, 0)
    mx = ["MX", "mx.acme.test"]
    for records, name, level, text, fix in (
            ([mx], "return_path_dns", "ok", "mx.acme.test", ""), ([["A", "192.0.2.1"]], "return_path_dns", "ok", "its own address", ""),
            (None, "return_path_dns", "fault", "has no MX", f"{domain}. IN MX"),
            ([["MX", "."]], "return_path_dns", "fault", "takes no mail", f"{domain}. IN MX"),
            ([mx, ["TXT", "not one"]], "return_path_spf", "note", "has no SPF", f'{domain}. IN TXT "v=spf1 mx -all"'),
            ([mx, ["TXT", "v=spf1 mx -all"], ["TXT", "v=spf10 is none"]], "return_path_spf", "ok", "has an SPF", ""),
            ([mx, ["TXT", "v=spf1 -all"]], "return_path_spf", "fault", "nobody sends", f'{domain}. IN TXT "v=spf1 mx -all"'),
            ([mx, ["TXT", "v=spf1 mx ~all"], ["TXT", "V=SPF1"]], "return_path_spf", "fault", "has 2 SPF records", "and no other")):
        done = world.run([sys.executable, "-B", NAMESERVER, json.dumps({domain: records}), world.program("sekisho"), "-c", path, "doctor",
                          "--json", "--etc", world.etc])
        check(done.stdout.startswith("{"), "doctor: {} {}", done.stdout, done.stderr)
        found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}[name]
        check_eq(found["level"], level, f"{records}: {found}")
        check(text in found["text"] and fix in found.get("fix", ""), "{}: {}", records, found)


def test_daemon_gone(world):
    """a gate that does not run"""
    gate = world.relay.gate
    gate.stop()
    code, found = world.doctor.examine()
    check_eq((code, found["daemon"]["level"]), (1, "fault"), "not running")
    gate.start()
    world.doctor.well()
