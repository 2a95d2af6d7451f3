"""What the node's counters must show, by what the meters told in truth. A model, not the code.

For each component, and each GPU, the first source that tells of it counts. A meter's joules since
it last told are counted when it tells again, unless another counted in its place meanwhile.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from exporter.random_sources import Told
from wattgov_exporter.counters import MARGIN, SLACK_SECONDS
from wattgov_exporter.reading import Component, Meter

DOUBTFUL_READINGS = 3
"""So many after a jump may be where a counter finds out that it started anew."""

Key = tuple[str, str, str]
Place = tuple[Component, str]


class Expected:
    """Joules by component: *least* and *most* that may be counted; they differ after jumps only."""

    def __init__(self) -> None:
        self.least: dict[str, float] = defaultdict(float)
        self.most: dict[str, float] = defaultdict(float)
        self._marks: dict[Key, Told] = {}
        self._doubt: dict[Key, int] = {}

    def saved(self) -> "Expected":
        """Return what a restart goes on from: the sums. Each meter starts where it is then."""
        again = Expected()
        again.least.update(self.least)
        again.most.update(self.most)
        return again

    def tick(self, said: Mapping[str, Sequence[Told]], new: Collection[str]) -> None:
        """Count what the sources that are up tell, *new* of them since the last tick."""
        counts = _counting(said)
        entered = {_key(told.meter) for each in said.values() for told in each}
        for source in said:
            for told in said[source] if source in new else ():
                self._enter(told, counts)
        for key, mark in list(self._marks.items()):
            place = _place(mark.meter)
            if key not in entered and place and counts.get(place, key[0]) != key[0]:
                del self._marks[key]

    def _enter(self, told: Told, counts: Mapping[Place, str]) -> None:
        key, place = _key(told.meter), _place(told.meter)
        if told.joules is None or place is None:
            return
        mark, self._marks[key] = self._marks.get(key), told
        doubt = DOUBTFUL_READINGS if told.lies else self._doubt.get(key, 0)
        self._doubt[key] = max(doubt - 1, 0)
        if mark is None or mark.joules is None or counts.get(place) != told.meter.source:
            return
        least = most = told.joules - mark.joules
        if doubt:
            seconds = told.at - mark.at + SLACK_SECONDS
            least, most = 0.0, told.meter.max_watts * MARGIN * seconds
        elif told.meter.range_joules is not None:
            least = most = most % told.meter.range_joules
        self.least[place[0].value] += least
        self.most[place[0].value] += most


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
