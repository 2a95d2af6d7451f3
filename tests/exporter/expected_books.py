"""What the node's counters must show, by what the meters told in truth. A model, not the code.

For each component, and each GPU, the first source that tells of it counts. What a meter tells is a
piece of time and its joules. Each moment is counted once: of a piece, the part that no other source
has counted. A source that another one relieves counts up to where that one starts.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.random_sources import Told
from wattgov_exporter.counters import MARGIN, SLACK_SECONDS
from wattgov_exporter.reading import Component, Meter

DOUBTFUL_READINGS = 3
"""So many after a jump may be where a counter finds out that it started anew."""

Key = tuple[str, str, str]
Place = tuple[Component, str]


@dataclass(frozen=True)
class Piece:
    """The joules from *since* to *at*: *sure*, or after a jump anything from *least* to *most*."""

    since: float
    at: float
    least: float
    most: float
    sure: bool

    def before(self, end: float) -> "Piece":
        """Return the part before a moment."""
        part = max(min(self.at, end) - self.since, 0.0) / (self.at - self.since)
        most = self.most * (part if self.sure else 1.0)
        return replace(
            self, at=max(min(self.at, end), self.since), least=self.least * part, most=most
        )


class Expected:
    """Joules by component: *least* and *most* that may be counted; they differ after jumps only."""

    def __init__(self) -> None:
        self.least: dict[str, float] = defaultdict(float)
        self.most: dict[str, float] = defaultdict(float)
        self._marks: dict[Key, Told] = {}
        self._doubt: dict[Key, int] = {}
        self._waits: dict[Key, list[Piece]] = defaultdict(list)
        self._counted: dict[Place, dict[Key, list[Piece]]] = defaultdict(lambda: defaultdict(list))

    def saved(self) -> "Expected":
        """Return what a restart goes on from: the sums. Each meter starts where it is then."""
        again = Expected()
        again.least.update(self.least)
        again.most.update(self.most)
        return again

    def tick(self, said: Mapping[str, Sequence[Told]], new: Collection[str]) -> None:
        """Count what the sources that are up tell, *new* of them since the last tick."""
        counts = _counting(said)
        for source in said:
            for told in said[source] if source in new else ():
                self._enter(told, counts)

    def _enter(self, told: Told, counts: Mapping[Place, str]) -> None:
        key, place = _key(told.meter), _place(told.meter)
        if told.joules is None or place is None:
            return
        mark, self._marks[key] = self._marks.get(key), told
        doubt = DOUBTFUL_READINGS if told.lies else self._doubt.get(key, 0)
        self._doubt[key] = max(doubt - 1, 0)
        if mark is None or told.at <= mark.at:
            return
        if place not in counts:  # its joules are in those of another component
            self._waits[key] = []
            return
        pieces = [*self._waits[key], _piece(mark, told, doubtful=bool(doubt))]
        others = [
            each for other, each in self._counted[place].items() if other[0] != key[0] and each
        ]
        own = self._counted[place][key]
        if counts[place] == key[0]:
            self._add(place, pieces, [own, *others])
            own += pieces
            self._waits[key] = []
            return
        if not all(one.sure for each in (pieces, own, *others) for one in each):
            # Where the other one starts is not known, so neither is what counts before, or when.
            pieces = [replace(one, least=0.0, sure=False) for one in pieces]
        self._relieve(place, own, pieces, others)
        told_of = max((one.at for each in others for one in each), default=-math.inf)
        sure = max((one.at for each in others for one in each if one.sure), default=-math.inf)
        self._waits[key] = [
            replace(one, least=one.least if one.at > told_of else 0.0)
            for one in pieces
            if one.at > sure
        ]

    def _relieve(
        self, place: Place, own: list[Piece], pieces: list[Piece], others: list[list[Piece]]
    ) -> None:
        """Count what a source still tells of the time before another one started."""
        until = max((one.at for one in own), default=math.inf)
        starts = [each[0].since for each in others if each[0].since > until]
        end = min(starts, default=-math.inf)
        left = [part for one in pieces if (part := one.before(end)).at > one.since]
        self._add(place, left, [own, *others])
        own += left

    def _add(self, place: Place, pieces: Iterable[Piece], counted: Sequence[list[Piece]]) -> None:
        spans = [(each[0].since, max(one.at for one in each)) for each in counted if each]
        sure = [(one.since, one.at) for each in counted for one in each if one.sure]
        for piece in pieces:
            self.least[place[0].value] += piece.least * _free(piece, spans)
            self.most[place[0].value] += piece.most * (_free(piece, sure) if piece.sure else 1.0)


def _piece(mark: Told, told: Told, *, doubtful: bool) -> Piece:
    seconds, meter = told.at - mark.at, told.meter
    joules = (told.joules or 0.0) - (mark.joules or 0.0)
    if doubtful:
        most = meter.max_watts * MARGIN * (seconds + SLACK_SECONDS)
        return Piece(mark.at, told.at, 0.0, most, sure=False)
    if meter.range_joules is not None:
        joules %= meter.range_joules
    return Piece(mark.at, told.at, joules, joules, sure=True)


def _free(piece: Piece, counted: Iterable[tuple[float, float]]) -> float:
    """Return the part of a piece's time that is in none of those."""
    told, free = piece.since, 0.0
    for since, at in sorted(counted):
        free += max(min(since, piece.at) - told, 0.0)
        told = max(told, at)
    return (free + max(piece.at - told, 0.0)) / (piece.at - piece.since)


def _counting(said: Mapping[str, Sequence[Told]]) -> dict[Place, str]:
    """Return which source counts at each place."""
    counts: dict[Place, str] = {}
    for source, each in said.items():
        for told in each:
            place = _place(told.meter)
            if place is not None:
                counts.setdefault(place, source)
    memory = Component.DRAM, ""
    if (Component.PLATFORM, "") in counts and counts.get(memory) == "dram_model":
        del counts[memory]
    return counts


def _place(meter: Meter) -> Place | None:
    if meter.component is None:
        return None
    return meter.component, meter.zone if meter.component is Component.GPU else ""


def _key(meter: Meter) -> Key:
    return meter.source, meter.package, meter.zone
