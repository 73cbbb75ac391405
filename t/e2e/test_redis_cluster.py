"""A Redis Cluster under load: a tenant's slot moves from node to node, a node dies and its replica takes over."""
import time

from lib.harness import check, check_eq, wait_for
from lib.load import Load, longest, slowest
from lib.redis import Lab
from lib.relay import Relay
from lib.shared import counted, is_shared, modes, used

NAMES = ("acme", "beta", "gamma", "delta", "ginza", "umeda")
HANG = 5.0
SESSIONS = 3                           # a tenant, while a node dies

TENANTS = {name: {"match": [{"auth": f"*@{name}.test"}],
                  "quotas": [{"name": "hourly", "limit": "100000/hour", "counts": "recipients"},
                             {"name": "daily", "limit": "100000/day", "counts": "messages", "key": "auth"}]}
           for name in NAMES}


def login(tenant):
    return f"user@{tenant}.test"


def setup(world):
    world.lab = Lab(world, "cluster")
    store = {"backend": "redis", "redis": {"mode": "cluster", "addresses": [s.address for s in world.lab.named("node")[:3]]}}
    world.relay = Relay(world, TENANTS, logins=[login(name) for name in NAMES], settings={"store": store})


def slot_of(world, tenant):
    return world.lab["node1"].ask("CLUSTER", "KEYSLOT", f"sekisho:{{{tenant}}}:x")


def master_of(world, slot):
    """Whoever answers for it now, as one of the living sees it."""
    for server in world.lab.masters():
        for first, last, master, *_ in server.try_ask("CLUSTER", "SLOTS") or ():
            if first <= slot <= last:
                return next((s for s in world.lab.masters() if s.port == master[1]), None)
    return None


def move(world, slot, source, target):
    """As redis-cli --cluster reshard does it, for this one slot."""
    ids = {server: server.ask("CLUSTER", "MYID") for server in (source, target)}
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 20):
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for server in (target, source, *world.lab.masters()):
        server.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


def judge(world, name, loads, before, moment, ended, back, unheard=0):
    """Nobody hung, nothing was refused, and each message was counted once; but for what a dead master's replica had not heard."""
    sent = [s for load in loads.values() for s in load.stop()]
    meanwhile = [s for s in sent if moment <= s.began < ended + back]
    print(f"     {name} in {ended - moment:.1f} s, all in Redis again {back:.1f} s later; {len(meanwhile)} messages meanwhile, "
          f"longest wait {slowest(meanwhile)} ({slowest([s for s in sent if s.began < moment])} before)", flush=True)
    check_eq([load.lost for load in loads.values()], [[]] * len(loads), "broken sessions")
    check_eq({s.reply.code for s in sent}, {250}, "replies")
    check(meanwhile and longest(sent) < HANG, "somebody waited {} s", longest(sent))
    for tenant, load in loads.items():
        wait_for(lambda t=tenant, l=load: used(world.relay, t) - before[t] >= l.passed - unheard, f"all of {tenant} in Redis", 20, 0.2)
        counted_there = used(world.relay, tenant) - before[tenant]
        check(counted_there <= load.passed, "{} of {} counted, {} passed", counted_there, tenant, load.passed)


def test_slot_moves(world):
    """a tenant's slot moves under load, there and back: each message counted once"""
    slot, tenants = slot_of(world, "acme"), ("acme", "beta")
    before = {tenant: used(world.relay, tenant) for tenant in tenants}
    loads = {tenant: Load(world.relay, login(tenant), 8, pause=0.01) for tenant in tenants}
    wait_for(lambda: all(load.passed > 20 for load in loads.values()), "mail before")
    moment, source = time.monotonic(), master_of(world, slot)
    target = next(s for s in world.lab.masters() if s.port != source.port)
    for a, b in ((source, target), (target, source), (source, target)):
        move(world, slot, a, b)
        time.sleep(0.3)
    ended = time.monotonic()
    wait_for(lambda: is_shared(world.relay), "Redis to be counted in", 20)
    judge(world, "three moves", loads, before, moment, ended, time.monotonic() - ended)


test_slot_moves.seconds = 90


def test_node_dies(world):
    """a node dies under load: its tenants are counted locally until its replica has taken over, the others go on"""
    slot = slot_of(world, "acme")
    victim = master_of(world, slot)
    before = {tenant: used(world.relay, tenant) for tenant in NAMES}
    loads = {tenant: Load(world.relay, login(tenant), SESSIONS, pause=0.01) for tenant in NAMES}
    wait_for(lambda: all(load.passed > 20 for load in loads.values()), "mail before", 20)
    time.sleep(0.5)                                # the replica hears of it
    seen, moment = len(modes(world.relay)), time.monotonic()
    victim.kill()
    wait_for(lambda: (m := master_of(world, slot)) and m.port != victim.port, "the replica to take over", 30, 0.05)
    ended = time.monotonic()
    wait_for(lambda: modes(world.relay)[seen:] and is_shared(world.relay), "Redis to be counted in again", 20)
    judge(world, "failover", loads, before, moment, ended, time.monotonic() - ended, unheard=SESSIONS)
    check_eq(modes(world.relay)[seen:], ["local", "shared"], "changes on the record")
    check("quota:local" in counted(world.relay, "acme"), "acme was never counted locally")
    world.relay.gate.verify()


test_node_dies.seconds = 120
