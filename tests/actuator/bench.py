"""A writer with its journal and one real knob on a faked edge."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from actuator.fakes import Clock
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.reading import Knob, Reading


class Bench:
    """One knob under a writer, which can be taken down and set up again; acts on one target."""

    def __init__(self, folder: Path, name: str, knob: Callable[[], Knob]) -> None:
        self.folder, self.name, self.knob = folder / "state", name, knob
        self.folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        """Open the journal and the knob."""
        self.journal, self.clock = Journal(self.folder), Clock()
        self.hands = Hands(lambda name, _: {self.name: self.knob}[name]())
        self.writer = Writer(self.journal, self.hands, self.clock)

    def close(self) -> None:
        """Let go of both."""
        self.hands.close()
        self.journal.close()

    def restart(self) -> None:
        """Come back as another process would."""
        self.close()
        self.start()

    def observe(self, target: str = "") -> Reading:
        """Return the reading of one target, the first unless it is named."""
        readings, _ = self.writer.observe([self.name])
        return next(each for each in readings if target in {"", each.target.name})

    def act(self, wanted: float, reason: Reason = Reason.APPLIED, target: str = "") -> Decision:
        """Write one value, as decided on what is in force now."""
        reading = self.observe(target)
        decision = Decision(
            group="group",
            rule="trim",
            knob=self.name,
            target=reading.target.name,
            unit=reading.target.unit,
            reason=reason,
            detail="because",
            at=self.clock.unix,
        )
        return self.writer.act(replace(decision, current=reading.current, wanted=wanted, acts=True))
