"""One table: figure, what it is measured beside, the ratio of the two, the budget. 80 columns on a terminal, the same text in a file."""
import json
import os
import platform
import re
import statistics
import time

SECTION = "How fast"                   # of README
THROUGH_POSTFIX = "Messages/s through Postfix, 64 sessions"


def number(value):
    """Four digits that count, and no exponent."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.{1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3}f}"


class Group:
    """What the rows below it have in common, and what their reference is."""

    def __init__(self, title):
        self.title = title

    def line(self):
        return f"\n{self.title}"

    def json(self):
        return json.dumps({"group": self.title})


class Row:
    """Medians of the figures and of the references. With a reference the budget is one for the ratio, without one for the figure;
    `ceiling`: lower is better. Without a budget it is told, not judged."""

    def __init__(self, name, figures, references=(), budget=None, ceiling=False):
        self.name, self.budget, self.ceiling = name, budget, ceiling
        self.figure = statistics.median(figures)
        self.reference = statistics.median(references) if references else None
        self.ratio = self.figure / self.reference if self.reference else None

    @property
    def is_met(self):
        if self.budget is None:
            return True
        judged = self.figure if self.ratio is None else self.ratio
        return judged <= self.budget if self.ceiling else judged >= self.budget

    def line(self):
        bound = "" if self.budget is None else f"{'<=' if self.ceiling else '>='} {self.budget:g}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        text = f"  {self.name:<37}{number(self.figure):>9}{number(self.reference):>9}{ratio:>7}  {bound:<8}"
        return (text + ("" if self.is_met else " missed")).rstrip()

    def json(self):
        return json.dumps({"name": self.name, "figure": self.figure, "reference": self.reference, "ratio": self.ratio,
                           "budget": self.budget, "ceiling": self.ceiling, "met": self.is_met})


class Note:
    """Something that could not be measured here, or a figure in words."""

    def __init__(self, text):
        self.text = text

    def line(self):
        return f"  {self.text}"

    def json(self):
        return json.dumps({"note": self.text})


HEAD = f"{'':<39}{'sekisho':>9}{'beside':>9}{'ratio':>7}  budget"


def machine():
    """Where and when, for a table that outlives its terminal."""
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo") as info:
        memory = int(info.readline().split()[1]) / (1 << 20)
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return (f"{time.strftime('%Y-%m-%d')}, {cores} cores ({model}), {memory:.0f} GiB,\n"
            f"Linux {platform.release().split('-')[0]}, load {load:.1f} when it began")


class Table:
    """Prints what comes, and keeps it."""

    def __init__(self, as_json):
        self.as_json, self.items, self.where = as_json, [], machine()
        if not as_json:
            print(f"{self.where}\n\n{HEAD}", flush=True)

    def add(self, item):
        groups = [known.title for known in self.items if isinstance(known, Group)]
        if isinstance(item, Group) and groups[-1:] == [item.title]:
            return
        self.items.append(item)
        print(item.json() if self.as_json else item.line(), flush=True)

    def end(self):
        if not self.as_json:
            print(f"\n{self.verdict()}")

    def verdict(self):
        judged = [item for item in self.items if isinstance(item, Row) and item.budget is not None]
        missed = sum(not item.is_met for item in judged)
        return f"{len(judged)} budgets, {missed} missed" if missed else f"all {len(judged)} budgets met"

    def text(self):
        return "\n".join([self.where, "", HEAD, *(item.line() for item in self.items), "", self.verdict()]) + "\n"


def publish(table, readme):
    """The table takes the place of the one in README: what stands indented in the section of that name."""
    with open(readme) as page:
        before, heading, rest = page.read().partition(f"\n{SECTION}\n{'-' * len(SECTION)}\n")
    if not heading:
        raise ValueError(f'{readme}: no section "{SECTION}"')
    section, gap, after = rest.partition("\n\n\n")
    words = "\n".join(line for line in section.splitlines() if not line.startswith("    ")).strip()
    with open(table) as lines:
        body = "".join(f"    {line}" if line.strip() else line for line in lines).rstrip()
    words = re.sub("\n{3,}", "\n\n", words)
    with open(readme, "w") as page:
        page.write(f"{before}{heading}\n{words}\n\n{body}{gap}{after}")
