"""Do these tests see what befalls the programs they start? Faulty ones, made for the question."""
import os
import socket

from lib import sanitizer
from lib.harness import World, check, free_port, wait_for
from lib.postfix import Postfix
from lib.sink import Sink

FAULTS = (
    ("a crash", [], "int main(void) { __builtin_trap(); }", "ended with -"),
    ("giving up", [], "int main(void) { return 66; }", "ended with 66"),
    ("an octet too far", ["-fsanitize=address"],
     "#include <stdlib.h>\nint main(int n, char **v) { char *p = malloc(n); return p[n] + !v; }", "heap-buffer-overflow"),
    ("a leak", ["-fsanitize=address"],
     "#include <stdlib.h>\nint main(int n, char **v) { v[0] = malloc(n); v[0] = 0; return 0; }", "detected memory leaks"),
    ("an overflow", ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
     "int main(int n, char **v) { return (n << 30) + (n << 30) + !v; }", "signed integer overflow"),
    ("a race", ["-fsanitize=thread", "-pthread"],
     "#include <pthread.h>\nstatic int n;\nstatic void *add(void *v) { n++; return v; }\n"
     "int main(void) { pthread_t t; pthread_create(&t, 0, add, 0); n++; pthread_join(t, 0); return 0; }", "data race"),
    ("deafness", [], "#include <signal.h>\n#include <unistd.h>\n"
     "int main(void) { signal(SIGTERM, SIG_IGN); close(1); close(2); for (;;) pause(); }", "did not end"),
)


def build(world, name, flags, source):
    path = os.path.join(world.build, name.replace(" ", "_"))
    world.run(["cc", "-g", "-xc", "-", "-o", path, *flags], input=source)
    check(os.path.exists(path), "cc of {}", name)
    return path


def befallen(world, name, flags, source):
    """What a world says in which such a program was started: its report, and what it left on stderr."""
    outside = dict(os.environ)
    inner = World(world.options, "harness-inside")
    try:
        inner.patience = 1
        inner.build = inner.new_dir("faulty")
        sanitizer.watch(inner.reports)
        output = open(inner.path("output"), "w")
        read_end, write_end = os.pipe()
        process = inner.spawn([build(inner, name, flags, source)], stdout=write_end, stderr=output)
        os.close(write_end)
        os.read(read_end, 1)                       # until it ends, or hangs up
        os.close(read_end)
        if name != "deafness":
            wait_for(lambda: process.poll() is not None, "its end")
    finally:
        said = inner.close()
        os.environ.clear()
        os.environ.update(outside)
    return said


def test_faults_are_noticed(world):
    """a crash, a report of a sanitizer and a program that does not end each fail a test"""
    for name, flags, source, want in FAULTS:
        said = befallen(world, name, flags, source)
        check(want in said, "{}: {}", name, said or "nothing said")


def test_silence_is_well(world):
    """of a program that does what it should nothing is said"""
    said = befallen(world, "nothing", ["-fsanitize=address"], "int main(void) { return 0; }")
    check(not said, "{}", said)


OF_LIBMILTER = """\
WARNING: ThreadSanitizer: data race (pid=26514)
  Write of size 8 at 0x7f69937ffcd8 by thread T12:
    #0 pthread_cond_destroy ../tsan_interceptors_posix.cpp:1283 (libtsan.so.2+0x4c98f)
    #1 <null> <null> (libmilter.so.1.0.1+0x89e1)

  Previous read of size 8 at 0x7f69937ffcd8 by main thread (mutexes: write M1):
    #0 pthread_cond_signal ../tsan_interceptors_posix.cpp:1269 (libtsan.so.2+0x47fdc)
    #1 mi_start_session <null> (libmilter.so.1.0.1+0x93bc)
    #2 serve ../../milter/glue.c:279 (sekisho-milter+0xb2bb7)

  Thread T12 (tid=26975, running) created by main thread at:
    #0 session_open ../../milter/session.c:1 (sekisho-milter+0xb2bb7)
"""


def test_libmilters_own(world):
    """what libmilter does to itself when it is stopped is no failure; with a function of ours in it, it is one"""
    check(not sanitizer.is_worth_telling(OF_LIBMILTER), "told")
    through_us = OF_LIBMILTER.replace("#1 <null>", "#1 session_close ../../milter/session.c:1 (sekisho-milter+0x1)\n    #2 <null>")
    check(sanitizer.is_worth_telling(through_us), "not told")
    check(not sanitizer.is_worth_telling("ThreadSanitizer: reported 3 warnings\n"), "the sum is told")


def test_postfix_after_a_kill(world):
    """a Postfix that was killed while it named a queue file starts again"""
    postfix = Postfix(world, free_port(), "")
    postfix.postfix("stop")
    with open(f"{postfix.dir}/spool/incoming/567363.6402", "w"):
        pass
    postfix.start()
    check("bogus file name" in postfix.maillog(), "postsuper has not said it: {}", postfix.maillog()[-500:])


def test_next_hop_keeps_whole_messages(world):
    """what a client that is killed has sent of a message is no message at the next hop"""
    sink = Sink(world)
    for text, kept in (b"Subject: cut\r\n\r\nof", 0), (b"Subject: cut\r\n\r\n.", 0), (b"Subject: whole\r\n\r\n.\r\n", 1):
        with socket.create_connection(("127.0.0.1", sink.port)) as client, client.makefile("rb") as replies:
            client.sendall(b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n" + text)
            client.shutdown(socket.SHUT_WR)
            replies.read()
        check(len(sink.messages) == kept, "{}: {}", text, sink.messages)
