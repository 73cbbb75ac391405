"""The configuration changes while mail passes."""
import os
import signal
import socket
import threading

from lib.gate import Gate
from lib.harness import check, check_eq, wait_for
from lib.relay import Relay, accepted, refused
from lib.smtp import message

TO = "someone@example.test"


def setup(world):
    world.relay = Relay(world, {"acme": {"match": [{"auth": "*@acme.test"}]}})


def client(world, name="acme"):
    return world.relay.client(LOGIN=f"user@{name}.test")


def test_reload(world):
    """a message keeps the configuration it began with, the next one has the new"""
    gate = world.relay.gate
    with client(world) as c:
        check_eq(c.mail("a@acme.test").code, 250, "MAIL before")
        check_eq(c.rcpt(TO).code, 250, "RCPT before")
        gate.config["tenants"]["acme"]["senders"] = ["@only.test"]
        gate.reload()
        accepted(c.data(message("a@acme.test", TO, "began before")))
        refused(c.mail("a@acme.test"), 550, "5.7.1", "SKQ-SENDER")
        accepted(c.send("a@only.test", [TO], message("a@only.test", TO)))


def test_new_tenant(world):
    """a tenant that comes and goes"""
    gate = world.relay.gate
    with client(world, "ginza") as c:
        refused(c.mail("a@ginza.test"), 550, "5.7.1", "SKQ-WHO")
        gate.config["tenants"]["ginza"] = {"match": [{"auth": "*@ginza.test"}]}
        gate.reload()
        accepted(c.send("a@ginza.test", [TO], message("a@ginza.test", TO)))
        del gate.config["tenants"]["ginza"]
        gate.reload()
        refused(c.mail("a@ginza.test"), 550, "5.7.1", "SKQ-WHO")


BROKEN = {
    "no YAML": "tenants: [unclosed\n",
    "an unknown key": "tennants: {}\n",
    "an empty file": "",
    "random octets": "".join(chr(1 + (n * 7919) % 250) for n in range(4096)),
    "two tenants with one claim": "tenants:\n  a: {match: [{auth: x}]}\n  b: {match: [{auth: x}]}\n",
    "an alias": "tenants: &a {x: *a}\n",
}


def test_broken_reload(world):
    """a broken file changes nothing, however it is broken, and the log says where"""
    gate = world.relay.gate
    with client(world) as c:
        for what, text in BROKEN.items():
            said = gate.reload(text)
            check("before stays" in said, "after {}: {}", what, said)
            check(f"{gate.config_path}:" in gate.log(), "the log does not name the file")
            accepted(c.send("a@only.test", [TO], message("a@only.test", TO, what)))
            check_eq(gate.tool("check").returncode, 1, f"exit status of check with {what}")
        gate.reload()
        accepted(c.send("a@only.test", [TO], message("a@only.test", TO)))
    check_eq(gate.tool("check").returncode, 0, "exit status of check")


def test_refused_twice(world):
    """what the daemon alone finds wrong is its answer to `sekisho reload`, the second time as well"""
    gate = world.relay.gate
    gate.config["tracking"] = {"key_file": f"{gate.dir}/absent.key"}
    gate.config["tenants"]["acme"]["tracking"] = {"host": "t.acme.test", "clicks": True}
    gate.write_config()
    check_eq(gate.tool("check").returncode, 0, "exit status of check")
    for _ in range(2):
        done = gate.tool("reload")
        check_eq(done.returncode, 1, f"exit status of reload: {done.stderr}")
        check("before stays in force" in done.stderr and "absent.key" in done.stderr, "it says {}", done.stderr)
    del gate.config["tracking"], gate.config["tenants"]["acme"]["tracking"]
    gate.write_config()
    gate.tool_ok("reload")


def test_reload_under_load(world):
    """thirty reloads while eight sessions send: every message is accepted"""
    gate, replies, stop = world.relay.gate, [], threading.Event()

    def send():
        with client(world) as c:
            while not stop.is_set():
                replies.append(c.send("a@only.test", [TO], message("a@only.test", TO)).code)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(30):
        gate.config["tenants"][f"extra{number}"] = {"match": [{"auth": f"x{number}@extra.test"}]}
        gate.reload()
    stop.set()
    for thread in threads:
        thread.join()
    check(len(replies) > 30, "only {} messages were sent", len(replies))
    check_eq(set(replies), {250}, "replies")
    gate.verify()


def test_reload_at_the_start(world):
    """a reload that comes while the gate still waits for its store is done when it has started"""
    silent = socket.create_server(("127.0.0.1", 0))
    world.at_end(silent.close)
    store = {"backend": "redis", "timeout": "2s", "redis": {"addresses": [f"127.0.0.1:{silent.getsockname()[1]}"]}}
    gate = Gate(world, {"acme": {"match": [{"auth": "*@acme.test"}]}}, {"store": store}, start=False)
    gate.launch()
    wait_for(lambda: os.path.exists(f"{gate.dir}/state/sekisho-milter.pid"), "its pid file")
    os.kill(gate.pid, signal.SIGUSR1)
    wait_for(lambda: "reload: configuration 2 is in force" in gate.log() or not gate.is_alive, "the reload")
    check(gate.is_alive, "it died: {}", gate.log())
