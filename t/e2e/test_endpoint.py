"""What readers do with tracked mail: sekisho-track behind TLS, asked by a real browser and by ruder clients."""
import http.client
import http.server
import json
import os
import re
import signal
import socket
import threading

from lib.browser import Browser, TlsProxy
from lib.certs import Certificates
from lib.gate import new_tracking_key
from lib.harness import check, check_eq, end_process, free_port, port_answers, text_of, wait_for
from lib.relay import Relay, accepted
from lib.smtp import message

HOST, TO = "track.acme.test", "reader@example.test"
LINK = re.compile(r"https://" + HOST + r"(/[cou]/[A-Za-z0-9_-]+)")
PAGE = ('<html><body><p><a href="http://shop.example/landing?a=1&amp;b=\u3042">shop</a> '
        '<a href="http://shop.example/other">other</a></p></body></html>\r\n')
HEAD = "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
PERSON = {"Host": HOST, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}


class Shop(http.server.BaseHTTPRequestHandler):
    """Where the links lead: says on its page what it was asked for."""
    def do_GET(self):
        body = f"<title>shop</title><p id=asked>{self.path}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def setup(world):
    keys = new_tracking_key(world)
    world.port = free_port()
    world.relay = Relay(world, {"acme": {"match": [{"auth": "*@acme.test"}],
                                         "tracking": {"host": HOST, "opens": True, "clicks": True, "list_unsubscribe": True}}},
                        settings={"tracking": {"key_file": keys, "listen": f"127.0.0.1:{world.port}"}})
    start(world)
    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    world.at_end(shop.shutdown)
    world.shop_port = shop.server_port


def start(world):
    output = open(world.path("track.log"), "a")
    world.track = world.spawn([world.program("sekisho-track"), "-c", world.relay.gate.config_path, "-f"], stdout=output,
                              stderr=output)
    wait_for(lambda: port_answers(world.port), "sekisho-track to listen")


def send(world, name):
    """A tracked mail as it was delivered: its page, and the paths of its links by kind."""
    sender = "user@acme.test"
    with world.relay.client(LOGIN=sender) as client:
        accepted(client.send(sender, [TO], message(sender, TO, name, PAGE, f"{HEAD}X-Sekisho-Track: id={name}\r\n"),
                             "BODY=8BITMIME"))
    delivered = world.relay.sink.find(f"Subject: {name}".encode())
    page = delivered.body.partition(b"\r\n\r\n")[2].decode()
    paths = LINK.findall(page) + LINK.findall(delivered.header("List-Unsubscribe")[0])
    return page, {kind: [p for p in paths if p[1] == kind] for kind in "cou"}


def ask(world, path, method="GET", body=None, **fields):
    peer = http.client.HTTPConnection("127.0.0.1", world.port, timeout=15)
    peer.request(method, path, body, {**PERSON, **{k.replace("_", "-"): v for k, v in fields.items()}})
    reply = peer.getresponse()
    return reply.status, reply, reply.read()


