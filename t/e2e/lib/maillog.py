"""What an MTA writes into its log, whichever MTA it is."""
import re

from .harness import wait_for


class MailLog:
    """`self.maillog_path` is where."""

    def maillog(self):
        try:
            with open(self.maillog_path, errors="surrogateescape") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, seconds=15.0):
        return wait_for(lambda: re.search(pattern, self.maillog()), f"{pattern!r} in the mail log", seconds)
