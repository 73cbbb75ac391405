"""A private Sendmail out of unpacked packages: it cannot be installed beside Postfix, and needs not be.

SENDMAIL_ROOT names a directory into which sendmail-bin, sendmail-cf and libwrap0 were unpacked (`dpkg -x`);
contrib/test.sh makes one. What it says to syslog goes into a file of its own (t/lib/syslog.c).
"""
import glob
import os
import pwd
import re
import shlex
import shutil

from .harness import Skipped, check, end_process, free_port, port_answers, wait_for
from .maillog import MailLog
from .postfix import Saslauthd

USER, GROUP = "nobody", "nogroup"
HERE = os.path.dirname(os.path.abspath(__file__))
LINES = os.path.join(HERE, "../../../contrib/sendmail/sekisho.mc")

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
DAEMON_OPTIONS(`Family=inet, Name=special, Port={special}, Addr=127.0.0.1')dnl
DAEMON_OPTIONS(`Family=inet6, Name=MTA6, Port={port}, Addr=::1, M=O')dnl
define(`confSEKISHO_SOCKET', `{milter}')dnl
include(`{lines}')dnl
{more}MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
ESASL_CONF_PATH={dir}/sasl
LOCAL_RULESETS
SLocal_check_rcpt
R<refused@mta.test>	$#error $@ 5.7.1 $: "554 5.7.1 refused by the MTA itself"
"""

# sendmail(1): into a queue of its own, and on by SMTP.
SUBMIT_MC = """\
divert(0)dnl
OSTYPE(`linux')dnl
define(`MSP_QUEUE_DIR', `{dir}/clientmqueue')dnl
define(`confPID_FILE', `{dir}/client-pid')dnl
define(`STATUS_FILE', `{dir}/client-statistics')dnl
define(`HELP_FILE', `')dnl
define(`confSERVICE_SWITCH_FILE', `{dir}/service.switch')dnl
define(`confDOMAIN_NAME', `sm.sekisho.test')dnl
define(`confRUN_AS_USER', `{user}:{group}')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {port}')dnl
FEATURE(`nocanonify')dnl
FEATURE(`msp', `[127.0.0.1]')dnl
"""

TLS_MC = """\
define(`confCACERT_PATH', `{certificates.dir}')dnl
define(`confCACERT', `{certificates.ca}')dnl
define(`confSERVER_CERT', `{certificates.server}')dnl
define(`confSERVER_KEY', `{certificates.server}')dnl
"""

SMTPD_CONF = "pwcheck_method: saslauthd\nsaslauthd_path: {dir}/saslauthd\nmech_list: PLAIN LOGIN\n"
SWITCH = "hosts files\naliases files\npasswd files\n"


class Sendmail(MailLog):
    bounce_subject, shows_bounces = "Returned mail: see transcript for details", False
    patience = 18                    # NOOPs that it answers without a pause
    has_client_queue = False

    def __init__(self, world, sink_port, milter, logins, certificates=None, behind=()):
        """`milter`: as S= has it; `behind`: more of them, which see what the first made of the mail."""
        root = os.environ.get("SENDMAIL_ROOT", "")
        binary = f"{root}/usr/libexec/sendmail/sendmail"
        if not os.path.exists(binary):
            raise Skipped("no Sendmail is unpacked in SENDMAIL_ROOT")
        self.world, self.dir, self.port, self.special_port = world, world.new_safe_dir("sendmail"), free_port(), free_port()
        self.program, self.maillog_path = f"{self.dir}/sendmail", f"{self.dir}/log/maillog"
        shutil.copyfile(binary, self.program)          # a copy loses setgid, which would ignore LD_LIBRARY_PATH
        os.chmod(self.program, 0o755)
        self.env = {**os.environ, "LD_LIBRARY_PATH": ":".join(glob.glob(f"{root}/**/lib/*-linux-gnu", recursive=True)),
                    "LD_PRELOAD": world.program("t/lib/syslog.so"), "TEST_SYSLOG": self.maillog_path}
        for name in ("queue", "clientmqueue", "log"):
            os.mkdir(f"{self.dir}/{name}", 0o755 if name == "log" else 0o700)
            os.chown(f"{self.dir}/{name}", pwd.getpwnam(USER).pw_uid, -1)
        self._write_config(f"{root}/usr/share/sendmail/cf", sink_port, milter, certificates, behind)
        Saslauthd(world, f"{self.dir}/saslauthd", logins)
        self.start()

    def _write_config(self, cf, sink_port, milter, certificates, behind):
        more = ""
        if certificates:
            os.chown(certificates.server, pwd.getpwnam(USER).pw_uid, -1)
            more = TLS_MC.format(certificates=certificates)
        more += "".join(f"INPUT_MAIL_FILTER(`behind{n}', `S={address}, F=T')dnl\n" for n, address in enumerate(behind))
        values = {"dir": self.dir, "user": USER, "group": GROUP, "sink": sink_port, "port": self.port, "special": self.special_port,
                  "milter": milter, "lines": LINES, "more": more}
        os.mkdir(f"{self.dir}/sasl")
        for name, text in (("aliases", ""), ("local-host-names", ""), ("service.switch", SWITCH),
                           ("sasl/Sendmail.conf", SMTPD_CONF.format(**values))):
            with open(f"{self.dir}/{name}", "w") as out:
                out.write(text)
        for name, text in (("sm", MC), ("submit", SUBMIT_MC)):
            done = self.world.run(["m4", f"-D_CF_DIR_={cf}/", f"{cf}/m4/cf.m4", "-"], input=text.format(**values))
            check(done.returncode == 0, "m4: {}", done.stderr)
            with open(f"{self.dir}/{name}.cf", "w") as out:
                out.write(done.stdout)

    def argv(self, *arguments, name="sm"):
        """Under a host name with a dot, or it would wait a minute for one."""
        return ["unshare", "--uts", "sh", "-c", 'hostname sm.sekisho.test && exec "$0" "$@"', self.program,
                "-C", f"{self.dir}/{name}.cf", *arguments]

    def start(self):
        with open(f"{self.dir}/output", "w") as output:
            self.process = process = self.world.spawn(self.argv("-bD", "-q1s"), stdout=output, stderr=output, env=self.env)
        wait_for(lambda: port_answers(self.port) or process.poll() is not None, "Sendmail to listen", 30)
        if process.poll() is not None:
            with open(f"{self.dir}/output") as output:
                raise Skipped(f"Sendmail does not start here: {output.read()}{self.maillog()}")

    def restart(self):
        end_process(self.process)
        self.start()

    def leave_milters(self):
        """From now on mail goes round every milter."""
        with open(f"{self.dir}/sm.cf") as conf:
            text = conf.read()
        with open(f"{self.dir}/sm.cf", "w") as conf:
            conf.write(re.sub(r"(?m)^(X|O InputMailFilters=).*\n", "", text))
        self.restart()

    def reopen_log(self):
        """It opens its log for each line."""

    def sendmail(self, sender, recipients, content):
        """A local submission, the way scripts on the host send; what cannot go at once is tried again each second."""
        if not self.has_client_queue:
            run = " ".join(map(shlex.quote, self.argv("-q", name="submit")))
            self.world.spawn(["sh", "-c", f"while sleep 1; do {run}; done"], env=self.env)
            self.has_client_queue = True
        return self.world.run(self.argv("-i", "-f", sender, *recipients, name="submit"), env=self.env,
                              input=content.decode("utf-8", "surrogateescape"))

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

    tool = postfix

    def queue(self):
        """As Postfix tells it: the quarantine is the hold queue."""
        return [{"queue_id": os.path.basename(path)[2:], "queue_name": "hold" if os.path.basename(path)[0] == "h" else "deferred"}
                for path in glob.glob(f"{self.dir}/queue/[hq]f*")]

    def quarantined(self):
        """Queue ids of held messages."""
        return [os.path.basename(path)[2:] for path in glob.glob(f"{self.dir}/queue/hf*")]

    def release(self, queue_id):
        self.command("-qQ", "-Q", f"-qI{queue_id}")
