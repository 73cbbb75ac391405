"""What breaks under mail that flows: a few tries of each fault of t/fault/run, which prints the table of all."""
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fault"))

import faults  # noqa: E402
from lab import Lab  # noqa: E402
from lib.harness import Skipped, World, check  # noqa: E402


def as_test(fault):
    def test(world):
        if world.options.mta != "postfix":
            raise Skipped("needs Postfix")
        own = World(world.options, "fault")
        try:
            fault.run(Lab(own), fault.quick)
        finally:
            troubles = own.close()
        check(not troubles, "{}", troubles)

    test.__name__, test.__doc__, test.seconds = f"test_{fault.name}", fault.title, 300
    return test


globals().update({f"test_{fault.name}": as_test(fault) for fault in faults.ALL if fault.quick})
