"""sekisho doctor beside Sendmail, and with its counts in Redis: each planted fault by its name."""
import os
import shutil
import subprocess

from lib.doctor import Doctor, Edited
from lib.gate import Gate
from lib.harness import check, check_eq, end_process, wait_for

TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}], "senders": ["@acme.test"]}}


def setup(world):
    socket = f"unix:{world.new_safe_dir('milter')}/sekisho.sock"
    world.gate = Gate(world, TENANTS, {"milter": {"listen": socket}})
    os.chmod(world.gate.log_dir, 0o750)
    world.etc, world.sendmail_cf = world.new_dir("etc"), f"{world.dir}/sendmail.cf"
    with open(world.sendmail_cf, "w") as out:
        out.write(f"O InputMailFilters=sekisho, opendkim\nXsekisho, S={socket}, F=T, T=C:30s;S:30s;R:60s;E:300s\n"
                  "Xopendkim, S=inet:8891@localhost\n")
    world.doctor = Doctor(world.gate, world.etc, "--sendmail", world.sendmail_cf)


def test_sendmail(world):
    """the filter's lines in a sendmail.cf"""
    path, socket, asked = world.sendmail_cf, world.gate.socket, world.doctor
    asked.well()
    unsafe = Gate(world, TENANTS)
    os.chmod(unsafe.log_dir, 0o750)
    with Edited(path, lambda text: text.replace(socket, unsafe.socket)):
        Doctor(unsafe, world.etc, "--sendmail", path).names("socket_safety", "/tmp can be changed", "inet:8890@127.0.0.1")
    for old, new, name in (("F=T, ", "", "filter_flags"), ("F=T, ", "F=R, ", "filter_flags"),
                           ("O InputMailFilters=sekisho, ", "O InputMailFilters=", "input_mail_filter")):
        with Edited(path, lambda text: text.replace(old, new)):
            asked.names(name, "filter sekisho", "INPUT_MAIL_FILTER(`sekisho', `S=")
    with Edited(path, lambda text: text + "O DaemonPortOptions=Name=MSA, Port=587, InputMailFilters=opendkim;clamav\n"):
        asked.names("listeners", "Name=MSA, Port=587", "InputMailFilters=sekisho;")
    with Edited(path, lambda text: text + "O DaemonPortOptions=Name=MSA, Port=587, InputMailFilters=opendkim;sekisho\n"):
        check_eq(asked.well()["login"]["level"], "note", "logins, and nowhere to log in")
    with Edited(path, lambda text: text + "O DaemonPortOptions=Name=MSA, Port=587, i=opendkim\n"):
        asked.names("listeners", "i=opendkim", "InputMailFilters=sekisho;")
    with Edited(path, lambda _: f"O inputMailFilters = opendkim ,\n\tsekisho\nXsekisho, S={socket},\n  F=T,\n  T=R:1h;E:1d\n"
                "Xopendkim, S=inet:7357@localhost\nO LogLevel = 8\n"):
        found = asked.well()
        check_eq([found[n]["level"] for n in ("input_mail_filter", "filter_flags", "filter_timeouts", "filter_order", "log_level")],
                 ["ok", "ok", "ok", "note", "note"], "blanks, folds and other units")
    for timeouts, text in (("C:30s;S:30s;R:5s;E:300s", "5 s for T=R:"), ("R:2m;E:5", "5 s for T=E:"),
                           ("R:1m ;E:1s", "1 s for T=E:"), ("S:3s;R:1m", "3 s for T=S:"), ("C:9s", "10 s for T=R:")):
        with Edited(path, lambda text: text.replace("C:30s;S:30s;R:60s;E:300s", timeouts)):
            found = asked.well()["filter_timeouts"]
            check(found["level"] == "note" and text in found["text"], "{}: {}", timeouts, found)
    for old, new in (("sekisho, opendkim", "sekisho, sekisho, opendkim"),
                     ("sekisho, opendkim\n", f"sekisho, opendkim, other\nXother, S={socket}, F=T, T=R:60s\n")):
        with Edited(path, lambda text: text.replace(old, new)):
            asked.names("once", "2 times", "define(`confINPUT_MAIL_FILTERS', `sekisho,opendkim')dnl")
    with Edited(path, lambda text: text + "O LogLevel=5\n"):
        check_eq(asked.well()["log_level"]["fix"], "define(`confLOG_LEVEL', `9')dnl", "deliveries are not logged")
    with Edited(path, lambda text: text + "O MaxMessageSize=1000000\n"):
        check_eq(asked.well()["max_message_size"]["level"], "ok", "no tenant was promised more")
    with Edited(path, lambda text: text + "O AuthMechanisms=PLAIN LOGIN\n"):
        check_eq(asked.well()["login"]["level"], "ok", "logins")


def test_redis(world):
    """a Redis that may throw counters away, and one that does not answer"""
    check(shutil.which("redis-server"), "redis-server is not installed")
    gate, asked, socket = world.gate, world.doctor, f"{world.dir}/redis.sock"
    server = world.spawn(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", world.dir,
                          "--maxmemory-policy", "allkeys-lru"], stdout=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(socket), "Redis")
    gate.config["store"] = {"backend": "redis", "redis": {"addresses": [f"unix:{socket}"]}}
    gate.write_config()
    asked.names("redis_eviction", "allkeys-lru", "maxmemory-policy noeviction")
    end_process(server)
    code, found = asked.examine()
    check_eq((code, found["redis"]["level"], found["redis_eviction"]["level"]), (1, "fault", "unseen"), "no Redis")
    server = world.spawn(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", world.dir,
                          "--replicaof", "127.0.0.1 1"], stdout=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(socket), "Redis")
    asked.names("redis_role", "slave", "REPLICAOF NO ONE")
    end_process(server)
    disk = world.new_dir("redis")
    server = world.spawn(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", disk,
                          "--maxmemory", "600kb"], stdout=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(socket), "Redis")
    found = asked.well()
    check_eq((found["redis_saving"]["level"], found["redis_memory"]["level"]), ("ok", "note"), "a small Redis")
    check(found["redis_memory"]["fix"].startswith("redis.conf: maxmemory "), "{}", found["redis_memory"])
    shutil.rmtree(disk)
    subprocess.run(["redis-cli", "-s", socket, "BGSAVE"], stdout=subprocess.DEVNULL, check=True)
    wait_for(lambda: asked.examine()[1]["redis_saving"]["level"] == "fault", "the snapshot to fail")
    asked.names("redis_saving", "its last snapshot", "give that directory room")
    end_process(server)
    del gate.config["store"]
    gate.write_config()
    asked.well()
