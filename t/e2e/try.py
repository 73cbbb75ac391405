#!/usr/bin/python3 -B
"""What contrib/try.sh shows once everything is built: messages of two customers at the gate, told step by step."""
import argparse
import http.client
import os
import re
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from lib.gate import new_tracking_key  # noqa: E402
from lib.harness import Failed, World, check, check_eq, end_process, free_port, port_answers, wait_for  # noqa: E402
from lib.page import Page  # noqa: E402
from lib.relay import PASSWORD, Relay, accepted, refused  # noqa: E402
from lib.smtp import message  # noqa: E402

ALICE, GINZA = "alice@acme.test", "shop@ginza.test"
LIMIT = 5
TENANTS = {
    "acme": {
        "match": [{"auth": "*@acme.test"}],
        "senders": ["@acme.test"],
        "quotas": [{"name": "hourly", "limit": f"{LIMIT}/hour", "counts": "recipients"}],
    },
    "ginza": {
        "match": [{"auth": "*@ginza.test"}, {"sender": "@ginza.test"}],
        "senders": ["@ginza.test"],
        "quotas": [{"name": "hourly", "limit": "1000/hour", "counts": "recipients"}],
        "tracking": {"host": "track.ginza.test", "opens": True, "clicks": True},
        "suppress": {"hard_bounces": "30d"},
    },
}
LETTER = """\
<html><body><p>Dear reader,</p>
<p><a href="https://ginza.example/spring?sale=1&amp;size=m">See the spring sale</a></p>
</body></html>
""".replace("\n", "\r\n")
HTML = "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nX-Sekisho-Track: id=spring-sale\r\n"
BROWSER = {"Host": "track.ginza.test", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}

def set_up(page, world):
    page.step("A relay, for a moment")
    page.tell("""A private Postfix on loopback, Sekisho as its milter with the embedded store, and a next hop that keeps
              what it gets. The mail of this machine is not touched.""")
    world.track_port = free_port()
    relay = Relay(world, TENANTS, logins=[ALICE, GINZA], settings={
        "tracking": {"key_file": new_tracking_key(world), "listen": f"127.0.0.1:{world.track_port}"},
        "maillog": {"path": world.path("postfix", "maillog")}})
    with open(relay.gate.config_path) as config:
        page.show("tenants:" + config.read().partition("tenants:")[2])
    page.good(f"Postfix answers on 127.0.0.1 port {relay.mta.port}")
    return relay


def pass_one(page, relay):
    page.step("acme sends a message, logged in as " + ALICE)
    content = message(ALICE, "bob@example.test", "Tea on Friday?", "Shall we meet at four?\r\n")
    with relay.client(ALICE) as client:
        reply = accepted(client.send(ALICE, ["bob@example.test"], content))
        client.quit()
    page.show(str(reply))
    page.tell("As it arrived at the next hop:")
    delivered = relay.sink.find(b"Tea on Friday?")
    page.show(delivered.body.decode(), marks=("Sekisho-Record:",))
    check(delivered.record, "the delivered message has no header Sekisho-Record")
    relay.gate.record_of(delivered.record, "accepted")
    page.good("delivered; its header Sekisho-Record names its line in the relay log")
    return delivered.record


def fill_quota(page, relay):
    page.step(f"acme goes on, but its quota is {LIMIT} recipients an hour")
    with relay.client(ALICE) as client:
        for number in range(2, LIMIT + 1):
            to = f"customer{number}@example.test"
            accepted(client.send(ALICE, [to], message(ALICE, to, f"Offer {number}")))
        page.tell(f"Recipients 2 to {LIMIT}: accepted. Recipient {LIMIT + 1}, as the sender saw it:")
        to = f"customer{LIMIT + 1}@example.test"
        reply = client.send(ALICE, [to], message(ALICE, to, "One offer too many"))
        client.quit()
    page.show(str(reply), marks=("4",))
    ref = refused(reply, 451, "4.7.1", "SKQ-RATE")
    page.good("refused for now; the sender's mail server keeps it and tries again")
    return ref


