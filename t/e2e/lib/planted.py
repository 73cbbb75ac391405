"""Faults planted into a program by preloading: the n-th call of a kind fails (t/lib/planted.c), the wall clock is moved (t/lib/timeshift.c)."""
import errno
import mmap
import os
import struct

from .harness import Skipped

KINDS = ("open", "read", "write", "sync", "allocate", "rename", "unlink", "connect", "memory", "thread", "spawn")
ANYWHERE = "anywhere"                  # "memory" is what the program itself asks for; this is what its libraries ask for, too
ALWAYS = 1 << 40                       # times: until it is disarmed
SIZE, PLACE = 256, 216


class Shared:
    """A file of fixed size that the program under test has mapped."""

    def __init__(self, path, size):
        with open(path, "wb") as file:
            file.write(bytes(size))
        os.chmod(path, 0o666)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), size)
        self.path = path


def why_not(world, libraries):
    if not all(os.access(library, os.R_OK) for library in libraries):
        return "t/lib/planted.so is not built: make check TESTS= first"
    return "a sanitizer has calls of its own" if world.is_sanitized else ""


class Planted:
    """`environment` is for the program; what arm() says is true for it from that moment on."""

    def __init__(self, world):
        self._calls = Shared(world.path(f"planted{len(os.listdir(world.dir))}"), SIZE)
        self._clock = Shared(world.path(f"clock{len(os.listdir(world.dir))}"), 8)
        libraries = [f"{world.build}/t/lib/{name}.so" for name in ("planted", "timeshift")]
        self._why_not = why_not(world, libraries)
        self.environment = {} if self._why_not else {
            "LD_PRELOAD": " ".join(libraries), "PLANTED_FILE": self._calls.path, "TIMESHIFT_FILE": self._clock.path}

    def _need(self):
        if self._why_not:
            raise Skipped(self._why_not)

    def arm(self, kind, nth=1, place="", error=errno.EIO, times=1):
        """`kind`: one of KINDS, or several with blanks between; `place`: how the paths begin that are meant."""
        self._need()
        self.disarm()
        mask = sum(1 << (*KINDS, ANYWHERE).index(word) for word in kind.split())
        struct.pack_into(f"=qqqq{PLACE}s", self._calls.map, 8, error, nth, times, 0, place.encode())
        struct.pack_into("=q", self._calls.map, 0, mask)

    def disarm(self):
        struct.pack_into("=q", self._calls.map, 0, 0)

    @property
    def failed(self):
        """How many calls have failed since arm()."""
        return struct.unpack_from("=q", self._calls.map, 32)[0]

    @property
    def shift(self):
        """Seconds that the program's wall clock is ahead."""
        return struct.unpack_from("=q", self._clock.map, 0)[0] / 1e6

    @shift.setter
    def shift(self, seconds):
        self._need()
        struct.pack_into("=q", self._clock.map, 0, int(seconds * 1e6))
