"""What a demonstration prints: numbered steps, what was said in them, and that it is so."""
import os
import sys
import textwrap

WIDTH = 80


class Page:
    """What the reader sees. Colour only on a terminal, and little of it."""

    def __init__(self):
        wants_none = "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb"
        self.is_terminal = sys.stdout.isatty() and not wants_none
        self.number = 0

    def paint(self, style, text):
        return f"\033[{style}m{text}\033[0m" if self.is_terminal else text

    def step(self, title):
        self.number += 1
        print("\n" + self.paint("1", f"{self.number}. {title}"), flush=True)

    def tell(self, text):
        print(textwrap.fill(" ".join(text.split()), WIDTH, initial_indent="   ", subsequent_indent="   "), flush=True)

    def show(self, text, marks=(), indent="   | "):
        """Somebody else's words, folded to the page; lines that begin with one of `marks` stand out."""
        for line in text.rstrip("\n").splitlines():
            line = "".join(c if c.isprintable() else "?" for c in line.expandtabs())
            style = "36" if any(line.startswith(mark) for mark in marks) else "2"
            for piece in self.fold(line, WIDTH - len(indent)):
                print(indent + self.paint(style, piece))
        sys.stdout.flush()

    @staticmethod
    def fold(line, width):
        """At blanks where there are some, else anywhere: a line of the relay log has hardly any."""
        if len(line) > 20 * (line.count(" ") + 1):
            return [line[at:at + width] for at in range(0, len(line), width)]
        return textwrap.wrap(line, width, subsequent_indent="  ", break_on_hyphens=False) or [""]

    def command(self, words, output):
        """A command and what it printed, as on a terminal; programs know how wide that is."""
        print("   $ " + self.paint("36", words))
        self.show(output, indent="")

    def good(self, text):
        print(self.paint("32", "   ok ") + text, flush=True)
