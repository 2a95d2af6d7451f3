"""Requests as they arrive: traces in the Azure LLM inference format, and the one made here.

The format is that of github.com/Azure/AzurePublicDataset: TIMESTAMP,ContextTokens,GeneratedTokens.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random

DEFAULT = Path(__file__).with_suffix(".csv")
"""The committed trace; `synthetic()` written by `write` gives the same bytes."""

WAVE_SECONDS = 30.0
"""Short, so that any minute has the same load and minutes can be compared."""

HEADER = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request, *seconds* after the trace began."""

    seconds: float
    context_tokens: int
    generated_tokens: int


def read(path: Path) -> tuple[Arrival, ...]:
    """Read a trace, in order of time; ValueError says what is wrong with it."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        moments = [datetime.fromisoformat(row["TIMESTAMP"]) for row in rows]
        tokens = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a trace of {', '.join(HEADER)}: {error}") from error
    arrivals = [
        Arrival((moment - moments[0]).total_seconds(), *pair)
        for moment, pair in zip(moments, tokens, strict=True)
    ]
    if len(arrivals) < 2 or any(min(pair) < 1 for pair in tokens):
        raise ValueError(f"{path}: a trace has two requests or more, each of one token or more")
    return tuple(sorted(arrivals, key=lambda arrival: arrival.seconds))


def write(arrivals: tuple[Arrival, ...], path: Path) -> None:
    """Write a trace that starts at a round moment, to a tenth of a millisecond."""
    began = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for arrival in arrivals:
            moment = began + timedelta(seconds=arrival.seconds)
            stamp = moment.isoformat(sep=" ", timespec="microseconds")[:-2]
            writer.writerow([stamp, arrival.context_tokens, arrival.generated_tokens])


def looped(arrivals: tuple[Arrival, ...]) -> Iterator[Arrival]:
    """Repeat a trace for ever; the gap at the seam is the trace's mean gap."""
    first, last = arrivals[0].seconds, arrivals[-1].seconds
    length = (last - first) * len(arrivals) / (len(arrivals) - 1)
    for lap in count():
        for arrival in arrivals:
            seconds = arrival.seconds - first + lap * length
            yield Arrival(seconds, arrival.context_tokens, arrival.generated_tokens)


def synthetic(
    seed: int = 1752, seconds: float = 120.0, per_second: float = 16.0, swing: float = 0.2
) -> tuple[Arrival, ...]:
    """Make a Poisson stream whose rate swings by ± *swing*, in waves of `WAVE_SECONDS`.

    The sizes are invented: lognormal, 170 tokens out (within 60 to 350), 800 tokens in (within 100
    to 3000). They stand for short chat, they were not recorded anywhere. Of 200 seeds, the default
    is the one whose minutes are most alike: any two differ by at most 4.1 %.
    """
    random = Random(seed)
    peak = per_second * (1 + swing)
    arrivals = []
    now = random.expovariate(peak)
    while now < seconds:
        rate = per_second * (1 + swing * math.sin(2 * math.pi * now / WAVE_SECONDS))
        if random.random() < rate / peak:  # thinning: keep the share that this moment's rate asks
            context = _lognormal(random, median=800, sigma=0.6, low=100, high=3000)
            generated = _lognormal(random, median=170, sigma=0.5, low=60, high=350)
            arrivals.append(Arrival(now, context, generated))
        now += random.expovariate(peak)
    return tuple(arrivals)


def _lognormal(random: Random, *, median: float, sigma: float, low: int, high: int) -> int:
    while True:
        value = round(random.lognormvariate(math.log(median), sigma))
        if low <= value <= high:
            return value
