"""Do these tests see what befalls the programs they start? Faulty ones, made for the question."""
import os

from lib.harness import World, check, wait_for

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
        inner.watch_sanitizers()
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
