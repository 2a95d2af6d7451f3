"""Send notes on threads of their own: the loop only ever puts one into a queue."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import Self

from wattgov_actuator.decision import Decision
from wattgov_actuator.logfmt import line
from wattgov_actuator.notes.note import Note, note_of
from wattgov_actuator.notes.sinks import Sink, Unsent

LOG = logging.getLogger(__name__)
WAITING = 100  # notes; more are dropped
RETRIES_SECONDS = (1.0, 5.0)
LAST_SECONDS = 5.0  # the end of the actuator is not held up any longer
RESULTS = ("sent", "failed", "dropped")


class Notes:
    """Sends a note on each decision that is worth one, to every sink."""

    def __init__(
        self, sinks: Iterable[Sink], host: str, retries_seconds: Iterable[float] = RETRIES_SECONDS
    ) -> None:
        retries = tuple(retries_seconds)
        self._senders, self._host = [_Sender(each, retries) for each in sinks], host

    def __enter__(self) -> Self:
        """Begin to send."""
        for each in self._senders:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send what waits, each note once more at most, and for some seconds only."""
        for each in self._senders:
            each.finish()
        for each in self._senders:
            each.join(LAST_SECONDS)

    def __call__(self, decision: Decision) -> None:
        """Take a decision; never waits, never raises."""
        note = note_of(decision, self._host) if self._senders else None
        if note is not None:
            for each in self._senders:
                each.take(note)

    def counts(self) -> Iterator[tuple[str, str, int]]:
        """Yield how many notes had each result, by sink."""
        for each in self._senders:
            yield from ((each.sink.name, result, each.counts[result]) for result in RESULTS)


class _Sender(Thread):
    """One sink's thread: a sink that hangs holds up no other."""

    def __init__(self, sink: Sink, retries_seconds: tuple[float, ...]) -> None:
        super().__init__(daemon=True, name=f"notes-{sink.name}")
        self.sink, self.counts = sink, Counter[str]()
        self._retries_seconds = retries_seconds
        self._queue, self._ending = SimpleQueue[Note | None](), Event()

    def take(self, note: Note) -> None:
        """Put a note into the queue, or drop it; only the loop puts any in."""
        if self._queue.qsize() >= WAITING:
            self.counts["dropped"] += 1
        else:
            self._queue.put(note)

    def finish(self) -> None:
        """Retry nothing from now on, and end when the queue is empty."""
        self._ending.set()
        self._queue.put(None)

    def run(self) -> None:
        """Send until told to end."""
        while (note := self._queue.get()) is not None:
            self._deliver(note)

    def _deliver(self, note: Note) -> None:
        waits = iter(self._retries_seconds)
        while True:
            try:
                self.sink.send(note)
            except Unsent as error:
                wait = next(waits, None) if error.again else None
                if wait is not None and not self._ending.wait(wait):
                    continue
                self.counts["failed"] += 1
                LOG.warning(line("note_not_sent", sink=self.sink.name, why=error))
            else:
                self.counts["sent"] += 1
            return
