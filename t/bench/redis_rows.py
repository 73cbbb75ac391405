"""The figures of the shared store: decisions against redis-benchmark with the very same words, mail through Postfix against
the embedded store, and memory.
"""
import io
import os
import re
import shutil
import struct

from lib.gate import Gate
from lib.harness import check
from lib.postfix import Postfix
from lib.redis import Proxy, Redis, read_answer
from table import THROUGH_POSTFIX, Group, Note, Row

SESSIONS, POOL = 64, 2                 # that wait for an answer at once, over so many connections of ours
TENANTS, ROUND = 100, 2                # of the decisions; seconds a round
MEMORY_TENANTS, FULL_TENANTS = 10000, 200


class Recorder(Proxy):
    """Keeps what the client sends."""

    def __init__(self, world, server):
        self.heard = b""
        super().__init__(world, server)

    def hear(self, data):
        self.heard += data

    def commands(self):
        """Each as a list of words."""
        stream, commands = io.BytesIO(self.heard), []
        while stream.tell() < len(self.heard):
            commands.append(read_answer(stream))
        return commands


def decision_words(world, redis, bench):
    """One decision as the store sends it, with the tenant and the message left open for redis-benchmark to fill in."""
    recorder = Recorder(world, redis)
    bench("-R", recorder.address, "-c", "1", "-N", "1", "-n", str(TENANTS), "-r", "0")
    words = [w for w in recorder.commands() if w[0] == "EVALSHA"][-1]
    return [re.sub(r":bench-\d+-\d+$|:\d+$", lambda m: m[0] if ":q" in w else ":__rand_int__",
                   re.sub(r"\{t\d+\}", "{t__rand_int__}", w)) for w in words]


def decisions(bench, redis, words, *how):
    """Decisions a second: ours, and redis-benchmark's."""
    def ours():
        out = bench("-R", redis.address, "-c", str(SESSIONS), "-n", str(TENANTS), "-r", "0", "-T", f"{ROUND}s")
        return float(re.search(r"decisions/s (\d+)", out)[1])

    def theirs():
        argv = ["redis-benchmark", "-p", str(redis.port), "-n", str(ROUND * 12000), "-r", str(TENANTS), *how, "--csv", *words]
        out = bench.must(argv)
        check("ERR" not in out and "NOSCRIPT" not in out, "redis-benchmark: {}", out)
        return float(out.splitlines()[-1].split('","')[1])

    return ours, theirs


class Memory:
    """How much Redis needs, by its own words, on a clock that the bench moves."""

    def __init__(self, world, bench):
        self.dir, self.bench = world.new_dir("memory"), bench
        self.shift_path = f"{self.dir}/shift"
        self.shift(0)
        os.environ.update(LD_PRELOAD=f"{world.build}/t/lib/timeshift.so", TIMESHIFT_FILE=self.shift_path)
        try:
            self.redis = Redis(world)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["TIMESHIFT_FILE"]

    def shift(self, seconds):
        with open(self.shift_path, "r+b" if os.path.exists(self.shift_path) else "w+b") as out:
            out.write(struct.pack("q", int(seconds * 1e6)).ljust(4096 if seconds == 0 else 8, b"\0"))

    def used(self):
        return int(self.redis.info("memory")["used_memory"])

    def charge(self, tenants):
        self.bench("-R", self.redis.address, "-c", "1", "-N", str(tenants), "-n", str(tenants), "-k", "3", "-l", "1000",
                   "-r", "0")

    def of(self, *keys):
        octets = [self.redis.ask("MEMORY", "USAGE", key) for key in keys]
        check(None not in octets, "of {} one has expired: {}", keys, octets)
        return octets

    def forget_charges(self):
        cursor = "0"
        while True:
            cursor, keys = self.redis.ask("SCAN", cursor, "MATCH", "*:charge:*", "COUNT", 2000)
            if keys:
                self.redis.ask("DEL", *keys)
            if cursor == "0":
                return

    def rows(self):
        self.charge(1)                     # a burst is over before many are charged
        charge, *young = self.of("sekisho:{t0}:charge:bench-0-0", *(f"sekisho:{{t0}}:quota:q{n}:0" for n in range(3)))
        self.redis.ask("FLUSHALL")
        before = self.used()
        self.charge(MEMORY_TENANTS)
        with_charges = self.used()
        self.forget_charges()
        after = self.used()
        for minute in range(1, 61):
            self.shift(minute * 60)
            self.charge(FULL_TENANTS)
        full = self.of("sekisho:{t0}:quota:q0:0")[0]
        count = MEMORY_TENANTS
        yield Row("a tenant with three quotas, octets", [(after - before) / count])
        yield Row("a message to be given back, octets", [(with_charges - after) / count])
        for name, octets in (("its key alone", charge), ("a rolling hour, first slot", young[0]), ("a rolling hour, all slots", full),
                             ("a day", young[1]), ("a burst", young[2])):
            yield Row(f"  {name}", [octets])


class Program:
    """bench_store, and whatever else is run to its end."""

    def __init__(self, world):
        self.world, self.path = world, world.program("t/bench/bench_store")

    def must(self, argv):
        done = self.world.run(argv, 300)
        check(done.returncode == 0, "{}: {}{}", os.path.basename(argv[0]), done.stdout, done.stderr)
        return done.stdout

    def __call__(self, *options):
        return self.must([self.path, *options])


def why_not(world):
    """What this machine lacks; empty when it can be measured."""
    for program in ("redis-server", "redis-benchmark"):
        if not shutil.which(program):
            return f"left out: {program} is not installed"
    return "" if os.access(f"{world.build}/t/lib/timeshift.so", os.R_OK) else "left out: run make check TESTS= first"


def decision_rows(bench):
    yield Group("Decisions/s on Redis; beside redis-benchmark with the same script")
    if why_not(bench.world):
        yield Note(why_not(bench.world))
        return
    program, redis = Program(bench.world), Redis(bench.world)
    words = decision_words(bench.world, redis, program)
    for name, how in ((f"{SESSIONS} connections", ("-c", str(SESSIONS))),
                      (f"{POOL} connections, {SESSIONS // POOL} pipelined", ("-c", str(POOL), "-P", str(SESSIONS // POOL)))):
        figures, references = bench.alternate(*decisions(program, redis, words, *how))
        yield Row(name, figures, references, 0.8)
    check(redis.info("errorstats") == {}, "Redis counted errors: {}", redis.info("errorstats"))
    redis.stop()


def postfix_rows(bench, tenants):
    """The same relay on Redis and on the embedded store."""
    world, discard = bench.world, ("default_transport = discard:", "relayhost =")
    if why_not(world):
        return
    gates = [Gate(world, tenants, settings) for settings in ({"store": Redis(world).settings()}, {})]
    mtas = [Postfix(world, 0, gate.socket, settings=discard) for gate in gates]
    figures, references = bench.alternate(lambda: bench.source(mtas[0]), lambda: bench.source(mtas[1]))
    yield Group(THROUGH_POSTFIX)
    yield Row("on Redis; on the embedded store", figures, references, 0.8)
    for gate in gates:
        gate.verify()


def memory_rows(bench):
    yield Group("Memory of Redis")
    if why_not(bench.world):
        yield Note(why_not(bench.world))
        return
    yield from Memory(bench.world, Program(bench.world)).rows()
