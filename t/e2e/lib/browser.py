"""A real browser without a window, and a proxy that speaks TLS in front of something that does not."""
import shutil
import socket
import ssl
import threading

from .harness import Skipped, free_port
from .listener import serve

PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"


class Browser:
    def __init__(self, world, hosts):
        """`hosts`: name -> port on loopback that answers for it."""
        self.program = shutil.which("chromium")
        if not self.program:
            raise Skipped("chromium is not installed")
        self.world = world
        self.rules = ", ".join(f"MAP {name} 127.0.0.1:{port}" for name, port in hosts.items()) + ", MAP * ~NOTFOUND"

    def dom(self, url, language="ja", agent=PERSON):
        """The page that a visit ends at, as the browser's document reads."""
        done = self.world.run([self.program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               "--disable-background-networking", "--no-first-run", "--ignore-certificate-errors",
                               f"--user-data-dir={self.world.new_dir('profile')}", f"--host-resolver-rules={self.rules}",
                               f"--user-agent={agent}", f"--accept-lang={language}", "--virtual-time-budget=2000",
                               "--dump-dom", url], seconds=50)
        return done.stdout


class TlsProxy:
    """Takes the TLS off, as nginx would; one thread a direction."""

    def __init__(self, world, certificate, port):
        self.target, self.port = port, free_port()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(["http/1.1"])
        serve(world, context.wrap_socket(socket.create_server(("127.0.0.1", self.port)), server_side=True), self._serve)

    def _serve(self, peer):
        with peer, socket.create_connection(("127.0.0.1", self.target)) as inner:
            back = threading.Thread(target=copy, args=(inner, peer), daemon=True)
            back.start()
            copy(peer, inner)
            back.join(10)


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
