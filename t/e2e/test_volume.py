"""Sudden volume: an hour that is many times the busiest one of the week before, with yesterday really having been."""
import json
import os
import struct

from lib.harness import Skipped, check, check_eq, wait_for
from lib.relay import Relay, accepted, refused
from lib.smtp import message

DAY_US = 86400 * 10**6
SUDDEN = {"match": [{"auth": "*@sudden.test"}], "guard": {"volume": 3, "sample": 4, "action": "defer"}}
NEW = {"match": [{"auth": "*@new.test"}], "guard": {"volume": 3, "sample": 4, "action": "defer"}}


def setup(world):
    library = f"{world.build}/t/lib/timeshift.so"
    if not os.access(library, os.R_OK):
        raise Skipped("run make check TESTS= first")
    with open(world.path("shift"), "wb") as out:
        out.write(struct.pack("q", -DAY_US).ljust(4096, b"\0"))
    command = world.path("notify")
    with open(command, "w") as script:
        script.write(f"#!/bin/sh\ncat >>{world.path('notices')}\n")
    os.chmod(command, 0o755)
    before = dict(os.environ)
    os.environ.update(LD_PRELOAD=library, TIMESHIFT_FILE=world.path("shift"),
                      ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    try:
        world.relay = Relay(world, {"sudden": SUDDEN, "new": NEW}, settings={"notify": {"command": command}})
    finally:
        os.environ.clear()
        os.environ.update(before)


def send(world, tenant, count):
    sender, recipients = f"w@{tenant}.test", [f"r{n}@example.test" for n in range(count)]
    with world.relay.client(LOGIN=sender) as client:
        return client.send(sender, recipients, message(sender, recipients[0]))


def suspended(world):
    return world.relay.gate.tool_json("tenant", "show", "sudden")["state"] == "suspended"


def test_first_day(world):
    """one who has no past is not held to it"""
    accepted(send(world, "sudden", 5))
    accepted(send(world, "sudden", 1))
    check_eq(world.relay.gate.mail_records(event="accepted")[0]["nrcpt"], 5, "recipients of the first record")
    check(not suspended(world), "suspended on its first day")


def test_next_day(world):
    """up to so many times the busiest hour of yesterday pass; what is beyond stops the tenant, and the operator is told"""
    first = world.relay.gate.mail_records(event="accepted")[0]["time"][:10]
    world.relay.gate.restart()
    for _ in range(3):
        accepted(send(world, "sudden", 6))
    check(world.relay.gate.mail_records(event="accepted")[-1]["time"][:10] > first, "the first day was not yesterday")
    accepted(send(world, "new", 19))
    check(not suspended(world), "suspended at three times yesterday's hour")
    accepted(send(world, "sudden", 1))
    wait_for(lambda: suspended(world), "the tenant to be stopped", 20)
    refused(send(world, "sudden", 1), 450, "4.7.1", "SKQ-SUSP")
    accepted(send(world, "new", 1))
    with open(world.path("notices")) as lines:
        notices = [n for n in map(json.loads, lines) if n.get("tenant")]
    check_eq([(n["tenant"], n["event"], n["what"], n["count"], n["sample"], n["bound"], n["action"]) for n in notices],
             [("sudden", "suspended", "volume", 19, 6, 3, "defer")], "what the operator was told")


def test_resumed(world):
    """resumed, what was sent up to then is not held against it"""
    world.relay.gate.tool_ok("tenant", "resume", "sudden")
    accepted(send(world, "sudden", 2))
    check_eq([r["detail"]["what"] for r in world.relay.gate.records("ops") if r["event"] == "suspended"], ["volume"],
             "strikes on the record")
    check(not suspended(world), "suspended again for the same mail")
    world.relay.gate.verify()
