"""contrib/setup.sh wires a Postfix that is there already, whatever stands in it, and takes the gate out again."""
import os
import stat

from lib.doctor import Edited
from lib.gate import Gate
from lib.harness import check, check_eq
from lib.postfix import Postfix
from lib.relay import Relay, accepted
from lib.sink import Sink
from lib.smtp import Client, message

TO = "someone@example.test"
SOCKET = "unix:milter/sekisho.sock"
TENANTS = {"acme": {"match": [{"auth": "*@acme.test"}]}}


def setup(world):
    world.relay = Relay(world, TENANTS)
    world.etc = world.new_dir("etc")


def setup_sh(world, mta, *arguments):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../contrib/setup.sh")
    return world.run(["sh", script, "--config", f"{mta.dir}/etc", *arguments])


def read(path):
    with open(path) as text:
        return text.read()


def bare_main(world):
    """main.cf without a word of milters."""
    return "".join(line for line in read(f"{world.relay.mta.dir}/etc/main.cf").splitlines(True) if "milter" not in line)


def test_setup(world):
    """setup.sh wires a running Postfix, twice without harm, and unwires it to what it was"""
    gate, sink = Gate(world, TENANTS), Sink(world)
    mta = Postfix(world, sink.port, "")
    main = f"{mta.dir}/etc/main.cf"
    with open(main) as text:
        bare = "".join(line for line in text if "milter" not in line and not line.startswith(("enable_long", "internal_mail")))
    with open(main, "w") as out:
        out.write(bare + "milter_default_action = accept\nsmtpd_milters =\n")
    before = read(main)

    shown = setup_sh(world, mta, "--socket", gate.socket, "--diff")
    check_eq((shown.returncode, read(main)), (1, before), "--diff changes nothing")
    check(f"+smtpd_milters = {gate.socket}" in shown.stdout, "the diff: {}", shown.stdout)
    check_eq((setup_sh(world, mta, "--socket", gate.socket).returncode, read(main)), (1, before), "nobody to ask")

    done = setup_sh(world, mta, "--socket", gate.socket, "--yes")
    check_eq(done.returncode, 0, f"setup: {done.stdout}{done.stderr}")
    wired = read(main)
    again = setup_sh(world, mta, "--socket", gate.socket, "--yes")
    check_eq((again.returncode, read(main)), (0, wired), "a second time")
    check_eq(gate.tool("doctor", "--postfix", f"{mta.dir}/etc", "--etc", world.etc).returncode, 0, "doctor after setup")
    with Client(mta.port) as client:
        client.ehlo()
        client.xclient(LOGIN="user@acme.test")
        client.ehlo()
        accepted(client.send("a@acme.test", [TO], message("a@acme.test", TO)))
    check_eq(len(gate.mail_records(event="accepted")), 1, "on the record")

    gone = setup_sh(world, mta, "--socket", gate.socket, "--remove", "--yes")
    check_eq(gone.returncode, 0, f"remove: {gone.stdout}{gone.stderr}")
    check_eq(read(main), before, "main.cf as it was")
    check_eq(setup_sh(world, mta, "--socket", gate.socket, "--remove", "--yes").returncode, 0, "removed twice")


def test_setup_beside_others(world):
    """folded lists, other milters, listeners with lists of their own; a setting that stands twice is no place to write"""
    mta, socket = world.relay.mta, "unix:milter/sekisho.sock"
    main, master = f"{mta.dir}/etc/main.cf", f"{mta.dir}/etc/master.cf"
    bare = bare_main(world)
    own = "  -o smtpd_milters=inet:localhost:8891\n  -o milter_default_action=accept\n"
    others = "smtpd_milters =\n    inet:localhost:8891,\n    # rspamd\n    inet:localhost:11332\nmine = inet:localhost:8891\n"
    with Edited(main, lambda _: f"{bare}{others}"), \
            Edited(master, lambda text: text.replace("  -o milter_macro_daemon_name=special\n", own) + "12346 inet n - n - - smtpd\n"
                   "  -o { smtpd_milters = $mine, inet:localhost:11332 }\n127.0.0.1:12347 inet n - n - - smtpd\n  -o smtpd_milters=\n"):
        before = read(main), read(master)
        for touched in ("", "mydomain = touched.test\n"):
            done = setup_sh(world, mta, "--socket", socket, "--yes", "--no-reload")
            check_eq(done.returncode, 0, f"setup: {done.stdout}{done.stderr}")
            said = mta.tool("postconf", "-Px").stdout
            for line in (f"127.0.0.1:{mta.special_port}/inet/smtpd_milters = {socket},inet:localhost:8891\n",
                         f"127.0.0.1:{mta.special_port}/inet/milter_default_action = tempfail\n",
                         f"12346/inet/smtpd_milters = {socket},inet:localhost:8891,inet:localhost:11332\n",
                         "127.0.0.1:12347/inet/smtpd_milters =\n"):
                check(line in said, "{} is not in {}", line, said)
            check_eq(mta.tool("postconf", "-h", "smtpd_milters").stdout, f"{socket}, inet:localhost:8891, inet:localhost:11332\n", "main.cf")
            check_eq(setup_sh(world, mta, "--socket", socket, "--diff").returncode, 0, "a second time")
            with open(main, "a") as out:
                out.write(touched)
            gone = setup_sh(world, mta, "--socket", socket, "--remove", "--yes", "--no-reload")
            check_eq(gone.returncode, 0, f"remove: {gone.stdout}{gone.stderr}")
            if not touched:
                check_eq((read(main), read(master)), before, "both files, to the octet")
        check(touched in read(main) and socket not in read(main) + read(master), "what was touched stays, and we are gone")
        check("-o smtpd_milters=inet:localhost:8891\n" in read(master), "the listener's own list: {}", read(master))
        with Edited(main, lambda text: text + "smtpd_milters = inet:localhost:1\n"):
            twice = read(main)
            done = setup_sh(world, mta, "--socket", socket, "--yes", "--no-reload")
            check_eq((done.returncode, read(main)), (1, twice), "a setting that stands twice")
            check("smtpd_milters stands twice" in done.stderr, "{}", done.stderr)


