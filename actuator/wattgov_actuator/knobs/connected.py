"""A knob whose devices are reached by connections: each target belongs to one of them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.patient import Patient
from wattgov_actuator.reading import (
    Fault,
    Hidden,
    InForce,
    Knob,
    KnobError,
    Probe,
    Target,
)


class Connected:
    """All targets that the connections of one knob lead to."""

    def __init__(self, ways: Sequence[tuple[Connection, Knob]], lost: Sequence[str] = ()) -> None:
        """Take each connection with its knob opened, and what is to be said of the others."""
        self._lost = tuple(lost)
        self._ways = [(way, Patient(knob, way.name, way.timeout_seconds)) for way, knob in ways]
        self._homes: dict[str, Patient] = {}  # by target

    def probe(self) -> Probe:
        """Return the targets of all connections, and what is to be said of those without any."""
        targets: dict[str, Target] = {}
        notes = list(self._lost)
        if not self._ways and not notes:
            notes = ["no entry under `knobs` in the rule files leads to one"]
        for _, knob in self._ways:
            knob.prepare()
        for way, knob in self._ways:
            try:
                found = knob.probe()
            except KnobError as error:
                found = Probe((), error.detail)
            notes += [f"{way.name}: {found.note}"] if found.note else []
            for each in found.targets:
                if targets.setdefault(each.name, replace(each, via=str(way))).via == str(way):
                    self._homes[each.name] = knob
        return Probe(tuple(targets.values()), "; ".join(notes))

    def target(self, name: str) -> Target | None:
        """Return one of them; who was not met before may be behind any connection."""
        if name not in self._homes:
            return self.probe().target(name)
        way = next(way for way, knob in self._ways if knob is self._homes[name])
        found = self._homes[name].probe().target(name)
        return None if found is None else replace(found, via=str(way))

    def prepare(self, targets: Iterable[str]) -> None:
        """Begin to read these; of several behind one connection the first."""
        first: dict[Patient, str] = {}
        for each in targets:
            first.setdefault(self._home(each), each)
        for home, each in first.items():
            home.prepare(each)

    def read(self, target: str) -> InForce | Hidden:
        """Return what is set now."""
        return self._home(target).read(target)

    def write(self, target: str, value: float) -> None:
        """Set *value*."""
        self._home(target).write(target, value)

    def restore(self, target: str, value: float, text: str) -> None:
        """Put back what a read gave."""
        self._home(target).restore(target, value, text)

    @property
    def at_work(self) -> bool:
        """Whether any of them is."""
        return any(knob.at_work for _, knob in self._ways)

    def settle(self, seconds: float) -> None:
        """Wait for the orders under way, so long at most for all of them."""
        for _, knob in self._ways:
            knob.settle(seconds)

    def failure(self, target: str) -> str:
        """Return why the last order that took longer has failed; empty where it has not."""
        return self._home(target).failure(target)

    def close(self) -> None:
        """Let go of the connections."""
        for _, knob in self._ways:
            knob.close()

    def _home(self, target: str) -> Patient:
        if target not in self._homes:
            raise KnobError(Fault.LOST, f"no connection leads to {target} any more")
        return self._homes[target]
