"""Certificates for one test: an authority, a server, and clients, made with the openssl command."""
import os

from .harness import check

# What a strict reader (Python 3.13) wants to see; the host's own openssl.cnf has no say.
CONF = """[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[holder]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Certificates:
    def __init__(self, world, directory=None):
        self.world, self.dir = world, directory or world.new_dir("certs")
        self.ca_key = f"{self.dir}/ca.key"
        self.ca = f"{self.dir}/ca.pem"
        self.conf = f"{self.dir}/openssl.cnf"
        with open(self.conf, "w") as out:
            out.write(CONF)
        self._certify("authority", "/O=Sekisho test/CN=Test Authority", self.ca_key, self.ca)
        self.server = self.issue("mx.sekisho.test")

    def issue(self, name, trusted=True):
        """A file with key and certificate of CN=name; one that is not trusted signs itself."""
        stem = f"{self.dir}/{name}"
        signer = ("-CA", self.ca, "-CAkey", self.ca_key) if trusted else ()
        self._certify("holder", f"/CN={name}", f"{stem}.key", f"{stem}.crt", *signer)
        with open(f"{stem}.pem", "w") as out:
            for part in ("key", "crt"):
                with open(f"{stem}.{part}") as source:
                    out.write(source.read())
        os.chmod(f"{stem}.pem", 0o600)
        return f"{stem}.pem"

    def _certify(self, kind, subject, key, out, *more):
        done = self.world.run(["openssl", "req", "-config", self.conf, "-x509", "-extensions", kind, "-subj", subject, "-days", "2",
                               "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", out, *more])
        check(done.returncode == 0, "openssl req: {}", done.stderr)