def other_tenant(page, relay):
    page.step("ginza is somebody else, with a quota of its own")
    with relay.client(GINZA) as client:
        reply = accepted(client.send(GINZA, ["carol@example.test", "dave@example.test"],
                                     message(GINZA, "carol@example.test", "Your parcel is on its way")))
        page.show(str(reply))
        page.tell("But it may not write in acme's name:")
        reply = client.send(ALICE, ["carol@example.test"], message(ALICE, "carol@example.test", "A forgery"))
        client.quit()
    page.show(str(reply), marks=("5",))
    check_eq(reply.code, 550, "reply to another tenant's sender")
    relay.sink.wait_count(LIMIT + 1)
    page.good("one message of two recipients delivered, one refused for good")


def follow(page, relay):
    page.step("ginza's readers: was it opened, was the link followed?")
    world = relay.world
    with open(world.path("track.log"), "w") as log:
        track = world.spawn([world.program("sekisho-track"), "-c", relay.gate.config_path, "-f"], stdout=log, stderr=log)
    wait_for(lambda: port_answers(world.track_port), "sekisho-track to listen")
    with relay.client(GINZA) as client:
        accepted(client.send(GINZA, ["carol@example.test"],
                             message(GINZA, "carol@example.test", "Spring sale", LETTER, HTML)))
        client.quit()
    page.tell("The page as it was sent:")
    page.show(LETTER)
    page.tell("And as it was delivered: the link is signed, a pixel is in, no other octet is touched.")
    delivered = relay.sink.find(b"Subject: Spring sale").body.partition(b"\r\n\r\n")[2].decode()
    page.show(delivered)
    paths = dict((path[1], path) for path in re.findall(r"https://track\.ginza\.test(/[co]/[A-Za-z0-9_-]+)", delivered))
    check_eq(sorted(paths), ["c", "o"], "tracked link and pixel")
    page.tell("A reader opens it, and follows the link:")
    ask(page, world, paths["o"], 200)
    check_eq(ask(page, world, paths["c"], 302), "https://ginza.example/spring?sale=1&size=m", "where the link leads")
    end_process(track)
    page.command("sekisho track stats ginza --message spring-sale",
                 relay.gate.tool_ok("track", "stats", "ginza", "--message", "spring-sale"))
    counts = relay.gate.tool_json("track", "stats", "ginza", "--message", "spring-sale")
    check_eq((counts["opens"], counts["clicks"]), (1, 1), "opens and clicks")
    page.good("one open, one click, and the reader came where the sender meant")


def ask(page, world, path, status):
    peer = http.client.HTTPConnection("127.0.0.1", world.track_port, timeout=15)
    peer.request("GET", path, headers=BROWSER)
    reply = peer.getresponse()
    leads_to = reply.getheader("Location", "")
    page.show(f"GET {path[:24]}...  {reply.status} {reply.reason} {leads_to}")
    check_eq(reply.status, status, f"answer to {path}")
    return leads_to


def bounce(page, relay):
    page.step("Mail that comes back: known, counted, and not sent again")
    gone = "bounce.eve@example.test"
    with relay.client(GINZA) as client:
        accepted(client.send(GINZA, [gone], message(GINZA, gone, "Are you there?")))
        page.tell("The next hop says there is no such user; Sekisho reads it in the mail log:")
        failed = wait_for(lambda: [r for r in relay.gate.records() if r["event"] == "failed"], "a record of the failure", 30)[0]
        page.show(failed["outcome"]["reply"], marks=("5",))
        page.command("sekisho bounce count ginza", relay.gate.tool_ok("bounce", "count", "ginza"))
        page.tell("The next message to that address:")
        reply = client.send(GINZA, [gone], message(GINZA, gone, "Are you there still?"))
        client.quit()
    page.show(str(reply), marks=("5",))
    relay.gate.record_of(refused(reply, 550, "5.7.1", "SKQ-SUPP"), "rejected")
    page.good("one hard bounce of ginza; the address is on its suppression list for 30 days")


