"""A private Postfix: own directories, own port, loopback only. The host's mail is not touched.

Needs root (Postfix's master does) and Debian's package; its service need not run, or even be configured.
"""
import json
import os
import pwd
import shutil
import signal
import socket
import struct

from .harness import Failed, check, free_port, port_answers, process_alive, wait_for
from .listener import serve
from .maillog import MailLog

# No notices to postmaster: they pass no milter, and so have no record. A kill between cleanup and smtpd makes one.
MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
myhostname = mx.sekisho.test
inet_interfaces = loopback-only
inet_protocols = all
mynetworks = 0.0.0.0/0 [::]/0
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
smtp_dns_support_level = disabled
relayhost = [127.0.0.1]:{sink}
enable_long_queue_ids = yes
smtpd_milters = {milter}
non_smtpd_milters = $smtpd_milters
internal_mail_filter_classes = bounce
notify_classes =
milter_default_action = tempfail
milter_connect_timeout = 10s
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
in_flow_delay = 0
smtpd_soft_error_limit = 100000
smtpd_hard_error_limit = 100000
smtpd_forbid_unauth_pipelining = no
smtpd_junk_command_limit = 100000
smtpd_recipient_restrictions = check_recipient_access inline:{{refused@mta.test=REJECT}}, permit
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
message_size_limit = 104857600
smtpd_recipient_limit = 20000
"""

# qmgr is woken as seldom as Postfix ships it: it looks by itself. While its socket is full master logs each second that it could
# not be woken, and what master logs goes to postlogd, who waits for master to read that he is busy: once both buffers are full
# nobody starts cleanups any more.
MASTER_CF = """\
127.0.0.1:{port} inet n - n - 1200 smtpd
127.0.0.1:{special} inet n - n - 20 smtpd
  -o milter_macro_daemon_name=special
pickup unix n - n 1 1 pickup
qmgr unix n - n 300 1 qmgr
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
showq unix n - n - - showq
flush unix n - n - 0 flush
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
rewrite unix - - n - - trivial-rewrite
discard unix - - n - - discard
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n - 1 tlsmgr
scache unix - - n - 1 scache
"""

SASL_CF = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {dir}/etc/sasl
"""

TLS_CF = """\
smtpd_tls_security_level = may
smtpd_tls_ask_ccert = yes
smtpd_tls_received_header = yes
smtpd_tls_cert_file = {server}
smtpd_tls_key_file = {server}
smtpd_tls_CAfile = {ca}
smtp_tls_security_level = none
"""


class Postfix(MailLog):
    bounce_subject, shows_bounces = "Undelivered Mail Returned to Sender", True     # its own, to milters
    patience = 2000                    # NOOPs that it answers without a pause

    def __init__(self, world, sink_port, milter, logins=None, certificates=None, settings=()):
        """`milter`: as smtpd_milters has it, or empty. `logins`: user -> password, for AUTH. `settings`: more lines."""
        if os.geteuid() != 0:
            raise Failed("a private Postfix needs root")
        self.world, self.dir = world, world.new_dir("postfix")
        self.port, self.special_port = free_port(), free_port()
        self.maillog_path = f"{self.dir}/maillog"
        self._write_config(sink_port, milter, logins, certificates, settings)
        if logins is not None:
            Saslauthd(world, f"{self.dir}/saslauthd", logins)
        self.start()

    def _write_config(self, sink_port, milter, logins, certificates, settings):
        for name in ("etc/sasl", "spool", "data"):
            os.makedirs(f"{self.dir}/{name}")
        # Of the mail owner: while no postlogd runs, postsuper writes to the log by itself, after it has given up root.
        with open(self.maillog_path, "x"):
            pass
        for path in f"{self.dir}/data", self.maillog_path:
            os.chown(path, pwd.getpwnam("postfix").pw_uid, -1)
        main = MAIN_CF.format(dir=self.dir, sink=sink_port, milter=milter)
        if logins is not None:
            main += SASL_CF.format(dir=self.dir)
            with open(f"{self.dir}/etc/sasl/smtpd.conf", "w") as conf:
                conf.write(f"pwcheck_method: saslauthd\nsaslauthd_path: {self.dir}/saslauthd\nmech_list: PLAIN LOGIN\n")
        if certificates:
            main += TLS_CF.format(server=certificates.server, ca=certificates.ca)
        with open(f"{self.dir}/etc/main.cf", "w") as conf:
            conf.write(main + "".join(f"{line}\n" for line in settings))
        with open(f"{self.dir}/etc/master.cf", "w") as conf:
            conf.write(MASTER_CF.format(port=self.port, special=self.special_port))

    def start(self):
        self.postfix("check")
        self.postfix("start")
        self.world.at_end(self.stop)
        self.world.note_pid(self.master_pid())
        wait_for(lambda: port_answers(self.port), "Postfix to listen", 20)

    def master_pid(self):
        with open(f"{self.dir}/spool/pid/master.pid") as pid:
            return int(pid.read())

    def stop(self):
        """By the master's pid; its children leave with it."""
        try:
            pid = self.master_pid()
        except (OSError, ValueError):
            return
        if process_alive(pid):
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not process_alive(pid), "Postfix to stop", 20)

    def restart(self):
        self.postfix("stop")
        self.start()

    def reopen_log(self):
        self.postfix("reload")

    def leave_milters(self):
        """From now on mail goes round every milter."""
        self.set("smtpd_milters =", "non_smtpd_milters =")

    def set(self, *lines):
        """By postconf: a setting that stands twice makes each program warn, and postlogd waits for itself to write that down."""
        done = self.tool("postconf", "-e", *lines)
        check(done.returncode == 0, "postconf: {}", done.stderr)
        self.restart()

    def postfix(self, *arguments):
        """postfix, postqueue, ... with this instance's configuration: postfix("start"), postfix.tool(...)."""
        done = self.tool("postfix", *arguments)
        check(done.returncode == 0, "postfix {}: {}", " ".join(arguments), done.stderr + self.maillog()[-2000:])
        return done

    def tool(self, program, *arguments, **kwargs):
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        check(path, "{} is not installed", program)
        return self.world.run([path, "-c", f"{self.dir}/etc", *arguments], **kwargs)

    def sendmail(self, sender, recipients, content):
        """A local submission, the way scripts on the host send."""
        return self.world.run(["/usr/sbin/sendmail", "-C", f"{self.dir}/etc", "-i", "-f", sender, *recipients],
                              input=content.decode("utf-8", "surrogateescape"))

    def queue(self):
        """The messages in the queue, as postqueue -j describes them."""
        done = self.tool("postqueue", "-j")
        check(done.returncode == 0, "postqueue: {}", done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines() if line]

    def release(self, queue_id):
        self.tool("postsuper", "-H", queue_id)
        self.tool("postqueue", "-f")


class Saslauthd:
    """Answers Cyrus SASL's question (user, password, service, realm) from a dictionary."""

    def __init__(self, world, path, logins):
        self.logins = logins
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        os.chmod(path, 0o666)
        server.listen(256)
        serve(world, server, self._answer)

    def _answer(self, peer):
        with peer, peer.makefile("rb") as stream:
            fields = []
            for _ in range(4):
                size = stream.read(2)
                fields.append(stream.read(struct.unpack(">H", size)[0]).decode() if len(size) == 2 else "")
            user, password, _, realm = fields
            known = password in (self.logins.get(user), self.logins.get(f"{user}@{realm}"))
            peer.sendall(struct.pack(">H", 2) + (b"OK" if known else b"NO"))
