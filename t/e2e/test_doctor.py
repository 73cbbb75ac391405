"""sekisho doctor names each planted fault and the line that mends it."""
import grp
import json
import os
import pwd
import shutil
import subprocess
import sys

from lib.doctor import Doctor, Edited
from lib.gate import new_tracking_key
from lib.harness import check, check_eq, need_namespaces
from lib.relay import Relay

NAMESERVER = os.path.join(os.path.dirname(__file__), "lib", "nameserver.py")
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}], "senders": ["@acme.test"],
                    "quotas": [{"name": "hourly", "limit": "5/hour", "counts": "recipients"}]}}


def setup(world):
    world.relay = Relay(world, TENANTS)
    world.etc = world.new_dir("etc")
    os.chmod(world.relay.gate.log_dir, 0o750)


def doctor(world, mta=None):
    return Doctor(world.relay.gate, world.etc, *(mta or ("--postfix", f"{world.relay.mta.dir}/etc")))


def examine(world):
    return doctor(world).examine()


def names(world, name, text, fix, mta=None):
    doctor(world, mta).names(name, text, fix)


def well(world, mta=None):
    return doctor(world, mta).well()


def main_cf(world, old, new):
    return Edited(f"{world.relay.mta.dir}/etc/main.cf", lambda text: text.replace(old, new))


def master_cf(world, old, new):
    return Edited(f"{world.relay.mta.dir}/etc/master.cf", lambda text: text.replace(old, new))


def postconf(world):
    """As the lines have it, for an instance that is not the host's own."""
    return f"postconf -c {world.relay.mta.dir}/etc"


def test_all_is_right(world):
    """all is right: exit 0, and what is printed fits a terminal"""
    found = well(world)
    check("smtpd_milters" in found and "key" in found and "store" in found, "looked at: {}", list(found))
    shown = world.relay.gate.tool("doctor", "--all", "--etc", world.etc, "--postfix", f"{world.relay.mta.dir}/etc")
    check_eq(shown.returncode, 0, "exit")
    check(" 0 not seen" in shown.stdout and "0 faults" in shown.stdout, "sum: {}", shown.stdout[-200:])


def test_main_cf(world):
    """each setting of main.cf that breaks a promise, with its line"""
    with main_cf(world, f"smtpd_milters = {world.relay.gate.socket}", "smtpd_milters = inet:localhost:1"):
        code, found = examine(world)
        check_eq((code, found["smtpd_milters"]["level"], found["non_smtpd_milters"]["level"]), (1, "fault", "fault"), "no milter")
        check_eq(found["smtpd_milters"]["fix"], f"smtpd_milters = {world.relay.gate.socket}, inet:localhost:1", "with the others")
    with main_cf(world, "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters ="):
        names(world, "non_smtpd_milters", 'is ""', "non_smtpd_milters = $smtpd_milters")
    with main_cf(world, "milter_default_action = tempfail", "milter_default_action = accept"):
        names(world, "milter_default_action", "is accept", "milter_default_action = tempfail")
    with main_cf(world, f"\nsmtpd_milters = {world.relay.gate.socket}",
                 f"\nsmtpd_milters = {{ {world.relay.gate.socket}, default_action=accept }}"):
        names(world, "milter_default_action", "is accept", f"smtpd_milters = {world.relay.gate.socket}")
    with main_cf(world, "internal_mail_filter_classes = bounce", "internal_mail_filter_classes = notify"):
        names(world, "internal_mail_filter_classes", "notify", "internal_mail_filter_classes = notify, bounce")
    with main_cf(world, "enable_long_queue_ids = yes", "enable_long_queue_ids = no"):
        names(world, "enable_long_queue_ids", "is no", "enable_long_queue_ids = yes")
    with main_cf(world, "myhostname", "milter_protocol = 2\nmyhostname"):
        names(world, "milter_protocol", "is 2", "milter_protocol = 6")
    well(world)


def test_order(world):
    """a signer before the gate is named, one behind it is not"""
    gate = world.relay.gate
    with main_cf(world, "\nsmtpd_milters = ", "\nsmtpd_milters = inet:localhost:8891, "):
        check_eq(well(world)["milter_order"]["level"], "note", "nothing is rewritten")
    with main_cf(world, f"\nsmtpd_milters = {gate.socket}", f"\nsmtpd_milters = {gate.socket}, inet:localhost:8891"):
        check_eq(well(world)["milter_order"]["level"], "ok", "signed after the gate")


