"""Faults under mail that flows through Postfix: processes that die, disks, Redis, the clock."""
import errno
import os
import signal
import time

from lab import DAY, HOUR, fault
from lib.harness import check, fill_disk, process_alive, wait_for
from lib.planted import ALWAYS
from lib.redis import Lab as RedisLab
from lib.redis import Proxy, Redis, failed_over
from lib.shared import is_shared

SESSIONS = 8


@fault("processes", "gate killed (kill -9)", 200, 5)
def gate_killed(lab, tries):
    lab.begin()
    with lab.flow as flow:
        for _ in range(tries):
            flow.wait(SESSIONS)
            lab.meanwhile()
            lab.gate.kill()
            moment = time.monotonic()
            lab.gate.start()
            lab.recovers(moment)
        lab.rest()
    lab.settle()


@fault("processes", "gate stopped and started (TERM)", 20)
def gate_restarted(lab, tries):
    lab.begin()
    with lab.flow as flow:
        for _ in range(tries):
            flow.wait(SESSIONS)
            lab.meanwhile()
            status = lab.gate.stop()
            check(status == 0, "TERM: exit {}", status)
            moment = time.monotonic()
            lab.gate.start()
            lab.recovers(moment)
        lab.rest()
    lab.settle()


def family(pid):
    """A process and all below it."""
    found, stats = {pid}, []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                stats.append((int(entry), int(stat.read().rpartition(")")[2].split()[1])))
        except OSError:
            pass
    while more := {child for child, parent in stats if parent in found} - found:
        found |= more
    return found


def kill_family(pid):
    """Kills it and all below it, and gives them back. Whoever stands still has no more children while they are counted."""
    os.kill(pid, signal.SIGSTOP)
    pids = family(pid)
    for each in pids:
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            pass                       # gone by itself
    return pids


@fault("processes", "MTA killed mid-message (kill -9)", 20, 2)
def mta_killed(lab, tries):
    lab.begin()
    mta = lab.relay.mta
    with lab.flow as flow:
        for _ in range(tries):
            flow.wait(SESSIONS)
            lab.meanwhile()
            pids = kill_family(mta.master_pid())
            wait_for(lambda pids=pids: not any(process_alive(pid) for pid in pids), "Postfix to be gone")
            mta.postfix("start")
            lab.recovers(time.monotonic())
    lab.settle()


def break_off(lab, tries, begin, end, code):
    """Something is wrong for a while, again and again, while mail flows: it is felt, and told with this code. None: it may
    not be felt."""
    with lab.flow as flow:
        for _ in range(tries):
            flow.wait(SESSIONS, 60)
            begin()
            if code:
                reply = flow.wait_refusal()
                check(reply.code == code, "want {}, got: {}", code, reply)
            else:
                time.sleep(1)
            lab.meanwhile()
            end()
            lab.recovers(time.monotonic())
    lab.settle()


@fault("disks", "the log's disk full (ext4)", 20, 1)
def log_disk_full(lab, tries):
    disk = lab.mount()
    lab.begin(settings={"relay_log": {"preallocate": "64KiB"}}, log_dir=f"{disk}/log")
    break_off(lab, tries, lambda: fill_disk(disk), lambda: os.unlink(f"{disk}/filler"), 452)


@fault("disks", "the store's disk full (ext4)", 20, 1)
def store_disk_full(lab, tries):
    """A store that has pages to use again needs no room."""
    disk = lab.mount()
    lab.begin(settings={"store": {"path": f"{disk}/store", "size_max": "8MiB"}})
    break_off(lab, tries, lambda: fill_disk(disk), lambda: os.unlink(f"{disk}/filler"), None)


def broken_calls(lab, tries, kind, place, error=errno.EIO, **begin):
    lab.begin(**begin)
    break_off(lab, tries, lambda: lab.planted.arm(kind, place=place(), error=error, times=ALWAYS), lab.planted.disarm, 451)


@fault("disks", "the log's disk: EIO from every write", 20)
def log_write_eio(lab, tries):
    broken_calls(lab, tries, "write", lambda: lab.gate.log_dir)


