"""A relay log on a disk that fills up: the mail waits, and nothing is lost or overwritten."""
import os

from lib.harness import Skipped, check, check_eq, fill_disk, wait_for
from lib.relay import Relay, accepted, refused
from lib.smtp import message

TO = "someone@example.test"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}]}}


def setup(world):
    world.disk = world.new_dir("disk")
    done = world.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "sekisho-e2e", world.disk])
    world.is_mounted = done.returncode == 0
    if not world.is_mounted:
        return
    world.at_end(lambda: world.run(["umount", world.disk]))
    world.relay = Relay(world, TENANTS, log_dir=f"{world.disk}/log", settings={"relay_log": {"preallocate": "64KiB"}})


def send(client):
    return client.send("a@acme.test", [TO], message("a@acme.test", TO))


def test_full(world):
    """452 while there is no room, 250 as soon as there is"""
    if not world.is_mounted:
        raise Skipped("no tmpfs can be mounted here")
    with world.relay.client(LOGIN="user@acme.test") as client:
        accepted(send(client))
        filler = fill_disk(world.disk)
        reply = wait_for(lambda: next((r for r in (send(client) for _ in range(50)) if r.code != 250), None),
                         "the log's disk to be full", 30)
        refused(reply, 452, "4.3.1", "SKQ-DISK")
        check(world.relay.gate.is_alive, "the daemon died")
        os.unlink(filler)
        wait_for(lambda: send(client).code == 250, "room again", 10, 0.2)
    passed = world.relay.gate.mail_records(event="accepted")
    world.relay.sink.wait_count(len(passed))
    known = {record.get("message", record["id"]) for record in passed}
    check_eq([m for m in world.relay.sink.messages if m.record not in known], [], "messages without a record")
    world.relay.gate.verify()