def test_master_cf(world):
    """a listener without milters, and one whose chroot hides the socket"""
    special = f"127.0.0.1:{world.relay.mta.special_port}"
    with master_cf(world, "-o milter_macro_daemon_name=special", "-o smtpd_milters="):
        check_eq(well(world)["smtpd_milters"]["level"], "note", "a listener on loopback may be a filter's way back")
    with master_cf(world, f"{special} inet n - n - 20 smtpd\n  -o milter_macro_daemon_name=special",
                   f"{world.relay.mta.special_port} inet n - n - 20 smtpd\n  -o smtpd_milters="):
        names(world, "smtpd_milters", str(world.relay.mta.special_port),
              f"{postconf(world)} -P '{world.relay.mta.special_port}/inet/smtpd_milters={world.relay.gate.socket}'")
    others = "{inet:localhost:8891,default_action=accept},inet:localhost:1"
    with master_cf(world, "-o milter_macro_daemon_name=special", f"-o smtpd_milters={others}"):
        setting = f"{special}/inet/smtpd_milters={world.relay.gate.socket},{others}"
        names(world, "smtpd_milters", special, f"{postconf(world)} -P '{setting}'")
        done = world.relay.mta.tool("postconf", "-P", setting)
        check_eq((done.returncode, done.stderr), (0, ""), "postconf takes the line")
        check_eq(well(world)["smtpd_milters"]["level"], "ok", "mended by the line")
    with master_cf(world, f"{special} inet n - n", f"{special} inet n - y"):
        names(world, "smtpd_milters", "chrooted", "smtpd_milters = unix:milter/sekisho.sock")


def test_ways(world):
    """ways round the gate, and ways through it twice"""
    socket, port = world.relay.gate.socket, world.relay.mta.special_port
    listener = f"127.0.0.1:{port} inet n - n - 20 smtpd\n  -o milter_macro_daemon_name=special"
    with main_cf(world, "myhostname", "receive_override_options = no_address_mappings,no_milters\nmyhostname"):
        names(world, "receive_override_options", "no_milters", "receive_override_options = no_address_mappings")
    with master_cf(world, listener, f"{port} inet n - n - 20 smtpd\n  -o receive_override_options=no_milters"):
        names(world, "receive_override_options", f"{port}/inet", f"{postconf(world)} -P '{port}/inet/receive_override_options='")
    with master_cf(world, "1 pickup\n", "1 pickup\n  -o receive_override_options=no_milters\n"):
        names(world, "receive_override_options", "pickup", f"{postconf(world)} -P 'pickup/unix/receive_override_options='")
    with main_cf(world, f"\nsmtpd_milters = {socket}", f"\nsmtpd_milters =\n  {socket},\n  inet:localhost:7357,\n  {socket}"):
        names(world, "once", "2 times", f"smtpd_milters = {socket}, inet:localhost:7357")
    with main_cf(world, "myhostname", "content_filter = amavis:[127.0.0.1]:10024\nmyhostname"), \
            master_cf(world, "-o milter_macro_daemon_name=special", "-o content_filter="):
        found = well(world)["once"]
        check_eq((found["level"], found["fix"]), ("note", f"{postconf(world)} -P '127.0.0.1:{port}/inet/smtpd_milters='"), "a filter's way back")
    for line, finding, text in (("smtpd_milter_maps = cidr:/etc/postfix/maps", "smtpd_milter_maps", "cidr:"),
                                ("milter_content_timeout = 10s", "milter_timeouts", "milter_content_timeout is 10s (main.cf)"),
                                ("multi_instance_directories = /etc/postfix-out", "instances", "postfix-out")):
        with main_cf(world, "myhostname", f"{line}\nmyhostname"):
            found = well(world)[finding]
            check_eq(found["level"], "note", finding)
            check(text in found["text"] and found["why"] and found["fix"], "{}", found)
    with main_cf(world, "milter_connect_timeout = 10s", "milter_connect_timeout = 1"):
        check_eq(well(world)["milter_timeouts"]["text"], "milter_connect_timeout is 1 (main.cf)", "seconds without their letter")
    with main_cf(world, "myhostname", "smtpd_milters = inet:localhost:1\nmyhostname"):
        names(world, "main_cf_doubles", "smtpd_milters stands twice", "take out the line of smtpd_milters")
    with main_cf(world, "smtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd", "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth"):
        names(world, "sasl", "private/auth", "unix_listener")
    with main_cf(world, f"\nsmtpd_milters = {socket}", f"\nsmtpd_milters = {socket.partition(':')[2]}"):
        code, found = examine(world)
        check_eq((code, found["smtpd_milters"]["level"]), (1, "fault"), "a path without its unix:")
        check_eq(found["smtpd_milters"]["fix"], f"smtpd_milters = {socket}", "its line")


