"""sekisho doctor beside Postfix: each planted fault of its settings by its name, and the line that mends it."""
import grp
import os
import pwd

from lib.doctor import TENANTS, Edited, beside_postfix
from lib.gate import new_tracking_key
from lib.harness import check, check_eq


def setup(world):
    beside_postfix(world)


def main_cf(world, old, new):
    return Edited(f"{world.relay.mta.dir}/etc/main.cf", lambda text: text.replace(old, new))


def master_cf(world, old, new):
    return Edited(f"{world.relay.mta.dir}/etc/master.cf", lambda text: text.replace(old, new))


def postconf(world):
    """As the lines have it, for an instance that is not the host's own."""
    return f"postconf -c {world.relay.mta.dir}/etc"


def test_all_is_right(world):
    """all is right: exit 0, and what is printed fits a terminal"""
    found = world.doctor.well()
    check("smtpd_milters" in found and "key" in found and "store" in found, "looked at: {}", list(found))
    shown = world.relay.gate.tool("doctor", "--all", "--etc", world.etc, "--postfix", f"{world.relay.mta.dir}/etc")
    check_eq(shown.returncode, 0, "exit")
    check(" 0 not seen" in shown.stdout and "0 faults" in shown.stdout, "sum: {}", shown.stdout[-200:])


def test_main_cf(world):
    """each setting of main.cf that breaks a promise, with its line"""
    with main_cf(world, f"smtpd_milters = {world.relay.gate.socket}", "smtpd_milters = inet:localhost:1"):
        code, found = world.doctor.examine()
        check_eq((code, found["smtpd_milters"]["level"], found["non_smtpd_milters"]["level"]), (1, "fault", "fault"), "no milter")
        check_eq(found["smtpd_milters"]["fix"], f"smtpd_milters = {world.relay.gate.socket}, inet:localhost:1", "with the others")
    with main_cf(world, "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters ="):
        world.doctor.names("non_smtpd_milters", 'is ""', "non_smtpd_milters = $smtpd_milters")
    with main_cf(world, "milter_default_action = tempfail", "milter_default_action = accept"):
        world.doctor.names("milter_default_action", "is accept", "milter_default_action = tempfail")
    with main_cf(world, f"\nsmtpd_milters = {world.relay.gate.socket}",
                 f"\nsmtpd_milters = {{ {world.relay.gate.socket}, default_action=accept }}"):
        world.doctor.names("milter_default_action", "is accept", f"smtpd_milters = {world.relay.gate.socket}")
    with main_cf(world, "internal_mail_filter_classes = bounce", "internal_mail_filter_classes = notify"):
        world.doctor.names("internal_mail_filter_classes", "notify", "internal_mail_filter_classes = notify, bounce")
    with main_cf(world, "enable_long_queue_ids = yes", "enable_long_queue_ids = no"):
        world.doctor.names("enable_long_queue_ids", "is no", "enable_long_queue_ids = yes")
    with main_cf(world, "myhostname", "milter_protocol = 2\nmyhostname"):
        world.doctor.names("milter_protocol", "is 2", "milter_protocol = 6")
    world.doctor.well()


def test_order(world):
    """a signer before the gate is named, one behind it is not"""
    gate = world.relay.gate
    with main_cf(world, "\nsmtpd_milters = ", "\nsmtpd_milters = inet:localhost:8891, "):
        check_eq(world.doctor.well()["milter_order"]["level"], "note", "nothing is rewritten")
    with main_cf(world, f"\nsmtpd_milters = {gate.socket}", f"\nsmtpd_milters = {gate.socket}, inet:localhost:8891"):
        check_eq(world.doctor.well()["milter_order"]["level"], "ok", "signed after the gate")


def test_master_cf(world):
    """a listener without milters, and one whose chroot hides the socket"""
    special = f"127.0.0.1:{world.relay.mta.special_port}"
    with master_cf(world, "-o milter_macro_daemon_name=special", "-o smtpd_milters="):
        check_eq(world.doctor.well()["smtpd_milters"]["level"], "note", "a listener on loopback may be a filter's way back")
    with master_cf(world, f"{special} inet n - n - 20 smtpd\n  -o milter_macro_daemon_name=special",
                   f"{world.relay.mta.special_port} inet n - n - 20 smtpd\n  -o smtpd_milters="):
        world.doctor.names("smtpd_milters", str(world.relay.mta.special_port),
              f"{postconf(world)} -P '{world.relay.mta.special_port}/inet/smtpd_milters={world.relay.gate.socket}'")
    others = "{inet:localhost:8891,default_action=accept},inet:localhost:1"
    with master_cf(world, "-o milter_macro_daemon_name=special", f"-o smtpd_milters={others}"):
        setting = f"{special}/inet/smtpd_milters={world.relay.gate.socket},{others}"
        world.doctor.names("smtpd_milters", special, f"{postconf(world)} -P '{setting}'")
        done = world.relay.mta.tool("postconf", "-P", setting)
        check_eq((done.returncode, done.stderr), (0, ""), "postconf takes the line")
        check_eq(world.doctor.well()["smtpd_milters"]["level"], "ok", "mended by the line")
    with master_cf(world, f"{special} inet n - n", f"{special} inet n - y"):
        world.doctor.names("smtpd_milters", "chrooted", "smtpd_milters = unix:milter/sekisho.sock")


