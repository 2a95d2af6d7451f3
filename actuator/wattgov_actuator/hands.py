"""The knobs of this machine, opened when first needed."""

import logging
from collections.abc import Callable, Iterable, Mapping

from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import InForce, Knob, KnobError, Probe, Reading, Target, Trouble

LOG = logging.getLogger(__name__)


class Hands:
    """Every knob by its name."""

    def __init__(self, open_knob: Callable[[str], Knob]) -> None:
        """Take a function that opens a knob; KeyError when there is none of that name."""
        self._open_knob = open_knob
        self._knobs: dict[str, Knob] = {}

    def probe(self, knob: str) -> Probe:
        """Return the targets of one knob."""
        try:
            return self._knob(knob).probe()
        except KeyError:
            return Probe((), f"this version has no knob {knob}")

    def target(self, knob: str, name: str) -> Target | None:
        """Return one target, None when it is not there."""
        return next((each for each in self.probe(knob).targets if each.name == name), None)

    def read(self, target: Target) -> InForce:
        """Return what is set; raises KnobError."""
        return self._knob(target.knob).read(target.name)

    def write(self, target: Target, value: float) -> KnobError | None:
        """Set *value*; return what the driver had against it."""
        try:
            self._knob(target.knob).write(target.name, value)
        except KnobError as error:
            return error
        return None

    def look(
        self, knobs: Iterable[str], steady: float
    ) -> tuple[tuple[Reading, ...], Mapping[str, str]]:
        """Return a reading of every target, and by knob why there are no more of them."""
        probes = {knob: self.probe(knob) for knob in knobs}
        targets = [target for probe in probes.values() for target in probe.targets]
        notes = {knob: probe.note for knob, probe in probes.items()}
        return tuple(self._reading(each, steady) for each in targets), notes

    def close(self) -> None:
        """Let go of the drivers."""
        for name, knob in self._knobs.items():
            try:
                knob.close()
            except KnobError as error:
                LOG.warning(line("knob_not_closed", knob=name, detail=error.detail))
        self._knobs.clear()

    def _reading(self, target: Target, steady: float) -> Reading:
        try:
            return Reading(target, self.read(target).value)
        except KnobError as error:
            return Reading(target, None, trouble=Trouble(error.fault, error.detail, steady))

    def _knob(self, name: str) -> Knob:
        if name not in self._knobs:
            self._knobs[name] = self._open_knob(name)
        return self._knobs[name]
