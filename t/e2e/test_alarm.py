"""Alarms of the relay log: the operator's program hears of each, once, and of its end; the daily verification is on the record."""
import glob
import json
import os
import pathlib
import shutil

from lib.harness import Skipped, check, check_eq, fill_disk, wait_for
from lib.relay import Relay, accepted
from lib.smtp import message

TO = "someone@example.test"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}]}}


def setup(world):
    command = world.path("page")
    with open(command, "w") as script:
        script.write(f"#!/bin/sh\ncat >>{world.path('pages')}\n")
    os.chmod(command, 0o755)
    world.disk = world.new_dir("disk")
    world.is_mounted = world.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "sekisho-e2e", world.disk]).returncode == 0
    if world.is_mounted:
        world.at_end(lambda: world.run(["umount", world.disk]))
    world.relay = Relay(world, TENANTS, log_dir=f"{world.disk}/log", follows=True,
                        settings={"relay_log": {"preallocate": "64KiB", "disk_warn": 10},
                                  "alarm": {"command": command, "silence": "2s"}})


def send(client):
    return client.send("a@acme.test", [TO], message("a@acme.test", TO))


def pages(world, alarm, state=None):
    try:
        with open(world.path("pages")) as file:
            said = [json.loads(line) for line in file]
    except FileNotFoundError:
        return []
    return [page for page in said if page["alarm"] == alarm and state in (None, page["state"])]


def wait_page(world, alarm, state):
    return wait_for(lambda: pages(world, alarm, state), f"alarm {alarm} {state}", 30)[-1]


def verified(world, name="relay"):
    return [r["detail"] for r in world.relay.gate.records("ops") if r["event"] == "verified" and r["detail"]["class"] == name]


def test_verified(world):
    """each class is verified at the start of a day, with a record of what was found"""
    wait_for(lambda: verified(world, "ops"), "a record of class ops", 30)
    first = verified(world)[0]
    check_eq((first["result"], first["first_seq"]), ("intact", 1), "the first verification")
    day = pathlib.Path(world.relay.gate.config["state_dir"], "verified")
    wait_for(lambda: day.exists() and day.read_text().startswith("20"), "a day in state_dir/verified")
    world.relay.gate.restart()
    check_eq(len(verified(world)), 1, "verifications of one day")


def test_verified_ahead(world):
    """a clock that was a year ahead for a moment does not put the next verification off until then"""
    gate = world.relay.gate
    gate.stop()
    day = pathlib.Path(gate.config["state_dir"], "verified")
    day.write_text(f"{int(day.read_text()[:4]) + 1}-01-01\n")
    gate.start()
    wait_for(lambda: len(verified(world)) == 2, "a second verification", 30)


def test_disk_and_gap(world):
    """a full disk and the records that found no room: two alarms, and word when there is room again"""
    if not world.is_mounted:
        raise Skipped("no tmpfs can be mounted here")
    with world.relay.client(LOGIN="user@acme.test") as client:
        accepted(send(client))
        filler = fill_disk(world.disk)
        wait_for(lambda: send(client).code != 250, "the log's disk to be full", 30)
        page = wait_page(world, "disk", "raised")
        check("of the disk is free" in page["text"] and page["node"] == "gate1", "page: {}", page)
        check("could not be written" in wait_page(world, "gap", "raised")["text"], "gap: {}", pages(world, "gap"))
        os.unlink(filler)
        wait_for(lambda: send(client).code == 250, "room again", 10, 0.2)
    wait_page(world, "disk", "over")
    check_eq((len(pages(world, "disk")), len(pages(world, "gap"))), (2, 1), "pages about disk and gap")
    world.relay.gate.verify()


def test_silence(world):
    """mail that goes round the gate: the MTA's log tells of it"""
    check_eq(pages(world, "silence"), [], "alarms of silence so far")
    world.relay.mta.leave_milters()
    wait_for(lambda: bypass(world), "mail to go round the gate", 20, 0.5)
    check("no mail was recorded since" in wait_page(world, "silence", "raised")["text"], "page: {}", pages(world, "silence"))


def bypass(world):
    before = len(world.relay.gate.mail_records())
    with world.relay.client() as client:
        check_eq(send(client).code, 250, "a message without a gate")
    return len(world.relay.gate.mail_records()) == before


def test_overdue(world):
    """what cannot be purged: an alarm"""
    os.mkdir(f"{world.relay.gate.log_dir}/relay/2020-01-01.jsonl")
    world.relay.gate.restart()
    check("2020-01-01.jsonl should have been purged" in wait_page(world, "overdue", "raised")["text"], "page: {}",
          pages(world, "overdue"))
    os.rmdir(f"{world.relay.gate.log_dir}/relay/2020-01-01.jsonl")


def test_altered(world):
    """a byte of an old record changed while nobody looked: found by the next verification, told, and on the record; in a former
    class as well"""
    gate = world.relay.gate
    gate.stop()
    path = sorted(glob.glob(f"{gate.log_dir}/relay/*.jsonl"))[0]
    with open(path, "r+b") as log:
        text = log.read()
        at = text.index(b'"from":"a@acme.test"') + 8
        log.seek(at)
        log.write(b"b")
    os.unlink(f"{gate.config['state_dir']}/verified")
    shutil.copytree(f"{gate.log_dir}/relay", f"{gate.log_dir}/relay.old")
    shutil.copytree(f"{gate.log_dir}/relay", f"{gate.log_dir}/gold")
    for path in glob.glob(f"{gate.log_dir}/gold/*.jsonl"):
        gold = pathlib.Path(path)
        gold.write_bytes(gold.read_bytes().replace(b'"class":"relay"', b'"class":"gold"'))
    gate.start()
    page = wait_for(lambda: [p for p in pages(world, "verify", "raised") if "altered" in p["text"]], "alarm verify", 60)[0]
    check("class relay: altered: record " in page["text"], "page: {}", page)
    check_eq(verified(world)[-1]["result"], "altered", "the record")
    gold = wait_for(lambda: verified(world, "gold"), "a record about a class that the configuration does not name")
    check_eq(gold[-1]["result"], "altered", "that record")
    check_eq(verified(world, "relay.old"), [], "records about a copy of a class")
    alarms = [r["detail"]["alarm"] for r in gate.records("ops") if r["event"] == "alarm"]
    check({"disk", "gap", "silence", "overdue", "verify"} <= set(alarms) or not world.is_mounted, "alarms on record: {}", alarms)


def test_refused(world):
    """what the disk refuses and nobody waits for: an alarm, and it is on the record once the disk takes it"""
    gate = world.relay.gate
    gate.restart()
    gaps, reloads = len(pages(world, "gap")), len([r for r in gate.records("ops") if r["event"] == "config"])
    os.rename(f"{gate.log_dir}/ops", f"{gate.log_dir}/.ops")
    gate.reload()
    wait_for(lambda: len(pages(world, "gap")) > gaps, "alarm gap", 30)
    text = pages(world, "gap")[-1]["text"]
    check("stays in memory" in text and "could not be written" not in text, "page: {}", text)
    os.rename(f"{gate.log_dir}/.ops", f"{gate.log_dir}/ops")
    wait_for(lambda: len([r for r in gate.records("ops") if r["event"] == "config"]) > reloads, "the record of the reload", 30)