def test_ways(world):
    """ways round the gate, and ways through it twice"""
    socket, port = world.relay.gate.socket, world.relay.mta.special_port
    listener = f"127.0.0.1:{port} inet n - n - 20 smtpd\n  -o milter_macro_daemon_name=special"
    with main_cf(world, "myhostname", "receive_override_options = no_address_mappings,no_milters\nmyhostname"):
        world.doctor.names("receive_override_options", "no_milters", "receive_override_options = no_address_mappings")
    with master_cf(world, listener, f"{port} inet n - n - 20 smtpd\n  -o receive_override_options=no_milters"):
        world.doctor.names("receive_override_options", f"{port}/inet", f"{postconf(world)} -P '{port}/inet/receive_override_options='")
    with master_cf(world, "1 pickup\n", "1 pickup\n  -o receive_override_options=no_milters\n"):
        world.doctor.names("receive_override_options", "pickup", f"{postconf(world)} -P 'pickup/unix/receive_override_options='")
    with main_cf(world, f"\nsmtpd_milters = {socket}", f"\nsmtpd_milters =\n  {socket},\n  inet:localhost:7357,\n  {socket}"):
        world.doctor.names("once", "2 times", f"smtpd_milters = {socket}, inet:localhost:7357")
    with main_cf(world, "myhostname", "content_filter = amavis:[127.0.0.1]:10024\nmyhostname"), \
            master_cf(world, "-o milter_macro_daemon_name=special", "-o content_filter="):
        found = world.doctor.well()["once"]
        check_eq((found["level"], found["fix"]), ("note", f"{postconf(world)} -P '127.0.0.1:{port}/inet/smtpd_milters='"), "a filter's way back")
    for line, finding, text in (("smtpd_milter_maps = cidr:/etc/postfix/maps", "smtpd_milter_maps", "cidr:"),
                                ("milter_content_timeout = 10s", "milter_timeouts", "milter_content_timeout is 10s (main.cf)"),
                                ("multi_instance_directories = /etc/postfix-out", "instances", "postfix-out")):
        with main_cf(world, "myhostname", f"{line}\nmyhostname"):
            found = world.doctor.well()[finding]
            check_eq(found["level"], "note", finding)
            check(text in found["text"] and found["why"] and found["fix"], "{}", found)
    with main_cf(world, "milter_connect_timeout = 10s", "milter_connect_timeout = 1"):
        check_eq(world.doctor.well()["milter_timeouts"]["text"], "milter_connect_timeout is 1 (main.cf)", "seconds without their letter")
    with main_cf(world, "myhostname", "smtpd_milters = inet:localhost:1\nmyhostname"):
        world.doctor.names("main_cf_doubles", "smtpd_milters stands twice", "take out the line of smtpd_milters")
    with main_cf(world, "smtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd", "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth"):
        world.doctor.names("sasl", "private/auth", "unix_listener")
    with main_cf(world, f"\nsmtpd_milters = {socket}", f"\nsmtpd_milters = {socket.partition(':')[2]}"):
        code, found = world.doctor.examine()
        check_eq((code, found["smtpd_milters"]["level"]), (1, "fault"), "a path without its unix:")
        check_eq(found["smtpd_milters"]["fix"], f"smtpd_milters = {socket}", "its line")


def test_local(world):
    """"local:" is another word for "unix:" """
    socket = world.relay.gate.socket
    with main_cf(world, f"\nsmtpd_milters = {socket}", f"\nsmtpd_milters = local:{socket.partition(':')[2]}, local:away.sock"):
        found = world.doctor.well()
        check_eq((found["smtpd_milters"]["level"], found["other_milters"]["level"]), ("ok", "note"), "the gate, and one that is away")


