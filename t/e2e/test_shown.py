"""What strangers say, through everything that shows records: a terminal, a spreadsheet, a browser."""
import csv
import io

from lib.gate import Gate
from lib.harness import check, wait_for
from lib.milter import MilterPeer

TENANTS = {"acme": {"match": [{"auth": "*"}], "senders": ["@acme.test"]}}


def setup(world):
    world.gate = Gate(world, TENANTS)


def test_hostile_words(world):
    """what a stranger says does nothing to a terminal, a spreadsheet or a browser, whoever reads it"""
    gate, what = world.gate, "=cmd|' /C calc'!A0<script>\x1b[2J\x9b31m\udcff"
    with MilterPeer(gate.socket) as p:
        check(p.negotiate(), "the milter does not negotiate")
        p.connect()
        p.step("H", b"peer.test\0")
        p.envelope(what, f"{what}@evil.test", [f"{what}@example.test"])
    record = wait_for(lambda: [r for r in gate.mail_records() if "calc" in r.get("from", "")], "the record")[-1]
    said = {"show": gate.tool("log", "show", record["id"]).stdout, "search": gate.tool("log", "search", "calc").stdout,
            "json": gate.tool("log", "search", "calc", "--json").stdout, "csv": gate.tool("log", "export", "--format", "csv").stdout,
            "report": gate.tool("log", "report").stdout, "verify": gate.tool("log", "verify", "--level", "content").stdout}
    for reader, text in said.items():
        check(text, "{}: nothing", reader)
        bad = [c for c in text if c not in "\r\n\t" and (ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0)]
        check(not bad, "{}: control characters {!r} came through", reader, bad)
    for reader in ("show", "search", "csv"):
        check("calc" in said[reader], "{} does not show it: {}", reader, said[reader])
    check("<script" not in said["report"], "markup in the report")
    cells = [cell for row in csv.reader(io.StringIO(said["csv"].lstrip("\ufeff"))) for cell in row]
    check(not any(cell[:1] in "=+-@" and cell for cell in cells), "formulas: {}", [c for c in cells if c[:1] in tuple("=+-@")])