def test_setup_spellings(world):
    """a gate that is wired by another of its names is not wired again, and goes by it"""
    mta = world.relay.mta
    main, bare = f"{mta.dir}/etc/main.cf", bare_main(world)
    for named, socket in ((f"{{ {SOCKET}, connect_timeout=5s }}", SOCKET), ("local:milter/sekisho.sock", SOCKET),
                          (f"unix:{mta.dir}/spool/milter/sekisho.sock", SOCKET), ("unix:/milter/sekisho.sock", SOCKET),
                          ("inet:localhost:8890", "inet:127.0.0.1:8890")):
        with Edited(main, lambda _: f"{bare}smtpd_milters = {named} inet:localhost:11332\n"):
            done = setup_sh(world, mta, "--socket", socket, "--yes", "--no-reload")
            check_eq(done.returncode, 0, f"{done.stdout}{done.stderr}")
            check(f"\nsmtpd_milters = {named} inet:localhost:11332\n" in read(main), "{} is changed: {}", named, done.stdout)
            check("\nnon_smtpd_milters = $smtpd_milters\n" in read(main), "the rest is wired: {}", done.stdout)
            check_eq(setup_sh(world, mta, "--socket", socket, "--remove", "--yes", "--no-reload").returncode, 0, "remove")
            check_eq(mta.tool("postconf", "-h", "smtpd_milters").stdout, "inet:localhost:11332\n", f"{named} is taken out")
    with Edited(main, lambda _: f"{bare}smtpd_milters = unix:milter/other.sock\n"):
        check_eq(setup_sh(world, mta, "--yes", "--no-reload").returncode, 0, "another's socket")
        check_eq(mta.tool("postconf", "-h", "smtpd_milters").stdout, f"{SOCKET}, unix:milter/other.sock\n", "before it")
        away = f"there is no socket {mta.dir}/spool/milter/sekisho.sock"
        check(away in setup_sh(world, mta, "--diff").stdout, "a gate that is away is not told")
        check("no socket" not in setup_sh(world, mta, "--diff", "--socket", world.relay.gate.socket).stdout, "it is there")
        check_eq(setup_sh(world, mta, "--remove", "--yes", "--no-reload").returncode, 0, "remove")


def test_setup_link(world):
    """main.cf may be a link to a file that is kept elsewhere: that is written, and the link stays"""
    mta, kept = world.relay.mta, world.path("kept.cf")
    main = f"{mta.dir}/etc/main.cf"
    before, bare = read(main), bare_main(world)
    with open(kept, "w") as out:
        out.write(bare)
    os.utime(kept, (0, 0))
    os.chmod(kept, 0o640)
    os.remove(main)
    os.symlink("../../kept.cf", main)
    check_eq(setup_sh(world, mta, "--yes", "--no-reload").returncode, 0, "wired")
    check(os.path.islink(main) and f"smtpd_milters = {SOCKET}\n" in read(kept), "not written: {}", read(kept)[-200:])
    check_eq(stat.S_IMODE(os.stat(kept).st_mode), 0o640, "its mode")
    check_eq(setup_sh(world, mta, "--remove", "--yes", "--no-reload").returncode, 0, "unwired")
    check_eq((os.path.islink(main), read(kept)), (True, bare), "as it was")
    os.remove(main)
    with open(main, "w") as out:
        out.write(before)
    os.utime(main, (0, 0))


def test_setup_not_writable(world):
    """when one of the two files cannot be written, neither is changed"""
    mta = world.relay.mta
    main, master, bare = f"{mta.dir}/etc/main.cf", f"{mta.dir}/etc/master.cf", bare_main(world)
    own = "12346 inet n - n - - smtpd\n  -o smtpd_milters=inet:localhost:8891\n"
    with Edited(main, lambda _: bare), Edited(master, lambda text: text + own):
        before = read(main), read(master)
        known = os.listdir(f"{mta.dir}/etc")
        os.mkdir(f"{master}.sekisho-new")
        done = setup_sh(world, mta, "--yes", "--no-reload")
        check_eq((done.returncode, (read(main), read(master))), (1, before), f"{done.stdout}{done.stderr}")
        check("master.cf cannot be written; nothing was changed" in done.stderr, "{}", done.stderr)
        left = [name for name in os.listdir(f"{mta.dir}/etc") if "sekisho" in name and name != "master.cf.sekisho-new"]
        check_eq([name for name in left if name not in known], [], "left behind")
