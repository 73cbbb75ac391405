"""What sanitizers find in the programs that a test starts, whoever reads their stderr: each process writes to a file."""
import os
import re

CALLERS = ("cxa_at_exit_wrapper", "main", "run", "serve", "stop_main")     # of libmilter; they touch nothing of its own

def watch(directory):
    """Sets the environment for all processes from here on.

    gcc's undefined behaviour sanitizer knows stderr alone, so there the process must end as from a crash. What
    ThreadSanitizer says need not end a program badly: not all of it counts.
    """
    for name, options in (("ASAN", f"log_path={directory}/asan"), ("TSAN", f"log_path={directory}/tsan:exitcode=0"),
                          ("UBSAN", "abort_on_error=1:print_stacktrace=1")):
        given = [os.environ[f"{name}_OPTIONS"]] if f"{name}_OPTIONS" in os.environ else []
        os.environ[f"{name}_OPTIONS"] = ":".join([*given, options])


def take_reports(directory):
    """What was found since the last time; the files go."""
    found = []
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        with open(path, errors="surrogateescape") as text:
            found += [report for report in text.read().split("==================\n") if is_worth_telling(report)]
        os.unlink(path)
    return found


def is_worth_telling(report):
    return report.strip() and not report.startswith("ThreadSanitizer: reported ") and not is_libmilters_own(report)


def is_libmilters_own(report):
    """Told to stop, libmilter destroys its locks while threads of its own still take them, and joins none. Only it can
    mend that.

    A suppression can name a library, but not say that no function of ours was called from it. So: the accesses are its
    own, or of a leaked thread where it was made, with nothing of ours below them but where libmilter was called.
    """
    accesses = re.split(r"^  (?:Location|Thread|Mutex)\b", report, maxsplit=1, flags=re.M)[0]
    if "thread leak" in report:
        accesses = report
    frames = re.findall(r"#\d+ (\S+) .*\(([^()]+)\+0x", accesses)
    libraries = {module for name, module in frames if name not in CALLERS}
    return "ThreadSanitizer" in report and any("libmilter" in name for name in libraries) and \
        all("libmilter" in name or "libtsan" in name for name in libraries)
