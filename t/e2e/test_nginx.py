"""contrib/nginx/sekisho-track.conf as it stands, run by a real nginx in front of sekisho-track."""
import concurrent.futures
import glob
import http.client
import os
import re
import shutil
import socket
import ssl

from lib.certs import Certificates
from lib.gate import Gate, new_tracking_key
from lib.harness import Skipped, check, check_eq, free_port, port_answers, wait_for
from lib.smtp import message

HOST, TO = "track.acme.example", "reader@example.test"        # the host is the file's own example
CLIENT = "127.0.0.77"                                          # loopback is one network: an address of its own for a reader
CONF = os.path.join(os.path.dirname(__file__), "../../contrib/nginx/sekisho-track.conf")
TOKEN = re.compile(r"https://" + re.escape(HOST) + r"(/([cou])/[A-Za-z0-9_-]+)")
PAGE = '<html><body><p><a href="http://shop.example/landing?a=1&amp;b=2">shop</a></p></body></html>\r\n'
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
AROUND = """pid {dir}/nginx.pid;
error_log {dir}/error.log;
daemon off;
{user}
events {{}}
http {{
	{temporary}
	access_log {dir}/access.log;
	include {dir}/sekisho-track.conf;
}}
"""


def setup(world):
    if not shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin"):
        raise Skipped("nginx is not installed")
    world.inner, world.tls, world.plain = free_port(), free_port(), free_port()
    world.gate = Gate(world, {"acme": {"match": [{"auth": "*@acme.test"}], "tracking":
                                       {"host": HOST, "opens": True, "clicks": True, "list_unsubscribe": True}}},
                      {"tracking": {"key_file": new_tracking_key(world), "listen": f"127.0.0.1:{world.inner}",
                                    "client_address": "full"}}, start=False)
    world.spawn([world.program("sekisho-track"), "-c", world.gate.config_path, "-f"])
    wait_for(lambda: port_answers(world.inner), "sekisho-track to listen")
    world.certificates = Certificates(world)
    start_nginx(world)


def configuration(world):
    """The file with the lines changed that its reader is told to change, and the ports that are taken here. No IPv6 is needed."""
    pem = world.certificates.issue(HOST)
    with open(CONF) as file:
        text = file.read()
    for old, new in (("listen 443 ssl;", f"listen 127.0.0.1:{world.tls} ssl;"), ("\tlisten [::]:443 ssl;\n", ""),
                     ("listen 80;", f"listen 127.0.0.1:{world.plain};"), ("\tlisten [::]:80;\n", ""),
                     ("server 127.0.0.1:9186;", f"server 127.0.0.1:{world.inner};"),
                     (f"/etc/ssl/{HOST}/fullchain.pem", pem), (f"/etc/ssl/{HOST}/privkey.pem", pem)):
        check_eq(text.count(old), 1, f"times that the file has {old!r}")
        text = text.replace(old, new)
    return text.replace("/var/log/nginx/", f"{world.proxy}/")


def start_nginx(world):
    world.proxy = world.new_dir("nginx")
    with open(f"{world.proxy}/sekisho-track.conf", "w") as out:
        out.write(configuration(world))
    temporary = "".join(f"{kind}_temp_path {world.proxy}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{world.proxy}/nginx.conf", "w") as out:
        out.write(AROUND.format(dir=world.proxy, user="user root;" if os.geteuid() == 0 else "", temporary=temporary))
    command = ["/usr/sbin/nginx", "-p", world.proxy, "-e", f"{world.proxy}/error.log", "-c", f"{world.proxy}/nginx.conf"]
    judged = world.run([*command, "-t"])
    check(judged.returncode == 0 and "[warn]" not in judged.stderr, "nginx -t: {}", judged.stderr)
    world.spawn(command)
    wait_for(lambda: port_answers(world.tls) and port_answers(world.plain), "nginx to listen")


def tracked(world, name, to=TO):
    """The paths of a tracked message, by kind."""
    mail = message("user@acme.test", to, name, PAGE, "MIME-Version: 1.0\r\nContent-Type: text/html\r\n"
                   f"X-Sekisho-Track: id={name}\r\n")
    done = world.gate.tool("rewrite", "--tenant", "acme", "--from", "user@acme.test", "--rcpt", to, input=mail.decode())
    return {kind: path for path, kind in TOKEN.findall(done.stdout)}


def connect(world):
    context = ssl.create_default_context(cafile=world.certificates.ca)
    context.check_hostname = False                             # we call it by its address
    raw = socket.create_connection(("127.0.0.1", world.tls), 30, source_address=(CLIENT, 0))
    return context.wrap_socket(raw, server_hostname=HOST)


def ask(world, path, method="GET", body=None, **fields):
    peer = http.client.HTTPConnection(HOST)
    peer.sock = connect(world)
    peer.request(method, path, body, {"User-Agent": AGENT, "Connection": "close", **{k.replace("_", "-"): v for k, v in fields.items()}})
    reply = peer.getresponse()
    answer = reply.status, reply, reply.read()
    peer.close()
    return answer


