"""A machine that is not there, under the governor, the writer and the journal that are."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from wattgov_actuator.acting.chain import Limits
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.acting.restoring import put_back
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.cycle.governor import Governor
from wattgov_actuator.decision import Decision
from wattgov_actuator.reading import (
    Answer,
    Fault,
    InForce,
    KnobError,
    Moment,
    Probe,
    Target,
)
from wattgov_actuator.rules import RuleSet

Place = tuple[str, str]  # knob, target
MEMORY = Path("/dev/shm")  # noqa: S108 (a fresh folder in it, of our own)
FEW = Limits(decisions=1_000)  # nobody reads them, and memory is small in a container


@dataclass(frozen=True, slots=True)
class Planted:
    """One device of the machine, and what is set before anything happens."""

    target: Target
    value: float

    @property
    def place(self) -> Place:
        """What it is called."""
        return (self.target.knob, self.target.name)


@dataclass
class SimulatedKnob:
    """A knob in memory: it obeys, unless told to have a fault."""

    targets: tuple[Target, ...]
    values: dict[str, float]
    faults: dict[str, Fault] = field(default_factory=dict)

    def probe(self) -> Probe:
        """Return the devices that are there."""
        here = [each for each in self.targets if self.faults.get(each.name) is not Fault.LOST]
        return Probe(tuple(here), "" if here else "the simulated machine has none")

    def read(self, target: str) -> InForce:
        """Return what is set."""
        if self.faults.get(target) is Fault.LOST:
            raise KnobError(Fault.LOST, "the simulated device is gone")
        return InForce(self.values[target])

    def write(self, target: str, value: float) -> None:
        """Set *value*."""
        fault = self.faults.get(target)
        if fault is not None:
            raise KnobError(fault, f"the simulated device answers: {fault}")
        self.values[target] = value

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set the prior value."""
        self.write(target, value)

    def close(self) -> None:
        """Nothing is open."""


class Simulation:
    """The actuator at work on planted devices; time and answers are given, step by step."""

    def __init__(self, rules: RuleSet, planted: Iterable[Planted], journal: Journal) -> None:
        self._planted = tuple(planted)
        self._knobs = {knob: self._knob(knob) for knob in rules.knobs}
        self._now = Moment(0.0, 0.0)
        hands = Hands(lambda knob, _: self._knobs[knob])
        self._writer = Writer(journal, hands, lambda: self._now)
        self.governor = Governor(
            rules,
            writer=self._writer,
            journal=journal,
            now=lambda: self._now,
            enforcing=True,
        )

    def step(self, now: Moment, answers: Mapping[str, Answer]) -> tuple[Decision, ...]:
        """Do one tick at *now*; return what was decided in it."""
        self._now = now
        self.governor.step(lambda expressions: {expr: answers[expr] for expr in expressions})
        return tuple(each for each in self.governor.snapshot.decisions if each.at == now.unix)

    def stop(self) -> None:
        """End it as a signal does: everything is put back."""
        put_back(self._writer)

    def value(self, place: Place) -> float:
        """Return what is in force at one target."""
        knob, name = place
        return self._knobs[knob].values[name]

    def turn(self, place: Place, value: float) -> None:
        """Set a value as somebody else does."""
        knob, name = place
        self._knobs[knob].values[name] = value

    def trouble(self, place: Place, fault: Fault | None) -> None:
        """Let a device fail, or mend it."""
        knob, name = place
        if fault is None:
            self._knobs[knob].faults.pop(name, None)
        else:
            self._knobs[knob].faults[name] = fault

    def _knob(self, knob: str) -> SimulatedKnob:
        here = [each for each in self._planted if each.target.knob == knob]
        values = {each.target.name: each.value for each in here}
        return SimulatedKnob(tuple(each.target for each in here), values)


def scratch(memory: Path = MEMORY) -> TemporaryDirectory[str]:
    """Return a folder for the journal of a simulation, in *memory* where there is such a folder.

    On a disk its syncs would take most of the time, and protect nothing.
    """
    return TemporaryDirectory(prefix="wattgov-", dir=memory if os.access(memory, os.W_OK) else None)


@contextmanager
def simulated(rules: RuleSet, planted: Iterable[Planted], folder: Path) -> Iterator[Simulation]:
    """Yield a simulation whose journal is in *folder*; raises JournalError and OSError."""
    log, nowhere = logging.getLogger("wattgov_actuator"), logging.NullHandler()
    log.addHandler(nowhere)  # what is not real is kept off the terminal
    try:
        with closing(Journal(folder, FEW)) as journal:
            yield Simulation(rules, planted, journal)
    finally:
        log.removeHandler(nowhere)
