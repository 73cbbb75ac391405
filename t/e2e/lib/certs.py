"""Certificates for one test: an authority, a server, and clients, made with the openssl command."""
import os

from .harness import check


class Certificates:
    def __init__(self, world, directory=None):
        self.world, self.dir = world, directory or world.new_dir("certs")
        self.ca_key = f"{self.dir}/ca.key"
        self.ca = f"{self.dir}/ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-keyout", self.ca_key, "-out", self.ca, "-subj", "/O=Sekisho test/CN=Test Authority")
        self.server = self.issue("mx.sekisho.test")

    def issue(self, name, trusted=True):
        """A file with key and certificate of CN=name; one that is not trusted signs itself."""
        stem = f"{self.dir}/{name}"
        request = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                   "-keyout", f"{stem}.key", "-out", f"{stem}.crt")
        if trusted:
            self._openssl(*request, "-x509", "-days", "2", "-CA", self.ca, "-CAkey", self.ca_key)
        else:
            self._openssl(*request, "-x509", "-days", "2")
        with open(f"{stem}.pem", "w") as out:
            for part in ("key", "crt"):
                with open(f"{stem}.{part}") as source:
                    out.write(source.read())
        os.chmod(f"{stem}.pem", 0o600)
        return f"{stem}.pem"

    def _openssl(self, *arguments):
        done = self.world.run(["openssl", *arguments])
        check(done.returncode == 0, "openssl {}: {}", arguments[0], done.stderr)
