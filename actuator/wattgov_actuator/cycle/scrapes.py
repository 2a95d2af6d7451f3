"""When to look: just after Prometheus has scraped, instead of at a moment of our own choosing.

The loop's timer and the scrapes know nothing of one another: what is scraped waits for the next
look, by chance up to a whole interval, and it waits as long after each scrape, for the phase stays.
So a look is put off, or comes early, until it follows a scrape by a small lag. It is a nudge: two
looks stay about an interval apart, and where scrapes do not come at the interval's pace, or one
cannot tell, nothing is changed. Pure.
"""

import json
import re
from dataclasses import dataclass, replace
from math import floor

from wattgov_actuator.reading import Moment

LAG_SECONDS = 0.05  # from the start of a scrape until a query sees it, on an idle machine
CALM = 0.998  # what a look that found its scrape leaves of a longer lag
GRID = 0.05  # of an interval: scrapes nearer to their pace than this keep it
SURE = 2  # so many scrapes in a row have to
EARLY = 0.6  # of an interval after the last look: not before; a group would not be due
EXACT_SECONDS = 1e-3  # what the sum of two clocks is good for

SELECTOR = re.compile(
    r"(?:timestamp\()?\s*(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>[^{}]*?),?\s*\})?\s*\)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Scrapes:
    """What is known of one scrape after another; times are steady seconds."""

    interval_seconds: float  # of the looks
    last: float  # the start of the newest one that was seen
    lag_seconds: float = LAG_SECONDS
    every: int = 0  # intervals from one to the next; 0: only one was seen
    regular: int = 0  # so many in a row kept the pace


def question(freshness: str, instance: str) -> str | None:
    """Return PromQL for when the raw samples behind *freshness* were scraped, None if it has none.

    The value of the usual measure is when the exporter read its devices, which tells no scrape.
    """
    found = SELECTOR.fullmatch(freshness.strip())
    if found is None:
        return None
    labels = [found["labels"] or "", f"instance={json.dumps(instance, ensure_ascii=False)}"]
    return f"timestamp({found['name']}{{{','.join(filter(None, labels))}}})"


def seen(
    before: Scrapes | None, interval_seconds: float, looked: Moment, scraped_unix: float
) -> Scrapes:
    """Return what is known after a look that found a scrape.

    A look that came after a scrape and did not find it came too early: the lag is doubled.
    """
    scraped = looked.steady + (scraped_unix - looked.unix)
    if before is None or before.interval_seconds != interval_seconds:
        return Scrapes(interval_seconds, scraped)
    slack, expected = GRID * interval_seconds, _expected(before, looked.steady)
    if expected - scraped > slack:
        if before.lag_seconds >= interval_seconds:  # it is no lag
            return Scrapes(interval_seconds, scraped)
        lag = min(2 * before.lag_seconds, interval_seconds)
        return replace(before, last=expected, lag_seconds=lag)
    lag = max(CALM * before.lag_seconds, LAG_SECONDS)
    passed = scraped - before.last
    turns = round(passed / interval_seconds)
    if turns < 0 or abs(passed - turns * interval_seconds) > slack:
        return Scrapes(interval_seconds, scraped, lag)
    every, regular = turns or before.every, before.regular + (turns > 0)
    return Scrapes(interval_seconds, scraped, lag, every, regular)


def next_look(
    scrapes: Scrapes | None, interval_seconds: float, looked: float, planned: float
) -> float:
    """Return when to look after *looked*: beside a scrape, or else as *planned*."""
    if scrapes is None or scrapes.interval_seconds != interval_seconds or scrapes.regular < SURE:
        return planned
    one = scrapes.last + scrapes.lag_seconds
    nearest = one + interval_seconds * round((looked - one) / interval_seconds + 1)
    return max(nearest, looked + EARLY * interval_seconds)


def _expected(scrapes: Scrapes, looked: float) -> float:
    """Return the start of the scrape that a look should have found."""
    if not scrapes.every:
        return scrapes.last
    period = scrapes.every * scrapes.interval_seconds
    since = looked - scrapes.lag_seconds - scrapes.last
    return scrapes.last + period * floor((since + EXACT_SECONDS) / period)