def test_identity(world):
    """tenants that are known by what no listener tells"""
    gate, special = world.relay.gate, f"127.0.0.1:{world.relay.mta.special_port}/inet"
    for match, text, fix, line in (
            ({"daemon": "customers"}, "listener customers", f"{postconf(world)} -P '{special}/milter_macro_daemon_name=customers'", None),
            ({"cert": {"issuer": "CN=a", "subject": "CN=b"}}, "certificates", "smtpd_tls_ask_ccert = yes", "smtpd_tls_ask_ccert = yes")):
        gate.config["tenants"] = {**TENANTS, "box": {"match": [match]}}
        gate.write_config()
        found = world.doctor.well()["identity"]
        check_eq((found["level"], found["fix"]), ("note", fix), "nobody tells")
        check(text in found["text"], "{}", found)
        with master_cf(world, "milter_macro_daemon_name=special", "milter_macro_daemon_name=customers"), \
                main_cf(world, "myhostname", f"{line}\nmyhostname" if line else " myhostname"):
            check_eq(world.doctor.well()["identity"]["level"], "ok", "mended by the line")
    gate.config["tenants"] = TENANTS
    gate.write_config()
    world.doctor.well()


def test_login(world):
    """logins over TLS alone, where there is no TLS, are none"""
    check_eq(world.doctor.well()["login"]["level"], "ok", "logins")
    for settings, fix in (("", "smtpd_tls_security_level = may"), ("smtpd_tls_security_level = may\n", "smtpd_tls_chain_files = /"),
                          ("smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /cert.pem\n", None)):
        with main_cf(world, "myhostname", f"smtpd_tls_auth_only = yes\n{settings}myhostname"):
            found = world.doctor.well()["login"]
            check_eq(found["level"], "note" if fix else "ok", f"{settings}: {found}")
            check(not fix or found["fix"].startswith(fix), "{}", found)


def test_group(world):
    """mail_owner's group goes by a name of its own"""
    with main_cf(world, "myhostname", "mail_owner = nobody\nmyhostname"):
        world.doctor.names("socket_access", "nobody cannot write", f"socket_group: {grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name}")


def test_services(world):
    """what one service of master.cf, or the gate's entry of the list, has for itself"""
    socket, port = world.relay.gate.socket, world.relay.mta.special_port
    special, cleanup = "-o milter_macro_daemon_name=special", "unix n - n - 0 cleanup\n"
    for option, name, text, good in (("milter_protocol=2", "milter_protocol", "is 2", "6"),
                                     ("milter_default_action=accept", "milter_default_action", "is accept", "tempfail"),
                                     ("smtpd_proxy_filter=127.0.0.1:10025", "smtpd_proxy_filter", "10025", ""),
                                     ("soft_bounce=yes", "soft_bounce", "is yes", "no")):
        with master_cf(world, special, f"{special} -o {option}"):
            world.doctor.names(name, text, f"{postconf(world)} -P '127.0.0.1:{port}/inet/{option.partition('=')[0]}={good}'")
    with master_cf(world, special, f"{special} -o milter_command_timeout=2s"):
        check_eq(world.doctor.well()["milter_timeouts"]["fix"], f"{postconf(world)} -P '127.0.0.1:{port}/inet/milter_command_timeout=30s'",
                 "its line")
    with master_cf(world, cleanup, f"{cleanup}  -o non_smtpd_milters=inet:localhost:1\n"):
        world.doctor.names("non_smtpd_milters", "localhost:1",
                           f"{postconf(world)} -P 'cleanup/unix/non_smtpd_milters={socket},inet:localhost:1'")
    with master_cf(world, cleanup, f"{cleanup}  -o milter_default_action=accept\n"):
        world.doctor.names("milter_default_action", "is accept (cleanup/unix)",
                           f"{postconf(world)} -P 'cleanup/unix/milter_default_action=tempfail'")
    non_smtpd = "non_smtpd_milters = $smtpd_milters"
    with main_cf(world, non_smtpd, f"non_smtpd_milters = {{ {socket}, default_action=accept, protocol=6 }}"):
        world.doctor.names("milter_default_action", "is accept (main.cf)", f"non_smtpd_milters = {socket}")
    with main_cf(world, non_smtpd, f"non_smtpd_milters = {{ {socket}, protocol=2 }}"):
        world.doctor.names("milter_protocol", "is 2 (main.cf)", f"non_smtpd_milters = {socket}")
    with main_cf(world, non_smtpd, f"{non_smtpd}, {socket}"):
        world.doctor.names("once", "cleanup/unix comes to the gate 2 times", f"non_smtpd_milters = {socket}")
    with main_cf(world, non_smtpd, f"non_smtpd_milters = inet:localhost:8891, {socket}"):
        check("localhost:8891" in world.doctor.well()["milter_order"]["text"], "a signer before the gate for local mail")
    with main_cf(world, f"\nsmtpd_milters = {socket}", "\nsmtpd_milters = unix:milter/sekisho.sokc, inet:localhost:7357"):
        check_eq(world.doctor.examine()[1]["smtpd_milters"]["fix"], f"smtpd_milters = {socket}, inet:localhost:7357",
                 "a name with a slip in it goes")


