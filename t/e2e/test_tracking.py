"""Opens and clicks: what a tenant tracks is rewritten on its way, nothing else is, and signers behind us sign the result."""
import base64
import os
import quopri
import re
import secrets
from concurrent.futures import ThreadPoolExecutor

from lib.gate import new_tracking_key
from lib.harness import check, check_eq, need_own_memory
from lib.milter import MilterPeer
from lib.relay import Relay, accepted
from lib.signer import Signer
from lib.smtp import message

TO = "reader@example.test"
HOST = "track.acme.test"
LINK = re.compile(rb"https://" + HOST.encode() + rb"/([cou])/([A-Za-z0-9_-]+)")
TENANTS = {
    "acme": {"match": [{"auth": "*@acme.test"}],
             "tracking": {"host": HOST, "opens": True, "clicks": True, "list_unsubscribe": True}},
    "strip": {"match": [{"auth": "*@strip.test"}],
              "tracking": {"host": "track.strip.test", "clicks": True, "on_signed": "strip"}},
    "plain": {"match": [{"auth": "*@plain.test"}]},
}
PAGE = ('<html><body>\r\n<p>\u3053\u3093\u306b\u3061\u306f <a href="https://example.org/shop?a=1&amp;b=2">shop</a>\r\n'
        '<a href=\'http://example.org/x\' title="a > b">x</a> <a href="mailto:a@example.org">m</a></p>\r\n'
        '</body></html>\r\n')


def setup(world):
    keys = new_tracking_key(world)
    world.signer = Signer(world)
    settings = {"tracking": {"key_file": keys}}
    world.relay = Relay(world, TENANTS, settings=settings)
    world.signed = Relay(world, TENANTS, settings=settings, behind=(f"inet:127.0.0.1:{world.signer.port}",))


def page(content=PAGE, charset="utf-8", encoding="8bit", extra=""):
    octets = content if isinstance(content, bytes) else content.encode(charset)
    if encoding == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    head = f"MIME-Version: 1.0\r\nContent-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return octets, head + extra


def send(relay, tenant, subject, body, extra, to=(TO,)):
    sender = f"user@{tenant}.test"
    with relay.client(LOGIN=sender) as client:
        accepted(client.send(sender, list(to), message(sender, to[0], subject, body, extra), "BODY=8BITMIME"))
    return relay.sink.find(f"Subject: {subject}".encode())


def parts(delivered):
    head, _, body = delivered.body.partition(b"\r\n\r\n")
    return head, body


def actions(relay, delivered):
    return relay.gate.record_of(delivered.record, "accepted").get("actions", [])


def restored(body, links):
    """The body with its tracked links put back as they were and its pixel out: what the sender wrote."""
    body = re.sub(rb'<img src="https://' + HOST.encode() + rb'/o/[^>]*>', b"", body)
    for link in links:
        body = LINK.sub(link, body, count=1)
    return body


def test_links_and_pixel(world):
    """two links, one pixel, an unsubscribe address; every other octet as it came"""
    body, extra = page()
    delivered = send(world.relay, "acme", "links and pixel", body, extra)
    _, got = parts(delivered)
    check_eq(sorted(kind for kind, _ in LINK.findall(got)), [b"c", b"c", b"o"], "tracked links")
    check_eq(restored(got, [b"https://example.org/shop?a=1&amp;b=2", b"http://example.org/x"]), body, "what is left")
    check_eq(delivered.header("List-Unsubscribe-Post"), ["List-Unsubscribe=One-Click"], "header")
    check(delivered.header("List-Unsubscribe")[0].startswith(f"<https://{HOST}/u/"), "List-Unsubscribe")
    check_eq(actions(world.relay, delivered), ["opens", "clicks:2", "unsubscribe"], "actions")


def test_same_as_the_tool(world):
    """`sekisho rewrite` makes the same octets as the milter"""
    body, extra = page()
    _, got = parts(send(world.relay, "acme", "same as the tool", body, extra + "Message-ID: <same@acme.test>\r\n"))
    source = message("user@acme.test", TO, "same as the tool", body, extra + "Message-ID: <same@acme.test>\r\n")
    done = world.relay.gate.tool("rewrite", "--tenant", "acme", "--from", "user@acme.test", "--rcpt", TO,
                                 input=source.decode("utf-8", "surrogateescape"))
    check_eq(done.returncode, 0, done.stderr)
    tool = done.stdout.encode("utf-8", "surrogateescape").replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    check_eq(got.replace(b"\r\n", b"\n"), tool, "body")