def read_records(page, relay, ref):
    page.step("The relay log: one line for each, on disk before the sender heard of it")
    records = relay.gate.mail_records()
    for record in records:
        page.show(f"{record['time'][11:19]} {record['event']:9} {record.get('tenant', '-'):6} {record.get('from') or '<>':17} "
                  f"-> {', '.join(record.get('to', [])) or '-'}", marks=())
    counts = [(sum(r["event"] == event and r.get("tenant") == tenant for r in records)) for event, tenant in (
        ("accepted", "acme"), ("deferred", "acme"), ("accepted", "ginza"), ("rejected", "ginza"))]
    check_eq(counts, [LIMIT, 1, 3, 2], "records accepted and deferred of acme, accepted and rejected of ginza")
    page.tell("A whole line, here the last:")
    page.show([line for line in relay.gate.lines() if records[-1]["id"].encode() in line][0].decode())
    page.tell("The refused sender quotes the reference of the reply:")
    page.command(f"sekisho log show {ref}", relay.gate.tool_ok("log", "show", ref))
    page.good(f"{len(records)} records for {len(records)} messages")


def verify(page, relay):
    page.step("sekisho log verify: is the log as it was written?")
    page.command("sekisho log verify", relay.gate.verify())
    page.good("intact (exit 0)")
    page.tell("And if somebody put in another recipient, afterwards?")
    path = os.path.join(relay.gate.log_dir, "relay")
    name = sorted(n for n in os.listdir(path) if n.endswith(".jsonl"))[-1]
    shutil.copytree(relay.gate.dir, relay.gate.dir + "-altered", ignore=shutil.ignore_patterns("*.sock"))
    altered = f"{relay.gate.dir}-altered/log/relay/{name}"
    with open(altered, "rb+") as log:
        log.seek(log.read().index(b"bob@example.test"))
        log.write(b"eve")
    config_path = f"{relay.gate.dir}-altered/sekisho.yaml"
    with open(relay.gate.config_path) as config, open(config_path, "w") as out:
        out.write(config.read().replace(relay.gate.dir, relay.gate.dir + "-altered"))
    done = relay.world.run([relay.world.program("sekisho"), "-c", config_path, "log", "verify", "--class", "relay"])
    page.command("sekisho log verify --class relay", done.stdout + done.stderr)
    check_eq(done.returncode, 1, "exit status of `log verify` on an altered copy")
    page.good("a copy that names eve instead of bob does not verify (exit 1)")


def leave_running(page, relay):
    page.step("Yours to play with, until Ctrl-C")
    page.tell(f"""Submission is on 127.0.0.1 port {relay.mta.port}, AUTH PLAIN with the password `{PASSWORD}`, as
              {ALICE} or
              {GINZA}. In another terminal, first:""")
    print(f"""
   D={relay.world.dir}
   sekisho() {{ {relay.world.program('sekisho')} -c $D/gate/sekisho.yaml "$@"; }}
""")
    for how, why in (
            ("sekisho quota show acme", "what is used and left"),
            ("sekisho quota reset acme", "acme has its hour back"),
            ("sekisho tenant suspend ginza", "and resume"),
            ("sekisho status", "the gate at work"),
            ("tail -f $D/gate/log/relay/*.jsonl", "the relay log"),
            ("tail -f $D/postfix/maillog", "what Postfix says"),
            (f"kill -USR1 {relay.gate.pid}", "after editing $D/gate/sekisho.yaml"),
            (f"echo hello | sendmail -C $D/postfix/etc -f {GINZA} you@example.test", "")):
        print(f"   {how:38}" + page.paint("2", why))
    sys.stdout.flush()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.getcwd(), metavar="DIR", help="where the programs were built (here)")
    parser.add_argument("--tmp", default="/tmp", metavar="DIR", help="where the relay lives meanwhile (/tmp)")
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    chosen = parser.parse_args()
    chosen.build, chosen.stay, chosen.keep, chosen.mta = os.path.abspath(chosen.build), chosen.keep, False, "postfix"
    return chosen


def main():
    chosen = options()
    page = Page()
    print(page.paint("1", "Sekisho: a message passes the gate"))
    world = World(chosen, "try")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        relay = set_up(page, world)
        pass_one(page, relay)
        ref = fill_quota(page, relay)
        other_tenant(page, relay)
        follow(page, relay)
        bounce(page, relay)
        read_records(page, relay, ref)
        verify(page, relay)
        if chosen.stay:
            leave_running(page, relay)
    except Failed as reason:
        print("\n" + page.paint("31", "   NOT SO: ") + str(reason))
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        print(world.close(), end="")
    print("\n" + page.paint("1", "All of it was so.") + " Everything that was started has been stopped and removed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
