"""Rows about tracked mail: the endpoint against a bare libmicrohttpd, the milter against one that replaces each body with
itself, and the most memory that large messages take."""
import json
import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor

from lib.gate import Gate
from lib.harness import check, free_port, port_answers, wait_for
from lib.milter import MilterPeer
from table import THROUGH_POSTFIX, Group, Row

HOST = "track.bench.test"
READERS, SECONDS = 400, 3
PAGE = ('<html><body>\r\n' + ('<p>News from us to you, and what else there is to say about the autumn.</p>\r\n' * 40) +
        '<p><a href="https://example.org/shop?a=1&amp;b=2">shop</a> <a href="http://example.org/x">x</a></p>\r\n</body></html>\r\n')
HEAD = "Content-Type: text/html; charset=utf-8\r\nMIME-Version: 1.0\r\n"


class Tracking:
    def __init__(self, bench):
        self.bench, self.world, self.port = bench, bench.world, free_port()
        keys = self.world.path("tracking.key")
        with open(os.open(keys, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            out.write(f"1 {secrets.token_hex(64)}\n")
        self.gate = Gate(self.world, {"load": {"match": [{"client": "127.0.0.1"}, {"auth": "*@tenant.test"}],
                                               "tracking": {"host": HOST, "opens": True, "clicks": True}}},
                         settings={"tracking": {"key_file": keys, "listen": f"127.0.0.1:{self.port}"}})

    # --- the endpoint
    def pixels(self):
        """The paths of the pixels of one message to many readers."""
        message = f"Message-ID: <bench@tenant.test>\r\n{HEAD}\r\n{PAGE}"
        pixel = re.compile(re.escape(f"https://{HOST}") + r"(/o/[A-Za-z0-9_-]+)")
        paths = []
        for reader in range(READERS):
            done = self.gate.tool("rewrite", "--tenant", "load", "--rcpt", f"reader{reader}@example.test", input=message)
            paths.append(pixel.search(done.stdout)[1])
        return "\n".join(paths) + "\n"

    def load(self, port, paths):
        done = self.world.run([self.bench.program("httpload"), str(port), HOST, str(SECONDS)], 60, input=paths)
        check(done.returncode == 0, "httpload: {}", done.stderr)
        return json.loads(done.stdout)

    def endpoint_rows(self):
        """Hits a second of the endpoint and of the bare server; all that were answered are on record in the end."""
        bare, paths = free_port(), self.pixels()
        with open(self.world.path("track.log"), "w") as log:
            track = self.world.spawn([self.world.program("sekisho-track"), "-c", self.gate.config_path, "-f"], stderr=log)
        self.world.spawn([self.bench.program("httpbare"), str(bare)])
        for port in (self.port, bare):
            wait_for(lambda port=port: port_answers(port), "an endpoint that listens")
        figures, references = self.bench.alternate(lambda: self.load(self.port, paths), lambda: self.load(bare, paths))
        track.terminate()
        check(track.wait(60) == 0, "sekisho-track ended with {}", track.returncode)
        check(len(self.gate.records("action")) >= sum(f["answers"] for f in figures), "not every hit is on record")
        yield Group("Tracking endpoint, 64 connections; beside a bare libmicrohttpd")
        yield Row("hits/s, each counted and recorded", [f["per_second"] for f in figures], [r["per_second"] for r in references], 0.8)

    # --- through Postfix
    def postfix_rows(self):
        """Tracked mail, each with a new body, against a milter that replaces each body with itself."""
        null, path = f"unix:{self.world.dir}/replace.sock", self.world.path("tracked.eml")
        self.bench.start_null(self.gate, null, "--replace")
        with open(path, "w", newline="\r\n") as out:
            out.write(f"From: <user@tenant.test>\nTo: <someone@recipient.test>\n{HEAD}\n{PAGE}".replace("\r\n", "\n"))
        yield Group(THROUGH_POSTFIX)
        yield self.bench.postfix_row("tracked; a body replaced by itself", self.gate, null, 0.9, "-F", path)

    # --- memory
    def memory_rows(self):
        """The most that is resident while large messages are rewritten. The large one comes first."""
        yield Group("Memory that is resident at most, MiB")
        for count, megabytes in ((1, 50), (256, 10)):
            self.rewrite_at_once(count, megabytes * 1000000)
            yield Row(f"{count} of {megabytes} MB rewritten at once", [self.gate.rss()[1] / (1 << 20)], budget=256, ceiling=True)

    def rewrite_at_once(self, count, octets):
        """Large pages, and behind each as much of another part: all at their end at the same time."""
        peers = [MilterPeer(self.gate.socket, 300.0) for _ in range(count)]
        for peer in peers:
            peer.negotiate()
            peer.connect()
            peer.envelope("user@tenant.test", "user@tenant.test", ["someone@recipient.test"])
            peer.step("L", b"Content-Type\0multipart/mixed; boundary=b\0")
            peer.step("N")
        page = f"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{PAGE}".replace("</body></html>", "")
        other = "\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
        chunk = (b"<p>" + b"x" * 900 + b"</p>\r\n") * 71
        for head in (page, other):
            for peer in peers:
                peer.step("B", head.encode())
            for _ in range(octets // 2 // len(chunk)):
                for peer in peers:
                    peer.step("B", chunk)
        with ThreadPoolExecutor(count) as pool:
            sizes = list(pool.map(self.finish, peers))
        check(min(sizes) > octets * 0.9, "a body came back with {} octets", min(sizes))

    @staticmethod
    def finish(peer):
        """How many octets of a new body came before the answer."""
        command, size = peer.end_of_message()
        check(command in "ac", "answer {}", command)
        peer.socket.close()
        return size
