"""All faults, in the order of the table."""
import call_faults  # noqa: F401
import command_faults  # noqa: F401
import crowd_faults  # noqa: F401
import relay_faults  # noqa: F401
from lab import FAULTS

GROUPS = ("processes", "disks", "Redis", "clock", "crowds", "slow peers", "calls")
ALL = sorted(FAULTS, key=lambda fault: GROUPS.index(fault.group))
