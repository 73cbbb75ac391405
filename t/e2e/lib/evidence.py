"""Mail that flows through a relay while something breaks, and what is left to show for it afterwards."""
import threading
import time

from .harness import check, wait_for
from .smtp import Closed, message

AGAIN_S = 0.05                         # before a refused session begins anew
LATE_S = 10                            # Postfix lists one queue after the other: what moves meanwhile is in none of them,
                                       # and a whole batch moves at once


class Flow:
    """Sessions that send until told to stop; one that is refused begins anew, as a real client would."""

    def __init__(self, relay, login, sessions=8):
        self.relay, self.acknowledged, self.refused, self.waits = relay, [], [], []
        self._login, self._sessions, self._run = login, sessions, 0
        self._stop = threading.Event()

    def __enter__(self):
        self._stop.clear()
        self._run += 1
        self._threads = [threading.Thread(target=self._session, args=(n,), daemon=True) for n in range(self._sessions)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _session(self, number):
        count = 0
        while not self._stop.is_set():
            try:
                with self.relay.client(LOGIN=self._login) as client:
                    while not self._stop.is_set():
                        count += 1
                        to, began = f"load-{self._run}-{number}-{count}@example.test", time.monotonic()
                        reply = client.send(self._login, [to], message(self._login, to))
                        if reply.code != 250:
                            self.refused.append(reply)
                            break
                        self.acknowledged.append(to)
                        self.waits.append((began, time.monotonic() - began))
            except (Closed, OSError, ValueError):
                pass
            self._stop.wait(AGAIN_S)

    def wait(self, count, seconds=30):
        """Until so many more were acknowledged; the seconds that took."""
        before, began = len(self.acknowledged), time.monotonic()
        wait_for(lambda: len(self.acknowledged) >= before + count, "mail to flow", seconds)
        return time.monotonic() - began

    def wait_refusal(self, seconds=30):
        """Until another one is refused; the reply."""
        before = len(self.refused)
        wait_for(lambda: len(self.refused) > before, "mail to be refused", seconds)
        return self.refused[-1]

    # --- afterwards

    def lost(self, seconds=120):
        """What was acknowledged and did not arrive, although for LATE_S no look at the queue has found anything."""
        self._wait_empty_queue(seconds)
        end, latest = time.monotonic() + LATE_S, time.monotonic() + seconds
        while (missing := self._missing()) and time.monotonic() < min(end, latest):
            if self.relay.mta.queue():
                end = time.monotonic() + LATE_S
            time.sleep(0.2)
        return missing

    def _wait_empty_queue(self, seconds):
        """However long it takes, while there is not so long a time in which nothing arrives."""
        arrived, end = -1, 0
        while queue := self.relay.mta.queue():
            if len(self.relay.sink.messages) > arrived:
                arrived, end = len(self.relay.sink.messages), time.monotonic() + seconds
            check(time.monotonic() < end, "for {} s nothing arrives of {} messages in the queue, the first: {}; the MTA says: {}",
                  seconds, len(queue), queue[0], self.relay.mta.maillog()[-1500:])
            time.sleep(0.5)

    def check_none_lost(self, lost):
        said = [line for line in self.relay.mta.maillog().splitlines() if lost and f"<{lost[0]}>" in line]
        check(not lost, "{} of {} acknowledged messages did not arrive; of the first the MTA says: {}", len(lost), len(self.acknowledged),
              said[-5:])

    def _missing(self):
        arrived = {recipient.split()[0] for m in self.relay.sink.messages for recipient in m.recipients}
        return [to for to in self.acknowledged if f"<{to}>" not in arrived]

    def unrecorded(self):
        """What arrived and is not on record."""
        known = {record.get("message", record["id"]) for record in self.relay.gate.each_record() if record.get("event") == "accepted"}
        return [m for m in self.relay.sink.messages if m.record not in known]

    def check(self):
        self.check_none_lost(self.lost())
        self.check_all_recorded(self.unrecorded())

    def check_all_recorded(self, unrecorded):
        check(not unrecorded, "{} of {} delivered messages are without a record, the first: {}", len(unrecorded),
              len(self.relay.sink.messages), unrecorded[:1])
