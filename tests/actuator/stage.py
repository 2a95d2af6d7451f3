"""A whole actuator without processes: real rules, tick, writer and journal on a faked edge."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from queue import SimpleQueue

from actuator.builders import answer, on
from actuator.fakes import FRESH, Clock, FileKnob
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.cycle.governor import Governor
from wattgov_actuator.cycle.loop import Loop
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.pause import PauseFile
from wattgov_actuator.reading import Answer, QueryFailure
from wattgov_actuator.rules import RuleSet

DOWN = Answer(failure=QueryFailure.DOWN, detail="Prometheus is down")


class Stage:
    """One actuator; `say` what Prometheus answers, then `play`."""

    def __init__(
        self,
        folder: Path,
        rules: RuleSet,
        knob: FileKnob,
        *others: FileKnob,
        enforcing: bool = True,
    ) -> None:
        self.folder = folder / "state"
        self.folder.mkdir(exist_ok=True)
        self.knob, self.clock = knob, Clock()
        self.said: dict[str, Answer] = {}
        self.read_seconds_ago: float | None = 0.0  # None: the exporter says nothing
        self.down = False
        self.asked: list[tuple[str, ...]] = []
        self.journal = Journal(self.folder)
        knobs = {each.name: each for each in (knob, *others)}
        self.writer = Writer(self.journal, Hands(lambda name, _: knobs[name]), self.clock)
        self.brake = PauseFile(self.folder)
        self.rules = rules  # what a reload finds
        self.governor = Governor(
            rules,
            writer=self.writer,
            journal=self.journal,
            now=self.clock,
            enforcing=enforcing,
            paused=self.brake.read,
            load=lambda: self.rules,
            armed=enforcing,
        )
        self.loop = Loop(self.governor, ask=self.ask, now=self.clock)

    def ask(self, expressions: Iterable[str]) -> Mapping[str, Answer]:
        """Answer as Prometheus would."""
        wanted = tuple(expressions)
        self.asked.append(wanted)
        if self.down:
            return dict.fromkeys(wanted, DOWN)
        ago = self.read_seconds_ago
        times = [] if ago is None else [({"instance": "here"}, self.clock.unix - ago)]
        known = {FRESH: answer(*times), **self.said}
        return {expr: known.get(expr, Answer()) for expr in wanted}

    def say(self, *names: str, uuid: str = "GPU-a") -> None:
        """Let just these expressions return a series for the card."""
        self.said = {name: on(uuid=uuid) for name in names}

    def play(self, ticks: int = 1, seconds: float = 15) -> Decision:
        """Let time pass and tick; return the last decision of the first rule and target."""
        for _ in range(ticks):
            self.clock.advance(seconds)
            self.loop.step()
        return self.governor.snapshot.decisions[0]

    def decision(self, rule: str, target: str = "GPU-a") -> Decision:
        """Return the latest decision of one rule."""
        (found,) = (
            each
            for each in self.governor.snapshot.decisions
            if (each.rule, each.target) == (rule, target)
        )
        return found

    def reason(self, rule: str, target: str = "GPU-a") -> Reason:
        """Return why the latest decision of one rule is what it is."""
        return self.decision(rule, target).reason

    def stop(self) -> int:
        """Stop the loop as a signal does; return its exit status."""
        stop = SimpleQueue[str]()
        stop.put("SIGTERM")
        status = self.loop.run(stop)
        self.journal.close()
        return status

    def journalled(self) -> str:
        """Return what the journal holds, without times."""
        rows = [{**row, "at": 0, "inputs": 0} for row in self.journal.decisions()]
        return json.dumps(rows, indent=1)


Make = Callable[..., Stage]
"""Makes a stage of rules; `enforcing=False` for a dry run."""
