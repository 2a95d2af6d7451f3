"""One meter takes over from another: each moment's joules are counted once, none are left out.

Meters are not read at one moment: this one every second, that one every five. When the first falls
silent, the next answer of the second reaches back into time that was counted already, and the other
way round some time was told by nobody yet. So what counts of a step is its part, by time, that no
other source has counted; and the steps of a meter that does not count wait until the one that does
has told of that time.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from wattgov_exporter.cards import Card, card_of
from wattgov_exporter.ledger import Key, Step, key_of
from wattgov_exporter.reading import Component, Meter

Place = tuple[Component | None, str]
"""What several sources may meter: a component, or one card."""


@dataclass(slots=True)
class Run:
    """From when until when a meter has counted; what it did not between, another did.

    Or nobody: one package of two that was silent longer than its source is taken for counted.
    """

    start: float
    until: float


class Handover:
    """Which time has been counted at each place, and what waits."""

    def __init__(self) -> None:
        self._places: dict[Key, Place] = {}
        self._cards: list[tuple[Card, Place]] = []
        self._runs: dict[Place, dict[Key, Run]] = defaultdict(dict)
        self._waiting: dict[Key, list[Step]] = {}

    def count(self, step: Step) -> Step | None:
        """Take a step of a meter that counts; return what is new of it, None if all was counted."""
        key, runs = key_of(step.meter), self._at(step.meter)
        if step.seconds <= 0:  # where it starts
            return step
        steps = [*self._waiting.pop(key, ()), step]
        others = _others(runs, step.meter.source)
        new: Step | None = step
        if others or len(steps) > 1:
            own = [runs[key]] if key in runs else []
            new = _free(steps, [*own, *others], inf)
        run = runs.setdefault(key, Run(steps[0].since, step.at))
        run.until = max(run.until, step.at)
        return new

    def wait(self, step: Step) -> Step | None:
        """Take a step of a meter in whose place another counts; return what counts nevertheless.

        That is its time from where it last counted to where the other one starts: a meter that is
        read for the first time knows of nothing before.
        """
        if step.seconds <= 0:
            return None
        key, runs = key_of(step.meter), self._at(step.meter)
        waiting = [*self._waiting.get(key, ()), step]
        others = _others(runs, step.meter.source)
        own, left = runs.get(key), None
        starts = [one.start for one in others if own and one.start > own.until]
        if own and starts:
            end = min(starts)
            left = _free(waiting, [own, *others], end)
            own.until = max(own.until, min(step.at, end))
        told = max((one.until for one in others), default=-inf)
        self._waiting[key] = [one for one in waiting if one.at > told]
        return left

    def drop(self, meter: Meter) -> None:
        """Let nothing wait of a meter in whose place nobody counts: its joules are in another's."""
        self._waiting.pop(key_of(meter), None)

    def _at(self, meter: Meter) -> dict[Key, Run]:
        key = key_of(meter)
        if key not in self._places:
            self._places[key] = self._place(meter)
        return self._runs[self._places[key]]

    def _place(self, meter: Meter) -> Place:
        if meter.component is not Component.GPU:
            return meter.component, ""
        mine = card_of(meter)
        known = (place for card, place in self._cards if card.is_same(mine))
        place = next(known, (Component.GPU, meter.zone))
        self._cards.append((mine, place))
        return place


def _others(runs: dict[Key, Run], source: str) -> list[Run]:
    return [run for key, run in runs.items() if key[0] != source]


def _free(steps: Sequence[Step], runs: Iterable[Run], end: float) -> Step | None:
    """Return the part before *end* that lies in none of the runs, as one step; None without any.

    Within a step the power is taken as constant.
    """
    joules = seconds = 0.0
    for step in steps:
        part = _outside(step.since, min(step.at, end), runs)
        if part > 0:
            joules += step.joules * (part / step.seconds)
            seconds += part
    return replace(steps[-1], joules=joules, since=steps[-1].at - seconds) if seconds else None


def _outside(since: float, at: float, runs: Iterable[Run]) -> float:
    """Return how many seconds from *since* to *at* lie in none of the runs."""
    seconds, told = 0.0, since
    for run in sorted(runs, key=lambda run: run.start):
        seconds += max(min(run.start, at) - told, 0.0)
        told = max(told, run.until)
    return seconds + max(at - told, 0.0)
