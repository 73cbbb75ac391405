"""Many SMTP sessions at once: so many messages, or until told to stop; what each was answered, and how long it waited."""
import threading
import time

from .smtp import Closed, message


class Sent:
    """One message: the reply that ended it, and its longest wait for an answer of the MTA, and at which command."""

    def __init__(self, number, reply, began, wait):
        self.number, self.reply, self.began, (self.wait, self.waited_at) = number, reply, began, wait
        self.ended = time.monotonic()

    @property
    def passed(self):
        return self.reply.code == 250


class Load:
    def __init__(self, relay, login, sessions, count=None, pause=0.0):
        """Begins at once. `count`: messages in all; none: until stop(). `pause`: seconds between two of a session."""
        self._relay, self._login, self._count, self._pause = relay, login, count, pause
        self._lock, self._next, self._is_stopping = threading.Lock(), 0, threading.Event()
        self.sent, self.lost = [], []              # `lost`: sessions that broke, which none may
        self._threads = [threading.Thread(target=self._session, daemon=True) for _ in range(sessions)]
        for thread in self._threads:
            thread.start()

    def _take_number(self):
        with self._lock:
            if self._is_stopping.is_set() or self._next == self._count:
                return None
            self._next += 1
            return self._next - 1

    def _session(self):
        try:
            client = self._relay.client(self._login)
            while (number := self._take_number()) is not None:
                sent = self._send(client, number)
                with self._lock:
                    self.sent.append(sent)
                self._is_stopping.wait(self._pause)
            client.quit()
        except (Closed, OSError) as problem:
            self.lost.append(str(problem))

    def _send(self, client, number):
        began, recipient = time.monotonic(), f"r{number}@example.test"
        content = message(self._login, recipient)
        wait = (0.0, "")
        for name, step in (("MAIL", lambda: client.mail(self._login)), ("RCPT", lambda: client.rcpt(recipient)),
                           ("DATA", lambda: client.command("DATA")), ("end of message", lambda: client.content(content))):
            start = time.monotonic()
            try:
                reply = step()
            except (Closed, OSError) as problem:
                raise Closed(f"{problem} at {name} of message {number} after {time.monotonic() - start:.1f} s") from None
            wait = max(wait, (time.monotonic() - start, name))
            if not reply.ok:
                client.command("RSET")
                break
        return Sent(number, reply, began, wait)

    @property
    def passed(self):
        with self._lock:
            return sum(sent.passed for sent in self.sent)

    def since(self, moment):
        """Those that began then or later."""
        with self._lock:
            return [sent for sent in self.sent if sent.began >= moment]

    def wait(self):
        for thread in self._threads:
            thread.join()
        return self.sent

    def stop(self):
        self._is_stopping.set()
        return self.wait()


def longest(sent):
    """Seconds that somebody waited for one answer."""
    return max((s.wait for s in sent), default=0.0)


def slowest(sent):
    """The same in words."""
    worst = max(sent, key=lambda s: s.wait, default=None)
    return f"{worst.wait:.2f} s at {worst.waited_at}" if worst else "nothing"