def test_reader(world):
    """an open, a click and a one-click unsubscription pass, and the reader's own address is recorded, not one that he claims"""
    paths = tracked(world, "first")
    status, reply, body = ask(world, paths["o"], X_Forwarded_For="203.0.113.9")
    check(status == 200 and reply.getheader("Content-Type") == "image/gif" and body.startswith(b"GIF89a"), "open: {} {}", status, body)
    check_eq("no-store" in reply.getheader("Cache-Control", ""), True, "not to be cached")
    status, reply, _ = ask(world, paths["c"], X_Forwarded_For="203.0.113.9, 198.51.100.1")
    check_eq((status, reply.getheader("Location")), (302, "http://shop.example/landing?a=1&b=2"), "click")
    status, _, body = ask(world, paths["u"], Accept_Language="en")
    check(status == 200 and TO.encode() in body and TO not in world.gate.tool_ok("suppress", "list", "acme"), "page: {}", body)
    status, _, body = ask(world, paths["u"], "POST", "List-Unsubscribe=One-Click",
                          Content_Type="application/x-www-form-urlencoded")
    check(status == 200 and TO in world.gate.tool_ok("suppress", "list", "acme"), "unsubscription: {} {}", status, body)
    found = wait_for(lambda: (r := world.gate.records("action")) and {e["event"] for e in r} >= {"opened", "clicked", "unsubscribed"}
                     and r, "records of all three", 20, 0.1)
    check_eq({(r["event"], r["client"]) for r in found if r["event"] in ("opened", "clicked", "unsubscribed")},
             {(event, CLIENT) for event in ("opened", "clicked", "unsubscribed")}, "who came")


def test_other_names(world):
    """a forged token and another host lead nowhere; http leads to https, path and all"""
    paths = tracked(world, "second")
    forged = paths["c"][:20] + ("A" if paths["c"][20] != "A" else "B") + paths["c"][21:]
    check_eq(ask(world, forged)[0], 404, "a forged token")
    check_eq(ask(world, paths["c"], Host="other.example")[0], 404, "the host of nobody")
    peer = http.client.HTTPConnection("127.0.0.1", world.plain, timeout=30)
    peer.request("GET", paths["c"], headers={"Host": HOST})
    reply = peer.getresponse()
    check_eq((reply.status, reply.getheader("Location")), (308, f"https://{HOST}{paths['c']}"), "by http")


def test_sizes(world):
    """what is longer than sekisho-track reads ends at nginx"""
    path = tracked(world, "third")["u"]
    check_eq(ask(world, path, "POST", "List-Unsubscribe=One-Click&x=" + "y" * 8192)[0], 413, "a long body")
    check_eq(ask(world, path + "?" + "x" * 9000)[0], 414, "a long path")
    check_eq(ask(world, path, Cookie="x" * 9000)[0], 400, "a long field")


def dribble(peer, data, rest):
    """Sends `rest` an octet at a time until nginx has enough: what it answered. A client that it bears with is waited for in vain."""
    answer = b""
    peer.settimeout(0.5)
    peer.sendall(data)
    for _ in range(120):
        try:
            part = peer.recv(4096)
            if not part:
                return answer
            answer += part
        except TimeoutError:
            peer.send(rest[:1])
            rest = rest[1:]
        except OSError:                                        # closed while we were sending
            return answer
    raise AssertionError(f"nginx still listens: {answer}")


def test_slow_clients(world):
    """who never comes to the end of his request is cut off, and readers get through meanwhile"""
    path = tracked(world, "slow", "patient@example.test")["u"]
    begun = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\n".encode()
    endless = [(begun, b"X-Endless: " + b"x" * 500), (begun + b"Content-Length: 26\r\n\r\nList-Unsub", b"")]
    peers = [connect(world) for _ in endless]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        cut = [pool.submit(dribble, peer, *request) for peer, request in zip(peers, endless)]
        check_eq(ask(world, path)[0], 200, "a reader meanwhile")
        for answer in (one.result() for one in cut):
            check(answer == b"" or answer.startswith(b"HTTP/1.1 408 "), "a slow client: {}", answer)
    check("patient@" not in world.gate.tool_ok("suppress", "list", "acme"), "half an unsubscription counts")


def flood(world):
    """As many requests as one connection may have, in one go: the statuses of the answers."""
    path, count = tracked(world, "fourth")["o"], 1000
    one = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {AGENT}\r\nConnection: %s\r\n\r\n".encode()
    with connect(world) as peer:
        peer.settimeout(0.2)
        data, rest = b"", one % b"keep-alive" * (count - 1) + one % b"close"
        while True:
            try:
                rest = rest[peer.send(rest):] if rest else rest
                part = peer.recv(65536)
            except TimeoutError:
                continue
            if not part:
                break
            data += part
    return set(re.findall(rb"HTTP/1\.1 (\d+)", data))


def test_flood(world):
    """more than a burst is turned away, a reader still gets through, and nobody's token stands in a log"""
    wait_for(lambda: flood(world) == {b"200", b"503"}, "a flood to be turned away")
    wait_for(lambda: ask(world, tracked(world, "fourth")["c"])[0] == 302, "a reader to get through")
    logged = ""
    for name in glob.glob(f"{world.proxy}/*.log"):
        with open(name) as log:
            logged += log.read()
    check(not re.search(r"/[cou]/\w", logged), "a token in nginx's logs: {}", logged[:500])
