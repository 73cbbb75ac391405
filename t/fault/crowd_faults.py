"""Faults of number and of patience: more descriptors than there are, a thousand at once, peers that take their time."""
import os
import secrets
import socket
import threading
import time
import urllib.request

from lab import LOGIN, TENANTS, fault
from lib.harness import check, check_eq, free_port, port_answers, wait_for
from lib.load import Load
from lib.milter import MilterPeer

SLOW_S = 0.2                           # between two octets of a slow peer
HOST = "track.acme.test"


def open_peers(lab, count):
    """Connections to the milter's socket that say nothing."""
    peers = []
    for _ in range(count):
        try:
            peers.append(MilterPeer(lab.gate.socket))
        except OSError:                            # the queue of those who wait to be accepted is full
            break
    return peers


def close_all(peers):
    for peer in peers:
        peer.socket.close()


@fault("crowds", "descriptor limit hit (RLIMIT_NOFILE 128)", 10, 1)
def descriptors(lab, tries):
    """Three times as many connections as there are descriptors: who comes then has to wait. Then they leave."""
    lab.begin(wrap=["prlimit", "--nofile=128:128"], postfix=["milter_connect_timeout = 2s", "milter_command_timeout = 2s"])
    for _ in range(tries):
        peers = open_peers(lab, 400)
        with lab.flow as flow:
            flow.wait_refusal(90)
            check(lab.gate.is_alive, "the daemon died")
            close_all(peers)
            lab.recovers(time.monotonic())
            flow.wait(8, 60)
    lab.settle()


@fault("crowds", "1 500 connections that say nothing", 5, 1)
def idle_connections(lab, tries):
    lab.begin()
    with lab.flow as flow:
        for _ in range(tries):
            peers = open_peers(lab, 1500)
            check_eq(len(peers), 1500, "connections")
            lab.recovers(time.monotonic())
            flow.wait(8, 60)
            keep_asking(metrics(lab))
            close_all(peers)
    lab.settle()


@fault("crowds", "1 000 SMTP sessions at once", 3)
def smtp_sessions(lab, tries):
    """Each has its turn: all are open before the first message is sent, and each sends one."""
    lab.begin(postfix=["smtpd_client_connection_rate_limit = 0"])
    for _ in range(tries):
        clients = []
        for _ in range(1000):
            clients.append(lab.relay.client(LOGIN=LOGIN))
        moment = time.monotonic()
        load = Load(Waiting(lab.relay, clients), LOGIN, 1000, count=1000)
        sent = load.wait()
        check_eq(load.lost, [], "sessions that broke")
        check_eq({s.reply.code for s in sent}, {250}, "replies")
        lab.tried(time.monotonic() - moment)
    lab.lost = 1000 * tries + len(lab.flow.acknowledged) - len(delivered(lab))
    check_eq(lab.lost, 0, "lost")
    lab.settle()


class Waiting:
    """A relay whose clients have come already."""

    def __init__(self, relay, clients):
        self._relay, self._clients, self._lock = relay, clients, threading.Lock()

    def client(self, *_):
        with self._lock:
            return self._clients.pop()


def delivered(lab):
    wait_for(lambda: not lab.relay.mta.queue(), "an empty queue", 240, 1)
    return lab.relay.sink.messages


class Slow:
    """Connections that send an octet of a valid beginning now and then, and never come to its end."""

    def __init__(self, connect, octets, count):
        self._sockets, self._octets, self._stop = [], octets, threading.Event()
        for _ in range(count):
            try:
                self._sockets.append(connect())
            except OSError:
                break
        self.count = len(self._sockets)
        self._thread = threading.Thread(target=self._drip, daemon=True)
        self._thread.start()

    def _drip(self):
        for octet in self._octets:
            for peer in self._sockets:
                try:
                    peer.send(bytes((octet,)))
                except OSError:
                    pass
            if self._stop.wait(SLOW_S):
                return

    def close(self):
        self._stop.set()
        self._thread.join()
        for peer in self._sockets:
            peer.close()


@fault("slow peers", "slow-loris on the milter's socket (400)", 5, 1)
def slow_milter(lab, tries):
    lab.begin()
    with lab.flow as flow:
        for _ in range(tries):
            slow = Slow(lambda: MilterPeer(lab.gate.socket).socket, b"\0\0\0\x0dO\0\0\0\6" + bytes(1000), 400)
            lab.recovers(time.monotonic())
            flow.wait(50, 60)
            slow.close()
    lab.settle()


def dial(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def metrics(lab):
    return f"http://127.0.0.1:{lab.gate.metrics_port}/metrics"


def is_answered(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def keep_asking(url, seconds=60):
    """Until there is an answer: how long that took."""
    began = time.monotonic()
    wait_for(lambda: is_answered(url), f"{url} to answer", seconds)
    return time.monotonic() - began


REQUEST = b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"a" * 1000


@fault("slow peers", "slow-loris on the metrics port (400)", 5, 1)
def slow_metrics(lab, tries):
    lab.begin()
    with lab.flow as flow:
        for _ in range(tries):
            slow = Slow(lambda: dial(lab.gate.metrics_port), REQUEST, 400)
            waited = keep_asking(metrics(lab))
            flow.wait(50, 60)
            slow.close()
            lab.tried(waited)
    lab.settle()


@fault("slow peers", "slow-loris on the tracking endpoint (2 000)", 5, 1)
def slow_endpoint(lab, tries):
    """The pixel of nobody is asked for meanwhile: always 200."""
    keys, port = lab.world.path("tracking.key"), free_port()
    with open(os.open(keys, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
        out.write(f"1 {secrets.token_hex(64)}\n")
    tenants = {"acme": {**TENANTS["acme"], "tracking": {"host": HOST, "opens": True}}}
    lab.begin(settings={"tracking": {"key_file": keys, "listen": f"127.0.0.1:{port}"}}, tenants=tenants)
    output = open(lab.world.path("track.log"), "a")
    track = lab.world.spawn([lab.world.program("sekisho-track"), "-c", lab.gate.config_path, "-f"], stdout=output, stderr=output)
    wait_for(lambda: port_answers(port), "sekisho-track to listen")
    for _ in range(tries):
        slow = Slow(lambda: dial(port), REQUEST.replace(b"/metrics", b"/o/A"), 2000)
        lab.tried(keep_asking(f"http://127.0.0.1:{port}/o/AAAA"))
        slow.close()
        check(track.poll() is None, "the endpoint died")
    lab.settle()
