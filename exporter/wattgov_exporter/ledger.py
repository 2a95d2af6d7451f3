"""The meters' side of the books: raw readings in, plausible joules out."""

from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import dataclass

from wattgov_exporter.counters import Counter, Mark, advance
from wattgov_exporter.doubt import impossible
from wattgov_exporter.reading import Anomaly, Component, Energy, Meter

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """The joules that a meter counted from *since* to *at* (monotonic seconds).

    *is_first*: this is where the meter starts. Another step of no time is of one that stands still.
    """

    meter: Meter
    joules: float
    since: float
    at: float
    is_first: bool = False

    @property
    def seconds(self) -> float:
        """The time that took."""
        return self.at - self.since

    @property
    def watts(self) -> float | None:
        """Mean power over the step; None where no time has passed: nothing is known yet."""
        return self.joules / self.seconds if self.seconds > 0 else None


class Ledger:
    """Every meter's counter, and the anomalies that were left out."""

    def __init__(self) -> None:
        self._counters: dict[Key, Counter] = {}
        self.anomalies: Tally[tuple[str, str]] = Tally()

    def enter(self, energy: Energy) -> Step | None:
        """Take one reading; the first of a meter that can be only sets where it starts.

        None of a meter that has not shown anything that can be.
        """
        meter = energy.meter
        key = key_of(meter)
        old = None if energy.is_start else self._counters.get(key)
        if old is None:
            anomaly = impossible(energy.joules, meter.range_joules)
            new, joules = Counter(Mark(energy.joules, energy.at)), 0.0
        else:
            new, joules, anomaly = advance(old, meter, energy.joules, energy.at)
        if anomaly is not None:
            self.anomalies[meter.source, anomaly.value] += 1
        if old is None and anomaly is not None:
            return None
        self._counters[key] = new
        at = new.mark.at
        since = at if new.since is None else new.since
        return Step(meter, joules, since, at, is_first=old is None)

    def leave_out(self, source: str, anomalies: Iterable[Anomaly]) -> None:
        """Count values that a source itself has left out."""
        self.anomalies.update((source, anomaly.value) for anomaly in anomalies)


def key_of(meter: Meter) -> Key:
    """Return what tells one meter from another; a card's number is another when one is gone."""
    package = "" if meter.component is Component.GPU else meter.package
    return meter.source, package, meter.zone
