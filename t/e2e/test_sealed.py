"""A sealed relay log as its operator lives with it: read with the keys, proved without, erased, backed up, put back."""
import contextlib
import glob
import json
import os
import shutil

from lib.harness import check, check_eq, wait_for
from lib.relay import Relay, accepted
from lib.smtp import message

TO = "hanako@customer.example.test"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}]}, "ginza": {"match": [{"auth": "*@ginza.test"}]}}


def setup(world):
    world.relay = Relay(world, TENANTS)
    gate = world.relay.gate
    world.keyring, world.backups = f"{gate.dir}/keyring", f"{gate.dir}/backups"
    gate.config["relay_log"].update({"personal_data": "sealed", "keyring": world.keyring,
                                     "operator_key_file": f"{gate.dir}/operator.key"})
    gate.config["backup"] = {"dir": world.backups}
    gate.write_config()
    gate.restart()
    gate.tool_ok("key", "new", "--operator")


def send(world, login):
    sender = f"taro@{login.partition('@')[2]}"
    with world.relay.client(LOGIN=login) as client:
        accepted(client.send(sender, [TO], message(sender, TO)))


def raw(world):
    text = ""
    for path in glob.glob(os.path.join(world.relay.gate.log_dir, "relay", "*.jsonl")):
        with open(path, encoding="utf-8") as file:
            text += file.read()
    return text


def found(world, *words):
    done = world.relay.gate.tool("log", "search", *words, "--json")
    return len(done.stdout.splitlines()) if done.returncode == 0 else 0


def test_sealed(world):
    """no address is on the disk; search, show and export see them all the same"""
    gate = world.relay.gate
    send(world, "bob@acme.test")
    send(world, "bob@ginza.test")
    text = raw(world)
    check("customer.example" not in text and "taro" not in text and "127.0.0.1" not in text, "an address is on the disk")
    check('"sealed":"' in text, "nothing is sealed")
    check_eq(found(world, TO), 2, "found by recipient")
    check(TO in gate.tool_ok("log", "export", "--format", "csv"), "no address in the export")
    check("personal_data" not in gate.tool_ok("check"), "check complains")
    gate.tool_ok("log", "verify", "--class", "relay")


def test_verify_without_keys(world):
    """verify needs no key of the ring, and readers without it say what they do not see"""
    os.rename(world.keyring, world.keyring + ".away")
    try:
        world.relay.gate.tool_ok("log", "verify", "--class", "relay")
        check_eq(found(world, TO), 0, "found without keys")
        done = world.relay.gate.tool("log", "export", "--format", "csv")
        check("stay closed" in done.stderr, "not said: {}", done.stderr)
    finally:
        os.rename(world.keyring + ".away", world.keyring)
    check_eq(found(world, TO), 2, "found with them again")


def test_backup(world):
    """a backup proves itself and holds no secret"""
    gate = world.relay.gate
    made = gate.tool_ok("backup", "run").splitlines()[0]
    gate.tool_ok("backup", "verify")
    names = [os.path.join(top, name) for top, _, names in os.walk(made) for name in names]
    check(names and not [n for n in names if n.endswith(".key") or ".once" in n], "secrets in the backup: {}", names)
    world.backup = os.path.basename(made)


def test_erased_by_rule(world):
    """the daemon erases a former tenant once it is time; the certificate stands by itself"""
    gate = world.relay.gate
    gate.tool_ok("tenant", "erase", "ginza", "--rule", "next-month-10", "--ended", "2026-01-20")
    check("still in the configuration" in gate.tool_ok("tenant", "erase", "--pending"), "not listed")
    tenant = gate.config["tenants"].pop("ginza")
    gate.write_config()
    gate.restart()
    certificates = wait_for(lambda: glob.glob(os.path.join(gate.dir, "state", "erasures", "*-ginza.cert")), "no certificate")
    gate.tool_ok("cert", "verify", certificates[0])
    check('"tenant":"ginza","tseq"' not in raw(world), "records of the tenant are there")
    check_eq(found(world, TO), 1, "the others' records")
    gate.tool_ok("log", "verify", "--class", "relay")
    check_eq(found(world, "--class", "ops", "--event", "tenant-erased"), 1, "on the record")
    gate.config["tenants"]["ginza"] = tenant       # and comes back later, with another key
    gate.write_config()


def test_redacted(world):
    """one record is taken out, and nothing else"""
    gate = world.relay.gate
    ref = json.loads(gate.tool_ok("log", "search", TO, "--json").splitlines()[0])["id"]
    certificate = gate.tool_ok("log", "redact", ref, "--reason", "request")
    check(ref in certificate and "消去証明書" in certificate, "certificate: {}", certificate)
    check_eq(found(world, TO), 0, "found after it was taken out")
    gate.tool_ok("log", "verify", "--class", "relay")


def test_verified_by_the_daemon(world):
    """what the operator took out is no alteration to the daily verification, nor to the report"""
    gate = world.relay.gate
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{gate.config['state_dir']}/verified")
    gate.restart()
    wait_for(lambda: os.path.exists(f"{gate.config['state_dir']}/verified"), "a verification", 30)
    results = [r["detail"]["result"] for r in gate.records("ops") if r["event"] == "verified" and r["detail"]["class"] == "relay"]
    check_eq(results[-1], "intact", "the verification")
    check("Intact" in gate.tool_ok("log", "report"), "the report does not say intact")


def test_restored(world):
    """what was erased after the backup does not come back with it"""
    gate = world.relay.gate
    gate.stop()
    shutil.move(gate.log_dir, gate.log_dir + ".lost")
    os.mkdir(gate.log_dir)
    shutil.chown(gate.log_dir, *owner(gate.log_dir + ".lost"))
    gate.tool_ok("backup", "restore", world.backup)
    gate.tool_ok("log", "verify")
    check_eq(found(world, TO), 0, "found after the restore")
    gate.start()
    send(world, "bob@acme.test")
    check_eq(found(world, TO), 1, "found what came after")
    gate.tool_ok("log", "verify")


def owner(path):
    st = os.stat(path)
    return st.st_uid, st.st_gid