def test_local(world):
    """"local:" is another word for "unix:" """
    socket = world.relay.gate.socket
    with main_cf(world, f"\nsmtpd_milters = {socket}", f"\nsmtpd_milters = local:{socket.partition(':')[2]}, local:away.sock"):
        found = well(world)
        check_eq((found["smtpd_milters"]["level"], found["other_milters"]["level"]), ("ok", "note"), "the gate, and one that is away")


def test_identity(world):
    """tenants that are known by what no listener tells"""
    gate, special = world.relay.gate, f"127.0.0.1:{world.relay.mta.special_port}/inet"
    for match, text, fix, line in (
            ({"daemon": "customers"}, "listener customers", f"{postconf(world)} -P '{special}/milter_macro_daemon_name=customers'", None),
            ({"cert": {"issuer": "CN=a", "subject": "CN=b"}}, "certificates", "smtpd_tls_ask_ccert = yes", "smtpd_tls_ask_ccert = yes")):
        gate.config["tenants"] = {**TENANTS, "box": {"match": [match]}}
        gate.write_config()
        found = well(world)["identity"]
        check_eq((found["level"], found["fix"]), ("note", fix), "nobody tells")
        check(text in found["text"], "{}", found)
        with master_cf(world, "milter_macro_daemon_name=special", "milter_macro_daemon_name=customers"), \
                main_cf(world, "myhostname", f"{line}\nmyhostname" if line else " myhostname"):
            check_eq(well(world)["identity"]["level"], "ok", "mended by the line")
    gate.config["tenants"] = TENANTS
    gate.write_config()
    well(world)


def test_login(world):
    """logins over TLS alone, where there is no TLS, are none"""
    check_eq(well(world)["login"]["level"], "ok", "logins")
    for settings, fix in (("", "smtpd_tls_security_level = may"), ("smtpd_tls_security_level = may\n", "smtpd_tls_chain_files = /"),
                          ("smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /cert.pem\n", None)):
        with main_cf(world, "myhostname", f"smtpd_tls_auth_only = yes\n{settings}myhostname"):
            found = well(world)["login"]
            check_eq(found["level"], "note" if fix else "ok", f"{settings}: {found}")
            check(not fix or found["fix"].startswith(fix), "{}", found)


def test_group(world):
    """mail_owner's group goes by a name of its own"""
    with main_cf(world, "myhostname", "mail_owner = nobody\nmyhostname"):
        names(world, "socket_access", "nobody cannot write", f"socket_group: {grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name}")


