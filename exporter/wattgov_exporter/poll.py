"""Read each source on its own thread, so that a wedged one delays nobody."""

import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from wattgov_exporter.reading import Anomaly, Clock, NoMeter, Readings, Reason, Source

RETRY_SECONDS = 10.0
"""How often an absent source is looked for again."""

GLANCE_SECONDS = 0.02
"""So long everybody else waits for a source that was asked; most have answered by then. Threads
that run at once hand the interpreter to and fro, and wake a CPU each time: on a machine at rest
that was a sixth of all that the exporter cost."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the last completed read of a source gave, and how long it took.

    *anomalies* are the values that the source left out.
    """

    readings: Readings | None
    reason: Reason
    detail: str
    at: float
    seconds: float
    anomalies: tuple[Anomaly, ...] = ()


class Poller:
    """One source and the thread that reads it when asked; only its owner may call it."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self.name = source.name
        self.interval_seconds = source.interval_seconds
        self._source = source
        self._clock = clock
        # Not events: they are made in Python, and waking one takes twice the CPU time.
        self._asked = SimpleQueue[bool]()
        self._answers = SimpleQueue[Answer]()
        self._last: Answer | None = None
        self._unheard: Answer | None = None
        self._reading = False

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._serve, name=f"source-{self.name}", daemon=True).start()

    def ask(self) -> None:
        """Start a read, unless one is under way or it is too early for the next; wait a moment.

        An answer that came too late for the last tick is waiting and serves this one, so a source
        slower than the tick is still heard.
        """
        rest = self.interval_seconds
        if self._last is not None and self._last.reason is Reason.ABSENT:
            rest = max(rest, RETRY_SECONDS)
        if not self._reading and (rest <= 0 or self._rested(rest)):
            self._begin()
            self._listen(GLANCE_SECONDS)

    def hurry(self, rest_seconds: float) -> None:
        """Ask before the interval is over, but not sooner than so long after the last answer."""
        if not self._reading and self._last is not None and self._rested(rest_seconds):
            self._begin()

    def wait(self, seconds: float) -> Answer:
        """Return the answer to the last ask, or one with reason `timeout` if it is not there.

        While a slow source is being read its last answer stands, for three of its intervals.
        """
        stands = self.interval_seconds > 0 and not self._rested(3 * self.interval_seconds)
        self._listen(0.0 if stands else seconds)
        if self._unheard is not None:
            self._last, self._unheard, self._reading = self._unheard, None, False
        if self._last is not None and (stands or not self._reading):
            return self._last
        return Answer(None, Reason.TIMEOUT, "the source has not answered yet", self._clock(), 0.0)

    def close(self) -> None:
        """Let the source go, if it holds something (a BMC's session) and is not stuck in a read.

        Its thread ends, at once or after that read.
        """
        close = getattr(self._source, "close", None)
        if close is not None and not self._reading:
            close()
        self._asked.put(False)

    def _rested(self, seconds: float) -> bool:
        """Tell whether the last answer, if any, is so old."""
        return self._last is None or self._clock() - self._last.at >= seconds

    def _begin(self) -> None:
        self._reading = True
        self._asked.put(True)

    def _listen(self, seconds: float) -> None:
        if self._reading and self._unheard is None:
            with suppress(Empty):
                self._unheard = self._answers.get(timeout=seconds)

    def _serve(self) -> None:
        while self._asked.get():
            self._answers.put(read(self._source, self._clock))


def read(source: Source, clock: Clock) -> Answer:
    """Read a source now, on this thread; whatever it raises becomes a reason and a sentence."""
    began = clock()
    answer = _read(source)
    now = clock()
    return replace(answer, at=now, seconds=now - began)


def _read(source: Source) -> Answer:
    try:
        readings = source.read()
    except NoMeter as absent:
        anomalies = (absent.anomaly,) if absent.anomaly else ()
        return Answer(None, absent.reason, absent.detail, 0.0, 0.0, anomalies)
    except Exception as error:  # noqa: BLE001  a source's fault must not end its thread; it is told
        return Answer(None, Reason.INVALID, f"{type(error).__name__}: {error}", 0.0, 0.0)
    return Answer(readings, Reason.OK, "", 0.0, 0.0, readings.anomalies)
