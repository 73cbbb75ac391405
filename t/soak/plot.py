"""A soak's samples as one picture: panels of lines over minutes, without a script or anything from elsewhere."""
from html import escape

WIDTH, LEFT, RIGHT, TOP, PANEL, GAP = 960, 76, 150, 64, 130, 34
MIB = 1 << 20
PANELS = (
    ("memory, MiB", (("resident", lambda s: s["rss"] / MIB, "#0b5fa5"),)),
    ("descriptors, threads", (("descriptors", lambda s: s["fds"], "#0b5fa5"), ("threads", lambda s: s["threads"], "#b3541e"))),
    ("a message takes, ms", (("median", lambda s: s["p50"], "#0b5fa5"), ("99th percentile", lambda s: s["p99"], "#b3541e"))),
    ("messages a second", (("accepted", lambda s: s["rate"], "#0b5fa5"),)),
)


def nice(most):
    """A round number at or above, for the top of an axis."""
    unit = 10 ** (len(str(int(most))) - 1) if most >= 1 else 1
    return next(unit * step for step in (1, 2, 4, 5, 8, 10, 20) if unit * step >= most)


def text(x, y, words, anchor="start", size=13, color="#222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">{escape(words)}</text>'


def line(x1, y1, x2, y2, color, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"/>'


def panel(samples, top, title, lines, place):
    most = nice(max(value(s) for s in samples for _, value, _ in lines) or 1)
    parts = [text(LEFT, top - 8, title, size=14)]
    for part in range(3):
        y = top + PANEL - PANEL * part / 2
        parts += [line(LEFT, y, WIDTH - RIGHT, y, "#ddd"), text(LEFT - 8, y + 4, f"{most * part / 2:g}", "end", 12, "#555")]
    for days in zip(samples, samples[1:]):
        if days[0]["day"] != days[1]["day"]:
            parts.append(line(place(days[1]["at"]), top, place(days[1]["at"]), top + PANEL, "#eee"))
    for number, (name, value, color) in enumerate(lines):
        points = " ".join(f"{place(s['at']):.1f},{top + PANEL - PANEL * value(s) / most:.1f}" for s in samples)
        parts += [f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"/>',
                  text(WIDTH - RIGHT + 12, top + 16 + 20 * number, name, color=color)]
    return parts


def draw(samples, subtitle):
    """The picture as SVG. Vertical lines: a new day of the log."""
    end = samples[-1]["at"]

    def place(at):
        return LEFT + (WIDTH - LEFT - RIGHT) * at / end

    parts = [text(LEFT, 24, "Sekisho at full load", size=18), text(LEFT, 44, subtitle, size=12, color="#555")]
    top = TOP + 20
    for title, lines in PANELS:
        parts += panel(samples, top, title, lines, place)
        top += PANEL + GAP
    for part in range(6):
        parts.append(text(place(end * part / 5), top - GAP + 18, f"{end * part / 300:.0f}" if end >= 300 else f"{end * part / 300:.1f}",
                          "middle", 12, "#555"))
    parts.append(text(WIDTH - RIGHT + 12, top - GAP + 18, "minutes", size=12, color="#555"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
            f'font-family="sans-serif" role="img"><title>Sekisho at full load: {escape(subtitle)}</title>'
            f'<rect width="{WIDTH}" height="{top}" fill="#fff"/>' + "\n".join(parts) + "</svg>\n")
