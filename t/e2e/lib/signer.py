"""A private opendkim: signs what comes after Sekisho, and says whether a message's signature is good."""
import os
import shutil

from .harness import Skipped, check, free_port, port_answers, wait_for

DOMAIN, SELECTOR = "acme.test", "s1"

CONF = """\
Syslog no
UMask 002
Mode s
Socket inet:{port}@127.0.0.1
Canonicalization {canonicalization}
Domain {domain}
Selector {selector}
KeyFile {dir}/{selector}.private
InternalHosts 0.0.0.0/0
RequireSafeKeys no
SignHeaders *,+List-Unsubscribe-Post
"""
VERIFY_CONF = "Syslog no\nMode v\nInternalHosts 192.0.2.1\nTestDNSData {dir}/dns\n"


class Signer:
    def __init__(self, world, canonicalization="simple/simple"):
        if not shutil.which("opendkim") or not shutil.which("opendkim-genkey"):
            raise Skipped("opendkim is not installed")
        self.world, self.dir, self.port = world, world.new_dir("opendkim"), free_port()
        done = world.run(["opendkim-genkey", "-b", "2048", "-d", DOMAIN, "-s", SELECTOR, "-D", self.dir])
        check(done.returncode == 0, "opendkim-genkey: {}", done.stderr)
        self._publish_key()
        with open(f"{self.dir}/conf", "w") as conf:
            conf.write(CONF.format(port=self.port, dir=self.dir, domain=DOMAIN, selector=SELECTOR,
                                   canonicalization=canonicalization))
        with open(f"{self.dir}/verify.conf", "w") as conf:
            conf.write(VERIFY_CONF.format(dir=self.dir))
        world.spawn([shutil.which("opendkim"), "-f", "-x", f"{self.dir}/conf"])
        wait_for(lambda: port_answers(self.port), "opendkim to listen")

    def _publish_key(self):
        """One line of opendkim's own form out of what genkey wrote for a zone file."""
        with open(f"{self.dir}/{SELECTOR}.txt") as zone:
            record = "".join(zone.read().split('"')[1::2])
        with open(f"{self.dir}/dns", "w") as dns:
            dns.write(f"{SELECTOR}._domainkey.{DOMAIN} {record}\n")

    def verify(self, content):
        """What opendkim says about the message's signature."""
        path = os.path.join(self.dir, "message")
        with open(path, "wb") as out:
            out.write(content)
        done = self.world.run([shutil.which("opendkim"), "-x", f"{self.dir}/verify.conf", "-t", path, "-vv"])
        return done.stdout + done.stderr
