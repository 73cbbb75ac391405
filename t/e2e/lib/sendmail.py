"""A private Sendmail out of unpacked packages: it cannot be installed beside Postfix, and needs not be.

SENDMAIL_ROOT names a directory into which sendmail-bin, sendmail-cf and libwrap0 were unpacked (`dpkg -x`);
contrib/test.sh makes one. What Sendmail says goes to syslog alone, so tests look at what arrives and what is queued.
"""
import glob
import os
import pwd
import shutil

from .harness import Skipped, check, free_port, port_answers, wait_for
from .postfix import Saslauthd

USER, GROUP = "nobody", "nogroup"
LINES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../contrib/sendmail/sekisho.mc")

MC = """\
divert(0)dnl
OSTYPE(`linux')dnl
define(`MAIL_SETTINGS_DIR', `{dir}/')dnl
define(`QUEUE_DIR', `{dir}/queue')dnl
define(`confPID_FILE', `{dir}/pid')dnl
define(`STATUS_FILE', `{dir}/statistics')dnl
define(`HELP_FILE', `')dnl
define(`ALIAS_FILE', `{dir}/aliases')dnl
define(`confSERVICE_SWITCH_FILE', `{dir}/service.switch')dnl
define(`confDOMAIN_NAME', `sm.sekisho.test')dnl
define(`confDONT_PROBE_INTERFACES', `true')dnl
define(`confRUN_AS_USER', `{user}:{group}')dnl
define(`confTRUSTED_USER', `{user}')dnl
define(`confTO_IDENT', `0')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confDELAY_LA', `1000')dnl
define(`confBAD_RCPT_THROTTLE', `0')dnl
define(`confMAX_RCPTS_PER_MESSAGE', `0')dnl
define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl
TRUST_AUTH_MECH(`PLAIN LOGIN')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {sink}')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`promiscuous_relay')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port={port}, Addr=127.0.0.1')dnl
define(`confSEKISHO_SOCKET', `{milter}')dnl
include(`{lines}')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
ESASL_CONF_PATH={dir}/sasl
LOCAL_RULESETS
SLocal_check_rcpt
R<refused@mta.test>	$#error $@ 5.7.1 $: "554 5.7.1 refused by the MTA itself"
"""

SMTPD_CONF = "pwcheck_method: saslauthd\nsaslauthd_path: {dir}/saslauthd\nmech_list: PLAIN LOGIN\n"
SWITCH = "hosts files\naliases files\npasswd files\n"


class Sendmail:
    def __init__(self, world, sink_port, milter, logins):
        root = os.environ.get("SENDMAIL_ROOT", "")
        binary = f"{root}/usr/libexec/sendmail/sendmail"
        if not os.path.exists(binary):
            raise Skipped("no Sendmail is unpacked in SENDMAIL_ROOT")
        self.world, self.dir, self.port = world, world.new_safe_dir("sendmail"), free_port()
        self.program = f"{self.dir}/sendmail"
        shutil.copyfile(binary, self.program)          # a copy loses setgid, which would ignore LD_LIBRARY_PATH
        os.chmod(self.program, 0o755)
        self.env = {**os.environ, "LD_LIBRARY_PATH": ":".join(glob.glob(f"{root}/**/lib/*-linux-gnu", recursive=True))}
        self._write_config(f"{root}/usr/share/sendmail/cf", sink_port, milter)
        Saslauthd(world, f"{self.dir}/saslauthd", logins)
        self.start()

    def _write_config(self, cf, sink_port, milter):
        for name, text in (("aliases", ""), ("local-host-names", ""), ("service.switch", SWITCH), ("sasl/Sendmail.conf",
                           SMTPD_CONF.format(dir=self.dir)), ("sm.mc", MC.format(
                               dir=self.dir, user=USER, group=GROUP, sink=sink_port, port=self.port, milter=milter, lines=LINES))):
            os.makedirs(os.path.dirname(f"{self.dir}/{name}"), exist_ok=True)
            with open(f"{self.dir}/{name}", "w") as out:
                out.write(text)
        os.mkdir(f"{self.dir}/queue", 0o700)
        os.chown(f"{self.dir}/queue", pwd.getpwnam(USER).pw_uid, -1)
        done = self.world.run(["m4", f"-D_CF_DIR_={cf}/", f"{cf}/m4/cf.m4", f"{self.dir}/sm.mc"])
        check(done.returncode == 0, "m4: {}", done.stderr)
        with open(f"{self.dir}/sm.cf", "w") as out:
            out.write(done.stdout)

    def argv(self, *arguments):
        """Under a host name with a dot, or it would wait a minute for one."""
        return ["unshare", "--uts", "sh", "-c", 'hostname sm.sekisho.test && exec "$0" "$@"', self.program,
                "-C", f"{self.dir}/sm.cf", *arguments]

    def start(self):
        with open(f"{self.dir}/output", "w") as output:
            process = self.world.spawn(self.argv("-bD", "-q1s"), stdout=output, stderr=output, env=self.env)
        wait_for(lambda: port_answers(self.port) or process.poll() is not None, "Sendmail to listen", 30)
        if process.poll() is not None:
            with open(f"{self.dir}/output") as output:
                raise Skipped(f"Sendmail does not start here: {output.read()}")

    def command(self, *arguments):
        done = self.world.run(self.argv(*arguments), env=self.env)
        check(done.returncode == 0, "sendmail {}: {}{}", " ".join(arguments), done.stdout, done.stderr)
        return done.stdout

    def wrapper(self):
        """A program that is this Sendmail, for those who name one by its path."""
        path = f"{self.dir}/sendmail.sh"
        with open(path, "w") as out:
            out.write("#!/bin/sh\nexport LD_LIBRARY_PATH='{}'\nexec unshare --uts sh -c 'hostname sm.sekisho.test && exec \"$0\" \"$@\"' "
                      "{} \"$@\"\n".format(self.env["LD_LIBRARY_PATH"], self.program))
        os.chmod(path, 0o755)
        return path

    def postfix(self, *_):
        raise Skipped("needs Postfix")

    tool = sendmail = maillog = wait_log = delivered_ids = postfix

    def queue(self):
        """As Postfix tells it: the quarantine is the hold queue."""
        return [{"queue_id": os.path.basename(path)[2:], "queue_name": "hold" if os.path.basename(path)[0] == "h" else "deferred"}
                for path in glob.glob(f"{self.dir}/queue/[hq]f*")]

    def quarantined(self):
        """Queue ids of held messages."""
        return [os.path.basename(path)[2:] for path in glob.glob(f"{self.dir}/queue/hf*")]

    def release(self, queue_id):
        self.command("-qQ", "-Q", f"-qI{queue_id}")