def test_services(world):
    """what one service of master.cf, or the gate's entry of the list, has for itself"""
    socket, port = world.relay.gate.socket, world.relay.mta.special_port
    special, cleanup = "-o milter_macro_daemon_name=special", "unix n - n - 0 cleanup\n"
    for option, name, text, good in (("milter_protocol=2", "milter_protocol", "is 2", "6"),
                                     ("milter_default_action=accept", "milter_default_action", "is accept", "tempfail"),
                                     ("smtpd_proxy_filter=127.0.0.1:10025", "smtpd_proxy_filter", "10025", ""),
                                     ("soft_bounce=yes", "soft_bounce", "is yes", "no")):
        with master_cf(world, special, f"{special} -o {option}"):
            names(world, name, text, f"{postconf(world)} -P '127.0.0.1:{port}/inet/{option.partition('=')[0]}={good}'")
    with master_cf(world, special, f"{special} -o milter_command_timeout=2s"):
        check_eq(well(world)["milter_timeouts"]["fix"], f"{postconf(world)} -P '127.0.0.1:{port}/inet/milter_command_timeout=30s'", "its line")
    with master_cf(world, cleanup, f"{cleanup}  -o non_smtpd_milters=inet:localhost:1\n"):
        names(world, "non_smtpd_milters", "localhost:1", f"{postconf(world)} -P 'cleanup/unix/non_smtpd_milters={socket},inet:localhost:1'")
    with master_cf(world, cleanup, f"{cleanup}  -o milter_default_action=accept\n"):
        names(world, "milter_default_action", "is accept (cleanup/unix)", f"{postconf(world)} -P 'cleanup/unix/milter_default_action=tempfail'")
    non_smtpd = "non_smtpd_milters = $smtpd_milters"
    with main_cf(world, non_smtpd, f"non_smtpd_milters = {{ {socket}, default_action=accept, protocol=6 }}"):
        names(world, "milter_default_action", "is accept (main.cf)", f"non_smtpd_milters = {socket}")
    with main_cf(world, non_smtpd, f"non_smtpd_milters = {{ {socket}, protocol=2 }}"):
        names(world, "milter_protocol", "is 2 (main.cf)", f"non_smtpd_milters = {socket}")
    with main_cf(world, non_smtpd, f"{non_smtpd}, {socket}"):
        names(world, "once", "cleanup/unix comes to the gate 2 times", f"non_smtpd_milters = {socket}")
    with main_cf(world, non_smtpd, f"non_smtpd_milters = inet:localhost:8891, {socket}"):
        check("localhost:8891" in well(world)["milter_order"]["text"], "a signer before the gate for local mail")
    with main_cf(world, f"\nsmtpd_milters = {socket}", "\nsmtpd_milters = unix:milter/sekisho.sokc, inet:localhost:7357"):
        check_eq(examine(world)[1]["smtpd_milters"]["fix"], f"smtpd_milters = {socket}, inet:localhost:7357", "a name with a slip in it goes")


def test_another_milter(world):
    """a socket of another milter that is not there"""
    socket = world.relay.gate.socket
    others = "{ inet:localhost:7357, command_timeout=20s }"
    with main_cf(world, f"\nsmtpd_milters = {socket}", f"\nsmtpd_milters = {socket}, unix:opendkim/away.sock, {others}"):
        found = well(world)["other_milters"]
        check_eq((found["level"], found["fix"]), ("note", f"smtpd_milters = {socket}, {others}"), "away")
        check("unix:opendkim/away.sock" in found["text"], "{}", found)
    check_eq(well(world)["other_milters"]["level"], "ok", "alone")


def test_chroot_by_default(world):
    """a "-" of master.cf means a chroot where main.cf has no compatibility_level"""
    special = f"127.0.0.1:{world.relay.mta.special_port}"
    with master_cf(world, f"{special} inet n - n", f"{special} inet n - -"):
        well(world)
        with main_cf(world, "compatibility_level = 3.6", "compatibility_level = 0"):
            check_eq(examine(world)[1]["smtpd_milters"]["level"], "fault", "chrooted")


