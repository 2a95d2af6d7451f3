"""The knobs of this machine, opened when first needed."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Event
from typing import NamedTuple

from wattgov_actuator.connection import Connection
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import (
    Fault,
    Hidden,
    InForce,
    Knob,
    KnobError,
    Probe,
    Reading,
    Slow,
    Target,
    Trouble,
    Warm,
    amount,
)

LOG = logging.getLogger(__name__)
NOTHING: Mapping[tuple[str, str], tuple[float, ...]] = {}


Opener = Callable[[str, Sequence[Connection]], Knob]
"""Opens a knob by its name and all connections; KeyError when there is none of that name."""


class Opened(NamedTuple):
    """A knob, and the connections by which it was opened."""

    knob: Knob
    ways: tuple[Connection, ...]

    @property
    def at_work(self) -> bool:
        """Whether an order of it is under way."""
        return isinstance(self.knob, Slow) and self.knob.at_work


def _nobody() -> None:
    """Tell nobody."""


class Hands:
    """Every knob by its name; *alive* is called before each word to one that may be slow."""

    def __init__(self, open_knob: Opener) -> None:
        """Take a function that opens a knob."""
        self.alive: Callable[[], None] = _nobody
        self._open_knob = open_knob
        self._knobs: dict[str, Opened] = {}
        self._connections: tuple[Connection, ...] = ()

    def connect(self, connections: Sequence[Connection]) -> None:
        """Reach what these connections lead to, from now on.

        A knob that is at work on an order is opened anew when that is through: nobody else knows of
        the order, and the setting from before it would be taken for what it came to.
        """
        self._connections = tuple(connections)
        for name in tuple(self._knobs):
            self._renew(name)

    def settle(self, seconds: float) -> None:
        """Wait for orders that devices still work on, so long at most.

        Where a device only says that it is at work, nobody tells the end of it: so long, then.
        """
        working = [each.knob for each in self._knobs.values() if each.at_work]
        for knob in working:
            if isinstance(knob, Slow):
                knob.settle(seconds)
        if not working:
            Event().wait(seconds)

    def failure(self, target: Target) -> str:
        """Return why the last order that nobody waited for has failed; empty where none has."""
        knob = self._knob(target.knob)
        return knob.failure(target.name) if isinstance(knob, Slow) else ""

    def probe(self, knob: str) -> Probe:
        """Return the targets of one knob."""
        try:
            return self._awaited(knob).probe()
        except KeyError:
            return Probe((), f"this version has no knob {knob}")

    def target(self, knob: str, name: str) -> Target | None:
        """Return one target, None when it is not there; raises KnobError."""
        try:
            opened = self._awaited(knob)
        except KeyError:
            return None
        return opened.target(name) if isinstance(opened, Slow) else opened.probe().target(name)

    def read(self, target: Target, ours: Sequence[float] = ()) -> InForce:
        """Return what is set; raises KnobError.

        *ours*: what the journal knows that we may have left, the latest last. It is the value of a
        setting that nobody reads back; without one, nothing holds the device.
        """
        found = self._awaited(target.knob).read(target.name)
        if isinstance(found, Hidden):
            return InForce(ours[-1] if ours else target.high)
        return found

    def write(self, target: Target, value: float) -> KnobError | None:
        """Set *value*; return what the driver had against it."""
        try:
            self._awaited(target.knob).write(target.name, value)
        except KnobError as error:
            return error
        return None

    def restore(self, target: Target, value: float, text: str) -> KnobError | None:
        """Put back a prior setting; return what the driver had against it."""
        try:
            self._awaited(target.knob).restore(target.name, value, text)
        except KnobError as error:
            return error
        return None

    def look(
        self,
        knobs: Iterable[str],
        steady: float,
        ours: Mapping[tuple[str, str], tuple[float, ...]] = NOTHING,
    ) -> tuple[tuple[Reading, ...], Mapping[str, str]]:
        """Return a reading of every target, and by knob why there are no more of them.

        *ours*: by knob and target, what the journal knows that we may have left.
        """
        probes = {knob: self.probe(knob) for knob in knobs}
        targets = [target for probe in probes.values() for target in probe.targets]
        notes = {knob: probe.note for knob, probe in probes.items()}
        for knob, probe in probes.items():
            opened = self._knobs.get(knob)
            if opened is not None and isinstance(opened.knob, Slow):
                opened.knob.prepare(each.name for each in probe.targets)
        readings = (
            self._reading(each, ours.get((each.knob, each.name), ()), steady) for each in targets
        )
        return tuple(readings), notes

    def warmth(self, knobs: Iterable[str]) -> Mapping[tuple[str, str], float]:
        """Return the temperature of each target whose device tells it, in degrees Celsius."""
        found = {}
        for name in knobs:
            try:
                knob = self._knob(name)
            except KeyError:
                continue  # the probe says that there is none
            if not isinstance(knob, Warm):
                continue
            for target in knob.probe().targets:
                with suppress(KnobError):  # unknown, and watched as such
                    found[name, target.name] = knob.celsius(target.name)
        return found

    def close(self) -> None:
        """Let go of the drivers."""
        for name in tuple(self._knobs):
            self._close(name)

    def _reading(self, target: Target, ours: Sequence[float], steady: float) -> Reading:
        try:
            found = self._awaited(target.knob).read(target.name)
        except KnobError as error:
            return Reading(target, None, trouble=Trouble(error.fault, error.detail, steady))
        if isinstance(found, InForce):
            return Reading(target, found.value)
        value = ours[-1] if ours else target.high
        if found.at_least < value + target.resolution:
            return Reading(target, value)
        detail = (
            f"the device runs at {amount(found.at_least, target.unit)}, above the "
            f"{amount(value, target.unit)} that we set: somebody has lifted it, or the driver was "
            "loaded anew"
        )
        return Reading(target, value, trouble=Trouble(Fault.REFUSED, detail, steady))

    def _knob(self, name: str) -> Knob:
        self._renew(name)
        if name not in self._knobs:
            knob = self._open_knob(name, self._connections)
            self._knobs[name] = Opened(knob, self._ways(name))
        return self._knobs[name].knob

    def _awaited(self, name: str) -> Knob:
        """Return a knob that is asked now; the answer of one behind a wire may take a while."""
        knob = self._knob(name)
        if self._knobs[name].ways:
            self.alive()
        return knob

    def _ways(self, name: str) -> tuple[Connection, ...]:
        return tuple(each for each in self._connections if each.knob == name)

    def _renew(self, name: str) -> None:
        """Let go of a knob that other connections lead to now, unless it is at work."""
        opened = self._knobs.get(name)
        if opened is not None and opened.ways != self._ways(name) and not opened.at_work:
            self._close(name)

    def _close(self, name: str) -> None:
        try:
            self._knobs.pop(name).knob.close()
        except KnobError as error:
            LOG.warning(line("knob_not_closed", knob=name, detail=error.detail))