def test_charsets(world):
    """pages in ISO-2022-JP, Shift_JIS and UTF-16 lead where they led, in each transfer encoding"""
    for charset, encoding in (("iso-2022-jp", "7bit"), ("shift_jis", "8bit"), ("euc-jp", "quoted-printable"),
                              ("utf-8", "base64"), ("utf-16", "base64")):
        body, extra = page(charset=charset, encoding=encoding)
        delivered = send(world.relay, "acme", f"charset {charset} {encoding}", body, extra)
        _, got = parts(delivered)
        done = {"base64": base64.b64decode, "quoted-printable": quopri.decodestring}.get(encoding, bytes)(got)
        text = done.decode(charset).replace("\r\n", "\n")
        check("\u3053\u3093\u306b\u3061\u306f" in text, "{}: text", charset)
        check_eq(len(LINK.findall(text.encode())), 3, f"{charset}: tracked links")
        check_eq(actions(world.relay, delivered)[:2], ["opens", "clicks:2"], "actions")


def test_others_untouched(world):
    """a text part, an attachment, and mail of a tenant that does not track: byte for byte"""
    html, _ = page()
    attached = b'<a href="http://example.org/attached">a</a>\r\n'
    body = (b"preamble\r\n--b1\r\nContent-Type: text/plain\r\n\r\nhttp://example.org/plain\r\n"
            b"--b1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + html +
            b"--b1\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=a.html\r\n\r\n" + attached +
            b"--b1--\r\nepilogue <a href=\"http://example.org/e\">\r\n")
    extra = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n"
    _, got = parts(send(world.relay, "acme", "three parts", body, extra))
    check_eq(restored(got, [b"https://example.org/shop?a=1&amp;b=2", b"http://example.org/x"]), body, "body")
    delivered = send(world.relay, "plain", "not tracked", body, extra + "X-Sekisho-Track: id=campaign\r\n")
    check_eq(parts(delivered)[1], body, "body of plain")
    check_eq(delivered.header("X-Sekisho-Track"), [], "a header that is not for readers")
    check_eq(actions(world.relay, delivered), [], "actions")


def test_steering(world):
    """the sender's X-Sekisho-Track is obeyed and removed"""
    body, extra = page()
    delivered = send(world.relay, "acme", "steered", body, extra + "X-Sekisho-Track: opens=off; clicks=off\r\n"
                     "X-Sekisho-Track: id=other\r\n", to=(TO, "two@example.test"))
    check_eq(parts(delivered)[1], body, "body")
    check_eq(delivered.header("X-Sekisho-Track"), [], "header")


def test_many_fields(world):
    """however many fields steer, all go, and the header says how the body has to be read"""
    line = "x" * 900 + '<a href="http://example.org/x">x</a>\r\n'
    body, extra = page(line, encoding="7bit", extra="X-Sekisho-Track: opens=off; id=n1\r\n" * 300)
    delivered = send(world.relay, "acme", "many fields", body, extra)
    check_eq(delivered.header("X-Sekisho-Track"), [], "header")
    check_eq(delivered.header("Content-Transfer-Encoding"), ["quoted-printable"], "header")
    _, got = parts(delivered)
    check_eq(restored(quopri.decodestring(got), [b"http://example.org/x"]), line.encode(), "what is left")


def test_readers(world):
    """whose an open or a click is: a token each, and the same token for all where readers are off"""
    body, extra = page()
    def tokens(subject, steering):
        return [LINK.findall(parts(send(world.relay, "acme", f"{subject} {to}", body, extra + steering, to=(to,)))[1])
                for to in (TO, "two@example.test")]
    one, two = tokens("readers named", "X-Sekisho-Track: id=sale\r\n")
    check(len(one) == 3 and not set(one) & set(two), "tokens: {} {}", one, two)
    one, two = tokens("readers not named", "X-Sekisho-Track: readers=off\r\n")
    check(len(one) == 3, "tokens: {}", one)
    check_eq(one, two, "tokens")