def test_another_milter(world):
    """a socket of another milter that is not there"""
    socket = world.relay.gate.socket
    others = "{ inet:localhost:7357, command_timeout=20s }"
    with main_cf(world, f"\nsmtpd_milters = {socket}", f"\nsmtpd_milters = {socket}, unix:opendkim/away.sock, {others}"):
        found = world.doctor.well()["other_milters"]
        check_eq((found["level"], found["fix"]), ("note", f"smtpd_milters = {socket}, {others}"), "away")
        check("unix:opendkim/away.sock" in found["text"], "{}", found)
    check_eq(world.doctor.well()["other_milters"]["level"], "ok", "alone")


def test_chroot_by_default(world):
    """a "-" of master.cf means a chroot where main.cf has no compatibility_level"""
    special = f"127.0.0.1:{world.relay.mta.special_port}"
    with master_cf(world, f"{special} inet n - n", f"{special} inet n - -"):
        world.doctor.well()
        with main_cf(world, "compatibility_level = 3.6", "compatibility_level = 0"):
            check_eq(world.doctor.examine()[1]["smtpd_milters"]["level"], "fault", "chrooted")


def test_mail(world):
    """what Postfix does to mail itself: its size, return paths, who may speak for others, and whether it runs"""
    gate, mta, domain = world.relay.gate, world.relay.mta, "bounce.acme.test"
    check_eq(world.doctor.well()["postfix"]["level"], "ok", "Postfix runs")
    gate.config["tenants"] = {"acme": {**TENANTS["acme"], "size_max": "20MiB", "return_path": domain}}
    gate.config["tracking"] = {"key_file": new_tracking_key(world)}
    gate.write_config()
    with main_cf(world, "message_size_limit = 104857600", "message_size_limit = 10240000"):
        found = world.doctor.examine()[1]["message_size_limit"]
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
            found = world.doctor.examine()[1]["return_paths"]
            check_eq(found["level"], level, f"{settings}: {found}")
            check(text in found["text"] and fix in found.get("fix", ""), "{}: {}", settings, found)
    gate.config["tenants"] = TENANTS
    del gate.config["tracking"]
    gate.write_config()
    with main_cf(world, "smtpd_authorized_xclient_hosts = 127.0.0.0/8", "smtpd_authorized_xclient_hosts = 127.0.0.0/8, 192.0.2.0/24"):
        found = world.doctor.well()["xclient"]
        check_eq((found["level"], found["fix"]), ("note", "smtpd_authorized_xclient_hosts ="), "another host's word")
    with Edited(f"{mta.dir}/spool/pid/master.pid", lambda text: "1\n"):
        world.doctor.names("postfix", "does not run", f"postfix -c {mta.dir}/etc start")
    world.doctor.well()


def test_mail_log(world):
    """the MTA's log that the gate is to follow: away, or not for its eyes"""
    gate, path, theirs = world.relay.gate, world.path("followed"), f"{world.relay.mta.dir}/maillog"
    found = world.doctor.well()["maillog"]
    check_eq((found["level"], found["fix"]), ("note", f"sekisho.yaml: maillog: {theirs}"), "none is read")
    gate.config["maillog"] = {"path": path}
    gate.write_config()
    world.doctor.names("maillog", f"Postfix logs to {theirs}", f"sekisho.yaml: maillog: {theirs}")
    with main_cf(world, f"maillog_file = {theirs}", "maillog_file ="):
        world.doctor.names("maillog", path, "journal: system")
        with open(path, "w"):
            pass
        check_eq(world.doctor.well()["maillog"]["level"], "ok", "it is there")
        with main_cf(world, "myhostname", "enable_original_recipient = no\nmyhostname"):
            world.doctor.names("original_recipient", "is no (main.cf)", "enable_original_recipient = yes")
    os.remove(path)
    os.symlink(theirs, path)
    check_eq(world.doctor.well()["maillog"]["level"], "ok", "the same file by another name")
    del gate.config["maillog"]
    gate.write_config()
    gate.reload()
    world.doctor.well()


def test_japanese(world):
    """the same in Japanese, sentence and reason; the line stays as it is"""
    with main_cf(world, "myhostname", "receive_override_options = no_milters\nmyhostname"):
        shown = world.doctor.run("--lang", "ja").stdout
    check("異常" in shown and "no_milters があります" in shown and "-> receive_override_options =" in shown, "{}", shown)