def test_mail(world):
    """what Postfix does to mail itself: its size, return paths, who may speak for others, and whether it runs"""
    gate, mta, domain = world.relay.gate, world.relay.mta, "bounce.acme.test"
    check_eq(well(world)["postfix"]["level"], "ok", "Postfix runs")
    gate.config["tenants"] = {"acme": {**TENANTS["acme"], "size_max": "20MiB", "return_path": domain}}
    gate.config["tracking"] = {"key_file": new_tracking_key(world)}
    gate.write_config()
    with main_cf(world, "message_size_limit = 104857600", "message_size_limit = 10240000"):
        found = examine(world)[1]["message_size_limit"]
        check_eq((found["level"], found["fix"]), ("note", "message_size_limit = 20971520"), "less than the tenant may")
    for settings, level, text, fix in (
            ("relay_domains = other.test", "fault", "does not take mail", f"relay_domains = other.test, {domain}"),
            (f"relay_domains = other.test, {domain}", "ok", "takes mail", ""),
            ("relay_domains = acme.test", "ok", "takes mail", ""),
            (f"relay_domains = static:{domain}", "ok", "takes mail", ""),
            (f"relay_domains = {domain}\nrelay_recipient_maps = inline:{{postmaster@{domain}=x}}", "fault", "relay_domains, whose users",
             f'relay_recipient_maps: a line "@{domain} OK"'),
            (f"relay_domains = {domain}\nrelay_recipient_maps = inline:{{@{domain}=x}}", "ok", "takes mail", ""),
            (f"relay_domains =\nvirtual_mailbox_domains = {domain}\nvirtual_mailbox_maps = inline:{{a@{domain}=x}}", "fault",
             "virtual_mailbox_domains, whose users", f"relay_domains = {domain}"),
            ("virtual_mailbox_domains = acme.test\nrelay_domains =", "fault", "does not take mail", f"relay_domains = {domain}")):
        with main_cf(world, "myhostname", f"{settings}\nmyhostname"):
            found = examine(world)[1]["return_paths"]
            check_eq(found["level"], level, f"{settings}: {found}")
            check(text in found["text"] and fix in found.get("fix", ""), "{}: {}", settings, found)
    gate.config["tenants"] = TENANTS
    del gate.config["tracking"]
    gate.write_config()
    with main_cf(world, "smtpd_authorized_xclient_hosts = 127.0.0.0/8", "smtpd_authorized_xclient_hosts = 127.0.0.0/8, 192.0.2.0/24"):
        found = well(world)["xclient"]
        check_eq((found["level"], found["fix"]), ("note", "smtpd_authorized_xclient_hosts ="), "another host's word")
    with Edited(f"{mta.dir}/spool/pid/master.pid", lambda text: "1\n"):
        names(world, "postfix", "does not run", f"postfix -c {mta.dir}/etc start")
    well(world)


def test_mail_log(world):
    """the MTA's log that the gate is to follow: away, or not for its eyes"""
    gate, path, theirs = world.relay.gate, world.path("followed"), f"{world.relay.mta.dir}/maillog"
    found = well(world)["maillog"]
    check_eq((found["level"], found["fix"]), ("note", f"sekisho.yaml: maillog: {theirs}"), "none is read")
    gate.config["maillog"] = {"path": path}
    gate.write_config()
    names(world, "maillog", f"Postfix logs to {theirs}", f"sekisho.yaml: maillog: {theirs}")
    with main_cf(world, f"maillog_file = {theirs}", "maillog_file ="):
        names(world, "maillog", path, "journal: system")
        with open(path, "w"):
            pass
        check_eq(well(world)["maillog"]["level"], "ok", "it is there")
        with main_cf(world, "myhostname", "enable_original_recipient = no\nmyhostname"):
            names(world, "original_recipient", "is no (main.cf)", "enable_original_recipient = yes")
    os.remove(path)
    os.symlink(theirs, path)
    check_eq(well(world)["maillog"]["level"], "ok", "the same file by another name")
    del gate.config["maillog"]
    gate.write_config()
    gate.reload()
    well(world)


def test_owner(world):
    """the gate's own user, as the owner of its state says: a key and a log that are not his"""
    need_namespaces("--mount")
    gate = world.relay.gate
    gate.stop()
    try:
        os.chown(f"{gate.dir}/state", 1, 1)
        found = examine(world)[1]
        check_eq((found["key"]["level"], found["key"]["fix"]), ("fault", f"chown daemon {gate.dir}/relay-log.key"), "the key's owner")
        check_eq(found["relay_log"]["level"], "fault", "the log's")
    finally:
        os.chown(f"{gate.dir}/state", 0, 0)
        gate.start()
    well(world)


def test_tracking_key(world):
    """the key of tracked links and return paths: away, none, another user's, and good"""
    gate, key = world.relay.gate, world.path("links.key")

    def look():
        found = examine(world)[1]["tracking_key"]
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
    well(world)