def test_large(world):
    """a body of 12 MB goes over the disk, and comes out rewritten; nothing stays in state_dir"""
    filler = b"<p>" + b"x" * 900 + b"</p>\r\n"
    body, extra = page(PAGE.replace("</body>", "%").encode().replace(b"%", filler * 13000 + b"</body>"))
    delivered = send(world.relay, "acme", "large", body, extra)
    check_eq(restored(parts(delivered)[1], [b"https://example.org/shop?a=1&amp;b=2", b"http://example.org/x"]), body, "body")
    check(not [f for f in os.listdir(f"{world.relay.gate.dir}/state") if f.startswith("body")], "files left")


def test_signature_behind(world):
    """a DKIM signature made behind Sekisho verifies, and covers both fields of one click"""
    body, extra = page()
    delivered = send(world.signed, "acme", "signed behind", body, extra)
    check(LINK.search(delivered.body), "not rewritten")
    check_eq(len(delivered.header("DKIM-Signature")), 1, "signatures")
    signed = re.search(r"[;\s]h=([^;]*);", delivered.header("DKIM-Signature")[0])[1]
    for field in "List-Unsubscribe", "List-Unsubscribe-Post":       # RFC 8058 4: else receivers offer no click
        check(field in re.split(r"[:\s]+", signed), "{} is not signed: {}", field, signed)
    said = world.signer.verify(delivered.body)
    check("verification (s=s1" in said and "succeeded" in said, "opendkim: {}", said)
    broken = world.signer.verify(delivered.body.replace(b"shop</a>", b"shap</a>"))
    check("succeeded" not in broken, "a broken message passes: {}", broken)


def test_signed_before(world):
    """mail that is signed already stays as it is; where its tenant says strip, the signature goes and links are tracked"""
    body, extra = page()
    signature = "DKIM-Signature: v=1; a=rsa-sha256; d=acme.test; s=s1; h=from;\r\n\tbh=eA==; b=eA==\r\n"
    delivered = send(world.relay, "acme", "signed before", body, extra + signature)
    check_eq(parts(delivered)[1], body, "body")
    check(any(a.startswith("left:") for a in actions(world.relay, delivered)), "actions: {}",
          actions(world.relay, delivered))
    delivered = send(world.relay, "strip", "stripped", body, extra + signature + signature)
    check_eq(delivered.header("DKIM-Signature"), [], "signatures")
    check_eq(parts(delivered)[1].count(b"https://track.strip.test/c/"), 2, "links")


def test_memory(world):
    """256 messages of 10 MB at their end at once: all rewritten, in less than 256 MiB"""
    need_own_memory(world)
    count, chunk = 256, (b"<p>" + b"x" * 900 + b"</p>\r\n") * 71
    relay = world.relay
    peers = [MilterPeer(relay.gate.socket, 120.0) for _ in range(count)]
    for peer in peers:
        peer.negotiate()
        peer.connect()
        peer.envelope("user@acme.test", "user@acme.test", [TO])
        peer.step("L", b"Content-Type\0text/html; charset=utf-8\0")
        peer.step("N")
        peer.step("B", PAGE.replace("</body></html>", "").encode())
    for _ in range(10000000 // len(chunk)):
        for peer in peers:
            peer.step("B", chunk)
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(MilterPeer.end_of_message, peers))
    for peer in peers:
        peer.socket.close()
    check_eq({answer for answer, _ in answers}, {"c"}, "answers")
    check(min(size for _, size in answers) > 10000000, "new bodies: {}", min(answers))
    now, most = relay.gate.rss()
    print(f"     resident: {most >> 20} MiB at most, {now >> 20} MiB afterwards")
    check(most < 256 << 20, "resident at most: {} MiB", most >> 20)


test_memory.seconds = 240


def test_keys_come_and_go(world):
    """a second key in the file seals after a reload; a file that is broken changes nothing"""
    gate = world.relay.gate
    path = gate.config["tracking"]["key_file"]
    with open(path, "a") as out:
        out.write(f"2 {secrets.token_hex(64)}\n")
    check("in force" in gate.reload(), "reload")
    body, extra = page()
    token = LINK.search(send(world.relay, "acme", "second key", body, extra).body)[2]
    check_eq(base64.urlsafe_b64decode(token + b"==")[1], 2, "key id")
    good = open(path).read()
    with open(path, "w") as out:
        out.write("no keys\n")
    check("stays in force" in gate.reload(), "reload with a broken file")
    check(LINK.search(send(world.relay, "acme", "still second key", body, extra).body), "rewritten")
    with open(path, "w") as out:
        out.write(good)
    check("in force" in gate.reload(), "reload")