@fault("disks", "the log's disk: EIO from every fdatasync", 20, 1)
def log_sync_eio(lab, tries):
    broken_calls(lab, tries, "sync", lambda: lab.gate.log_dir)


@fault("disks", "the log's disk read-only (EROFS)", 20)
def log_read_only(lab, tries):
    broken_calls(lab, tries, "open write sync allocate rename unlink", lambda: lab.gate.log_dir, errno.EROFS)


@fault("disks", "the store's disk: EIO from every write and sync", 20, 1)
def store_eio(lab, tries):
    broken_calls(lab, tries, "write sync", lambda: f"{lab.gate.dir}/state")


def with_redis(lab, begin_of, end_of, tries):
    redis = Redis(lab.world)
    proxy = Proxy(lab.world, redis)
    lab.begin(settings={"store": redis.settings(redis={"addresses": [proxy.address]})})
    wait_for(lambda: is_shared(lab.relay), "Redis to be counted in")
    with lab.flow as flow:
        for _ in range(tries):
            flow.wait(SESSIONS)
            begin_of(redis, proxy)
            flow.wait(2 * SESSIONS, 60)
            lab.meanwhile()
            end_of(redis, proxy)
            moment = time.monotonic()
            wait_for(lambda: is_shared(lab.relay), "Redis to be counted in again", 30)
            lab.recovers(moment)
    lab.settle()


@fault("Redis", "Redis killed and started", 10)
def redis_killed(lab, tries):
    with_redis(lab, lambda redis, _: redis.kill(), lambda redis, _: redis.start(), tries)


@fault("Redis", "Redis silent (SIGSTOP)", 10, 1)
def redis_silent(lab, tries):
    with_redis(lab, lambda redis, _: redis.stall(), lambda redis, _: redis.go_on(), tries)


@fault("Redis", "Redis slow (200 ms an answer)", 10)
def redis_slow(lab, tries):
    with_redis(lab, lambda _, proxy: setattr(proxy, "delay", 0.2), lambda _, proxy: setattr(proxy, "delay", 0.0), tries)


@fault("Redis", "Redis's answers cut in the middle", 10)
def redis_cut(lab, tries):
    with_redis(lab, lambda _, proxy: setattr(proxy, "cut_every", 7), lambda _, proxy: setattr(proxy, "cut_every", 0), tries)


@fault("Redis", "Redis fails over (Sentinel)", 2)
def redis_failover(lab, tries):
    """Of three servers two die, one after the other."""
    servers = RedisLab(lab.world, "sentinel")
    lab.begin(settings={"store": {"backend": "redis", "redis": {
        "mode": "sentinel", "master": "relay", "addresses": [s.address for s in servers.named("sentinel")]}}})
    wait_for(lambda: is_shared(lab.relay), "Redis to be counted in")
    with lab.flow as flow:
        for _ in range(min(tries, 2)):
            flow.wait(SESSIONS)
            master = servers.masters()[0]
            master.kill()
            wait_for(lambda m=master: failed_over(servers, m), "another master", 40, 0.02)
            moment = time.monotonic()
            wait_for(lambda: is_shared(lab.relay), "the new master to be counted in", 30)
            lab.recovers(moment)
    lab.settle()


@fault("clock", "clock stepped: an hour, a day, three days, both ways", 24, 6)
def clock_stepped(lab, tries):
    lab.begin()
    with lab.flow as flow:
        for n in range(tries):
            flow.wait(SESSIONS)
            lab.meanwhile()
            lab.planted.shift += (HOUR, -HOUR, DAY, -DAY, 3 * DAY, -3 * DAY)[n % 6]
            lab.recovers(time.monotonic())
    lab.settle()


@fault("clock", "clock stepped over midnight, there and back", 20, 2)
def clock_midnight(lab, tries):
    lab.begin()
    with lab.flow as flow:
        for n in range(tries):
            flow.wait(SESSIONS)
            to_midnight = DAY - (time.time() + 9 * HOUR) % DAY
            lab.planted.shift = 0 if n % 2 else to_midnight - 1 + 2 * lab.random.random()
            lab.recovers(time.monotonic())
    lab.settle()