def test_commands(world):
    """a program that is to be told of alarms: away, and one that nobody can run"""
    gate, command = world.relay.gate, world.path("tell")
    gate.config["notify"] = {"command": command}
    gate.write_config()
    names(world, "commands", f"{command}: No such file", "notify: {command: ")
    with open(command, "w") as out:
        out.write("#!/bin/sh\n")
    os.chmod(command, 0o644)
    names(world, "commands", f"cannot run {command} (mode 0644)", f"chmod a+rx {command}")
    os.chmod(command, 0o755)
    check_eq(well(world)["commands"]["level"], "ok", "it can be run")
    del gate.config["notify"]
    gate.write_config()
    well(world)


def test_japanese(world):
    """the same in Japanese, sentence and reason; the line stays as it is"""
    with main_cf(world, "myhostname", "receive_override_options = no_milters\nmyhostname"):
        shown = doctor(world).run("--lang", "ja").stdout
    check("異常" in shown and "no_milters があります" in shown and "-> receive_override_options =" in shown, "{}", shown)


def test_socket(world):
    """a socket that everybody, or nobody, may write to"""
    path = world.relay.gate.socket.partition(":")[2]
    mode, group = os.stat(path).st_mode & 0o7777, os.stat(path).st_gid
    try:
        os.chmod(path, 0o666)
        names(world, "socket_access", "mode 0666", "0660")
        os.chmod(path, 0o660)
        os.chown(path, -1, grp.getgrnam("daemon").gr_gid)
        names(world, "socket_access", "postfix cannot write", "socket_group: postfix")
    finally:
        os.chmod(path, mode)
        os.chown(path, -1, group)
    well(world)


def test_key(world):
    """a key that others can read, and a public key that is away or another's"""
    key = f"{world.relay.gate.dir}/relay-log.key"
    os.chmod(key, 0o644)
    code, found = examine(world)
    check_eq((code, found["configuration"]["level"]), (1, "fault"), "an open key")
    check_eq(found["configuration"]["fix"], f"chmod 600 {key}", "the line")
    os.chmod(key, 0o600)
    os.rename(f"{key}.pub", f"{key}.away")
    names(world, "public_key", key, "openssl pkey")
    world.relay.gate.tool_ok("key", "new", f"{world.dir}/other.key")
    shutil.copy(f"{world.dir}/other.key.pub", f"{key}.pub")
    names(world, "public_key", "does not hold", "openssl pkey")
    os.replace(f"{key}.away", f"{key}.pub")
    well(world)


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
        check_eq(well(world)["logrotate"]["level"], level, text)
    with open(rotate, "w") as out:
        out.write("/var/log/syslog\n/var/log/mail.log\n{\n\trotate 12\n\tmonthly\n}\n")
    names(world, "logrotate", "403 days", "maxage")
    with open(rotate, "w") as out:
        out.write("# /var/log/mail.log has a file of its own\n/var/log/cron.log {\n\trotate 52\n\tweekly\n}\n")
    check_eq(well(world)["logrotate"]["level"], "ok", "a remark")
    for lines in ("rotate 4\n\tsize 100M", "rotate -1\n\tweekly", "rotate\t52\n\tweekly"):
        with open(rotate, "w") as out:
            out.write(f"/var/log/mail.log\n{{\n\t{lines}\n}}\n")
        names(world, "logrotate", "days", "maxage")
    with open(rotate, "w") as out:
        out.write("/var/log/*.log {\n\trotate 52\n\tweekly\n}\n")
    names(world, "logrotate", "371 days", "maxage")
    gate = world.relay.gate
    for keep, line in (("20d", "daily, rotate 18"), ("1d", "daily, rotate 0")):
        gate.config["relay_log"]["classes"] = {"relay": keep}
        gate.write_config()
        names(world, "logrotate", f"is kept {keep[:-1]}", line)
        with open(rotate, "w") as out:
            out.write("/var/log/*.log {\n\t" + line.replace(", ", "\n\t") + "\n}\n")
        check_eq(well(world)["logrotate"]["level"], "ok", f"{keep}, mended by the line")
        with open(rotate, "w") as out:
            out.write("/var/log/*.log {\n\trotate 52\n\tweekly\n}\n")
    del gate.config["relay_log"]["classes"]
    gate.write_config()
    os.remove(rotate)
    journald = f"{world.etc}/systemd/journald.conf"
    with open(journald, "w") as out:
        out.write("[Journal]\n#MaxRetentionSec=0\n")
    check_eq(well(world)["journald"]["level"], "note", "bounded by its size alone")
    with open(f"{world.etc}/systemd/journald.conf.d/long.conf", "w") as out:
        out.write("[Journal]\nMaxRetentionSec=6month\n")
    names(world, "journald", "183 days", "journald.conf.d/long.conf: MaxRetentionSec=60day")
    with open(f"{world.etc}/systemd/journald.conf.d/long.conf", "w") as out:
        out.write("[Journal]\nMaxRetentionSec=8weeks 5days\n")
    names(world, "journald", "61 days", "MaxRetentionSec=60day")
    shutil.rmtree(f"{world.etc}/systemd")
    well(world)