def stats(world, name):
    done = world.relay.gate.tool("track", "stats", "acme", "--message", name, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {}


def wait_stats(world, name, **want):
    wait_for(lambda: {k: stats(world, name).get(k) for k in want} == want, f"{want} of {name}", 30, 0.2)


def test_browser(world):
    """the delivered page in a real browser: opened once, a click lands on the right page"""
    proxy = TlsProxy(world, Certificates(world).issue(HOST), world.port)
    browser = Browser(world, {HOST: proxy.port, "shop.example": world.shop_port})
    page, paths = send(world, "browser")
    with open(world.path("mail.html"), "w") as out:
        out.write('<meta charset="utf-8">' + page)
    check("shop" in browser.dom("file://" + world.path("mail.html")), "the mail is shown")
    wait_stats(world, "browser", opens=1, opens_unique=1, opens_flagged=0, clicks=0)
    landed = browser.dom(f"https://{HOST}{paths['c'][0]}")
    check("/landing?a=1&amp;b=%E3%81%82" in landed, "landed on: {}", landed)
    wait_stats(world, "browser", opens=1, clicks=1, clicks_unique=1)
    for language, words in (("ja", "配信を停止する"), ("en", "Unsubscribe from this mail?")):
        check(words in browser.dom(f"https://{HOST}{paths['u'][0]}", language), "the page in {}", language)
    check("event" in str(world.relay.gate.records("action")), "records")


test_browser.seconds = 180


def test_heads_and_scanners(world):
    """HEAD counts nothing; a scanner and a prefetch are counted and flagged"""
    _, paths = send(world, "scanned")
    for path in paths["c"] + paths["o"]:
        check_eq(ask(world, path, "HEAD")[0], 200 if path[1] == "o" else 302, "status")
    ask(world, paths["o"][0], User_Agent="python-requests/2.31")
    ask(world, paths["c"][0], Sec_Purpose="prefetch")
    wait_stats(world, "scanned", opens=1, opens_flagged=1, opens_unique=0, clicks=1, clicks_flagged=1)
    ask(world, paths["o"][0])
    wait_stats(world, "scanned", opens=2, opens_flagged=1, opens_unique=1)


def test_unsubscribe(world):
    """GET asks and changes nothing; the one-click POST puts the reader on the suppression list"""
    _, paths = send(world, "goodbye")
    path = paths["u"][0]
    status, _, page = ask(world, path, Accept_Language="en")
    check(status == 200 and b"<form" in page and TO.encode() in page, "{}", page)
    check(TO not in world.relay.gate.tool_ok("suppress", "list", "acme"), "GET has suppressed")
    check_eq(ask(world, path, "POST", "")[0], 400, "POST without its body")
    status, _, page = ask(world, path, "POST", "List-Unsubscribe=One-Click",
                          Content_Type="application/x-www-form-urlencoded", Accept_Language="ja")
    check(status == 200 and "停止しました".encode() in page, "{} {}", status, page)
    check(TO in world.relay.gate.tool_ok("suppress", "list", "acme"), "not suppressed")
    world.relay.gate.tool_ok("suppress", "remove", "acme", TO)
    wait_for(lambda: [r for r in world.relay.gate.records("action") if r["event"] == "unsubscribed"], "record")


def test_forget_and_deny(world):
    """who is forgotten is not counted; a denied message leads nowhere, and again when it is allowed"""
    _, paths = send(world, "forgotten")
    world.relay.gate.tool_ok("track", "forget", "acme", TO)
    check_eq(ask(world, paths["c"][0])[0], 302, "the link works")
    world.relay.gate.tool_ok("track", "deny", "acme", "--message", "forgotten")
    wait_for(lambda: ask(world, paths["c"][0])[0] == 410, "the link to be denied", 5, 0.2)
    world.relay.gate.tool_ok("track", "allow", "acme", "--message", "forgotten")
    wait_for(lambda: ask(world, paths["c"][0])[0] == 302, "the link to be allowed", 5, 0.2)
    check_eq(stats(world, "forgotten"), {}, "counts")


def test_every_link(world):
    """somebody follows every link of a long message: each is shown with its click"""
    count = 10050
    page = "".join(f'<a href="http://shop.example/{n}">x</a>\n' for n in range(count))
    done = world.relay.gate.tool("rewrite", "--tenant", "acme", "--rcpt", "all@example.test",
                                 input=message("user@acme.test", "all@example.test", "long", page,
                                               f"{HEAD}X-Sekisho-Track: id=long\r\n").decode())
    peer = http.client.HTTPConnection("127.0.0.1", world.port, timeout=15)
    for path in [p for p in LINK.findall(done.stdout) if p[1] == "c"]:
        peer.request("GET", path, headers=PERSON)
        peer.getresponse().read()
    wait_stats(world, "long", clicks=count)
    links = stats(world, "long")["links"]
    check_eq([(link["link"], link["clicks"], link["url"]) for link in links],
             [(n + 1, 1, f"http://shop.example/{n}") for n in range(count)], "links")


def test_rude_clients(world):
    """long lines, many fields, half requests and nonsense end with the client that sends them"""
    for text in (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                 b"\0\xff\r\n\r\n", b"GET /c/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /u/x HTTP/1.1\r\n"
                 b"Host: x\r\nContent-Length: 99999999999\r\n\r\nList"):
        with socket.create_connection(("127.0.0.1", world.port), timeout=15) as peer:
            try:
                peer.sendall(text)
                peer.shutdown(socket.SHUT_WR)
                answer = peer.recv(4096)
            except OSError:         # it has hung up already
                answer = b""
            check(b"302" not in answer[:20] and b"200" not in answer[:20], "answer: {}", answer[:100])
    check_eq(ask(world, "/robots.txt")[0], 200, "still there")


def reload(world, done):
    before = text_of(world.path("track.log")).count(done)
    world.track.send_signal(signal.SIGUSR1)
    wait_for(lambda: text_of(world.path("track.log")).count(done) > before, done, 10, 0.05)


def test_reload(world):
    """what a reload cannot change is named; a key file that is broken or open to others changes nothing; a new key needs no reload"""
    gate = world.relay.gate
    tracking, good = gate.config["tracking"], "the new configuration is in force"
    gate.config["tracking"] = {**tracking, "listen": "127.0.0.1:1"}
    gate.write_config()
    reload(world, good)
    check("tracking.listen has changed in the configuration; that takes effect at the next start" in text_of(world.path("track.log")), "warning")
    gate.config["tracking"] = tracking
    gate.write_config()
    _, paths = send(world, "kept")
    os.chmod(tracking["key_file"], 0o644)
    reload(world, "the configuration of before stays in force")
    check_eq(ask(world, paths["c"][0])[0], 302, "a link after a reload that failed")
    os.chmod(tracking["key_file"], 0o600)
    gate.tool_ok("key", "rotate")
    gate.reload()
    _, fresh = send(world, "rotated")
    check_eq([ask(world, p)[0] for p in (fresh["c"][0], paths["c"][0])], [302, 302], "links of both keys")


def test_stop_writes_all(world):
    """what was answered before a stop is on record after it; a new one answers the same links"""
    _, paths = send(world, "stopped")
    before = len(world.relay.gate.records("action"))
    with world.relay.client(LOGIN="user@acme.test") as client:
        accepted(client.send("user@acme.test", ["fresh@example.test"],
                             message("user@acme.test", "fresh@example.test", "fresh", PAGE, HEAD), "BODY=8BITMIME"))
    path = next(p for p in LINK.findall(world.relay.sink.find(b"Subject: fresh").body.decode()) if p[1] == "c")
    for _ in range(50):
        check_eq(ask(world, path)[0], 302, "status")
    end_process(world.track)
    check_eq(world.track.returncode, 0, "exit status")
    check_eq(len([r for r in world.relay.gate.records("action")][before:]), 50, "records")
    world.relay.gate.verify()
    start(world)
    check_eq(ask(world, paths["c"][0])[0], 302, "status")
