"""When to sample: so that a sample has just been taken when the scraper comes.

The loop's timer and the scrapes know nothing of one another: a sample waits for the next scrape, by
chance up to a whole interval, and it waits as long each time, for the phase stays. Where scrapes
come at the interval's pace, or at a multiple of it, a tick is put off or comes early until it ends
shortly before one. Ticks stay about an interval apart. Two scrapers that come at different moments
are followed by none, and neither is one that asks by hand.
"""

from collections import deque
from dataclasses import dataclass

from wattgov_exporter.reading import Clock

MARGIN_SECONDS = 0.03  # a scrape may come so much too early
GRID = 0.05  # of an interval: scrapes nearer to their pace than this keep it
SURE = 3  # so many in a row have to
EARLY = 0.6  # of an interval after the last tick: not before
SHORTEST_SECONDS = 0.2  # an interval below has little to gain
LONGEST = 0.5  # of an interval: a tick that takes longer is not waited for
CALM = 0.95  # what a quicker tick leaves of what a slow one took
LAGGING = 0.1  # what one late scrape counts against those that came in time
MOST = 64  # scrapes between two ticks that are told of


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is known of one scrape after another; times are those of the loop's clock."""

    interval_seconds: float  # of the ticks
    last: float
    regular: int = 0  # so many in a row kept the pace


def heard(before: Rhythm | None, interval_seconds: float, at: float) -> Rhythm:
    """Return what is known after a scrape came."""
    if before is None or before.interval_seconds != interval_seconds:
        return Rhythm(interval_seconds, at)
    turns = round((at - before.last) / interval_seconds)
    due = before.last + turns * interval_seconds
    off = at - due
    if abs(off) > GRID * interval_seconds:
        return Rhythm(interval_seconds, at)
    return Rhythm(interval_seconds, due + min(off, LAGGING * off), before.regular + (turns > 0))


def next_tick(
    rhythm: Rhythm | None,
    interval_seconds: float,
    began: float,
    took_seconds: float,
    planned: float,
) -> float:
    """Return when to begin the tick after one that *began*: ahead of a scrape, or as *planned*."""
    if (
        rhythm is None
        or rhythm.interval_seconds != interval_seconds
        or rhythm.regular < SURE
        or interval_seconds < SHORTEST_SECONDS
        or took_seconds > LONGEST * interval_seconds
    ):
        return planned
    one = rhythm.last - took_seconds - MARGIN_SECONDS
    nearest = one + interval_seconds * round((began - one) / interval_seconds + 1)
    return max(nearest, began + EARLY * interval_seconds)


class Callers:
    """The scrapes that any thread tells of, and what the loop makes of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._came = deque[float](maxlen=MOST)
        self._rhythm: Rhythm | None = None
        self._took = 0.0

    def came(self) -> None:
        """Note that somebody scrapes us now."""
        self._came.append(self._clock())

    def next_tick(self, interval_seconds: float, began: float, planned: float) -> float:
        """Return when to tick next, after a tick that *began* and ends now."""
        self._took = max(self._clock() - began, CALM * self._took)
        while self._came:
            self._rhythm = heard(self._rhythm, interval_seconds, self._came.popleft())
        return next_tick(self._rhythm, interval_seconds, began, self._took, planned)