def test_own_log(world):
    """the log that Postfix writes by itself, which nothing takes away; the line is for a shell"""
    os.makedirs(f"{world.etc}/logrotate.d", exist_ok=True)
    found = well(world)["maillog_file"]
    check_eq(found["level"], "note", "kept for ever")
    subprocess.run(["sh", "-c", found["fix"]], check=True)
    found = well(world)
    check_eq((found["maillog_file"]["level"], found["logrotate"]["level"]), ("ok", "ok"), "mended by the line")
    os.remove(f"{world.etc}/logrotate.d/postfix")


def test_open_configuration(world):
    """a configuration that every user of the host can change, or put another in place of"""
    gate = world.relay.gate
    for path in gate.config_path, os.path.dirname(gate.config_path):
        mode = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode | 0o002)
        names(world, "configuration_owner", f"can change {path}", f"chmod o-w {path}")
        os.chmod(path, mode)
    well(world)


def test_open_log(world):
    """a log that every user of the host can change"""
    gate = world.relay.gate
    record = next(name for name in os.listdir(f"{gate.log_dir}/ops") if name.endswith(".jsonl"))
    for path in gate.log_dir, f"{gate.log_dir}/ops", f"{gate.log_dir}/ops/{record}":
        mode, dir_mode = os.stat(path).st_mode & 0o7777, os.stat(gate.log_dir).st_mode & 0o7777
        os.chmod(gate.log_dir, 0o751)
        os.chmod(path, mode | 0o003)
        names(world, "relay_log_privacy", f"can change {path}", f"chmod -R o-rwx {gate.log_dir}")
        os.chmod(path, mode)
        os.chmod(gate.log_dir, dir_mode)
    well(world)


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
            names(world, "cleaners", path, f'{path}: take out "{line}"')
        else:
            check_eq(well(world)["cleaners"]["level"], "ok", line)
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
        found = examine(world)[1]["disk_kind"]
        check_eq((found["level"], found["text"]), ("note", f"{volatile} is on tmpfs"), "in memory")
        gate.config["relay_log"]["dir"] = before
        gate.write_config()
    finally:
        subprocess.run(["umount", "-l", volatile], check=True)
    well(world)


def test_configuration(world):
    """an error in the configuration, and a reload that was refused for it"""
    gate = world.relay.gate
    gate.reload("node: gate1\ntenants: {acme: {mach: []}}\n")
    code, found = examine(world)
    check_eq((code, found["configuration"]["level"]), (1, "fault"), "an error")
    gate.write_config()
    names(world, "reload", "mach", "sekisho reload")
    gate.reload()
    well(world)


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
    check_eq(well(world)["reload"]["level"], "ok", "as it was loaded")
    for what, change in (("changed", lambda: write("tenants: {more: {match: [{auth: more}], suspended: true}}\n")),
                         ("taken away", lambda: os.remove(path))):
        change()
        found = well(world)["reload"]
        check_eq((found["level"], found["fix"]), ("note", "sekisho reload"), what)
        check("changed since" in found["text"], "{}: {}", what, found)
    write("tenants: {more: {match: [{auth: more}]}}\n")
    check_eq(well(world)["reload"]["level"], "ok", "put back")
    del gate.config["include"]
    gate.reload()
    os.remove(path)
    well(world)


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
    code, found = examine(world)
    check_eq((code, found["daemon"]["level"]), (1, "fault"), "not running")
    gate.start()
    well(world)
