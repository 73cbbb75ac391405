"""Rows of the programs that measure one room by itself: what they print becomes figures."""
import json
import os
import re

from lib.harness import check
from table import Group, Row

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Said:
    """What a program printed; a figure that is not in it is an error, not an empty cell."""

    def __init__(self, world, argv, seconds=300):
        done = world.run(argv, seconds)
        check(done.returncode == 0, "{}: {}{}", os.path.basename(argv[0]), done.stdout, done.stderr)
        self.text = done.stdout

    def numbers(self, pattern):
        found = re.search(pattern, self.text, re.MULTILINE)
        check(found, "no {} in: {}", pattern, self.text)
        return [float(group) for group in found.groups()]


def rewrite_rows(bench):
    yield Group("HTML rewritten, MB/s on one core")
    said = Said(bench.world, [bench.program("bench_rewrite")])
    for name, start, budget in (("UTF-8, 64 KB with 50 links", "UTF-8, 8bit", 400), ("the same in base64", "UTF-8, base64", None),
                                ("the same in quoted-printable", "UTF-8, quoted-printable", None),
                                ("the same in ISO-2022-JP", "ISO-2022-JP, 7bit", None), ("5 MB with 4 000 links", "ASCII, 8bit", None)):
        yield Row(name, said.numbers(rf"^{start} .*: +([\d.]+) MB/s"), budget=budget)


def bounces():
    """Folders of returned mail: the development corpus, where there is one beside the sources, or the fuzzer's seeds."""
    corpus = [os.path.join(SOURCE, "../shared/corpus/bounces", name) for name in ("sisimai", "extra")]
    return [f for f in corpus if os.path.isdir(f)] or [os.path.join(SOURCE, "t/fuzz/corpus/report")]


def bounce_rows(bench):
    yield Group("Bounces read and judged on one core")
    said = Said(bench.world, [bench.program("bench_bounce"), *bounces()])
    mails, megabytes = said.numbers(r"^corpus +([\d.]+) mails/s +([\d.]+) MB/s")
    yield Row("mails/s", [mails], budget=20000)
    yield Row("MB/s", [megabytes])
    yield Row("headers of ordinary mail/s", said.numbers(r"^headers +([\d.]+) mails/s"))
    for name, where in (("16 MB before the report", "in front"), ("16 MB behind it", "behind")):
        one, sixteen = said.numbers(rf"^{where} +1 MB ([\d.]+) ms, 16 MB ([\d.]+) ms")
        yield Row(f"{name}; 1 MB, ms", [sixteen], [one], 20, ceiling=True)


def log_rows(bench):
    yield Group("Relay log appended; beside the bare group commit of the same bytes")
    said = Said(bench.world, [bench.program("bench_record"), "append", bench.world.dir])
    for writers, budget in ((1, 0.5), (64, 0.5)):
        ours, raw = said.numbers(rf"^append, +{writers} writers: +([\d.]+) records/s.* +([\d.]+), ratio")
        yield Row(f"records/s, {writers} writer{'s' if writers > 1 else ''}", [ours], [raw], budget)
    yield Group("Relay log appended sealed; beside the same plain")
    for writers in (1, 64):
        sealed, plain = said.numbers(rf"^append sealed, +{writers} writers: +([\d.]+) records/s, plain +([\d.]+)")
        yield Row(f"records/s, {writers} writer{'s' if writers > 1 else ''}", [sealed], [plain])
    yield Group("Relay log verified")
    said = Said(bench.world, [bench.program("bench_record"), "verify", bench.world.dir])
    one, cores = said.numbers(r"once more: ([\d.]+) MB/s")[0], len(os.sched_getaffinity(0))
    yield Row("MB/s on one core", [one], budget=500)
    yield Row("MB for each second of CPU", said.numbers(r"once more: .* ([\d.]+) MB for each second"))
    yield Row(f"MB/s on {cores} cores; on one", said.numbers(r"all cores: ([\d.]+) MB/s"), [one])


def search_rows(bench):
    """By indexed fields, and by free text, as a reader of text would have to look for either; cold and warm page cache."""
    days, records = 4, 50000
    yield Group(f"Relay log searched, {days} days of {records}, ms; beside a reader of text")
    said = json.loads(Said(bench.world, [os.path.join(SOURCE, "t/bench/search"), "--json", "--build", bench.world.build, "--tmp",
                                         bench.world.dir, "--days", str(days), "--records", str(records), "--no-verify"]).text)
    text = said["by free text, all days"].get("ripgrep")
    for name, title, beside in (("by recipient, ripgrep", "by recipient, all days", text),
                                ("by queue id, ripgrep", "by queue id, all days", text),
                                ("a message's timeline, ripgrep", "show by queue id, all days", text),
                                ("by free text, ripgrep", "by free text, all days", text),
                                ("text, one day, grep", "by free text, one day", said["by free text, one day"]["grep"]),
                                ("text, one day, zgrep", "by free text, one day, packed by gzip -1",
                                 said["by free text, one day, packed by gzip -1"]["zgrep"])):
        for at, cache in enumerate(("cold", "warm")):
            yield Row(f"{name}, {cache}", [said[title]["sekisho"][at] * 1000], [beside[at] * 1000] if beside else ())
    yield Row("index, % of the text that it covers", [said["index percent"]])


def config_rows(bench):
    yield Group("Configuration")
    said = Said(bench.world, [bench.program("bench_config")])
    yield Row("100 000 tenants loaded, s of CPU", said.numbers(r"^load 100000 tenants: ([\d.]+) s"), budget=1, ceiling=True)
    one, few = said.numbers(r"^find one of 100000: ([\d.]+) ns; of 1000: ([\d.]+) ns")
    yield Row("one of 100 000 found; of 1 000, ns", [one], [few])


def store_rows(bench):
    yield Group("Embedded store, 64 threads, two quotas")
    said = Said(bench.world, [bench.program("bench_store"), bench.world.new_dir("store")])
    rate, p99 = said.numbers(r"decisions/s ([\d.]+) p50 [\d.]+ p99 ([\d.]+)")
    yield Row("decisions/s", [rate])
    yield Row("p99, ms", [p99 / 1000])


