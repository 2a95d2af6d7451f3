"""What follows from an election: which rules are in force here, and what may be written."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from wattgov_actuator.connection import Connection
from wattgov_actuator.election.campaign import Elector
from wattgov_actuator.election.protocol import turned_here
from wattgov_actuator.knobs import HERE, open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, Hidden, InForce, Knob, KnobError, Probe, Slow, Target
from wattgov_actuator.rules import Kind, RuleSet
from wattgov_actuator.shared import is_shared


class Fenced:
    """A shared knob: a tick that began while we led may be at its end when we do so no more."""

    def __init__(self, knob: Knob, leads: Callable[[], bool]) -> None:
        self._knob, self._leads = knob, leads

    def probe(self) -> Probe:
        """Return its targets."""
        return self._knob.probe()

    def read(self, target: str) -> InForce | Hidden:
        """Return what is set now."""
        return self._knob.read(target)

    def write(self, target: str, value: float) -> None:
        """Set *value*, if it is still for us to do; raises KnobError."""
        if not self._leads():
            raise KnobError(Fault.REFUSED, f"another actuator may lead now, and turn {target}")
        self._knob.write(target, value)

    def restore(self, target: str, value: float, text: str) -> None:
        """Put back, whoever leads: it was ours."""
        self._knob.restore(target, value, text)

    @property
    def at_work(self) -> bool:
        """Whether an order is under way."""
        return isinstance(self._knob, Slow) and self._knob.at_work

    def target(self, name: str) -> Target | None:
        """Return one of its targets."""
        knob = self._knob
        return knob.target(name) if isinstance(knob, Slow) else knob.probe().target(name)

    def prepare(self, targets: Iterable[str]) -> None:
        """Begin to read these, so that they are waited for together."""
        if isinstance(self._knob, Slow):
            self._knob.prepare(targets)

    def settle(self, seconds: float) -> None:
        """Wait for the orders under way, so long at most."""
        if isinstance(self._knob, Slow):
            self._knob.settle(seconds)

    def failure(self, target: str) -> str:
        """Return why the last order that took longer has failed; empty where it has not."""
        return self._knob.failure(target) if isinstance(self._knob, Slow) else ""

    def close(self) -> None:
        """Let go."""
        self._knob.close()


class Turned:
    """The rules of this actuator, as the files and the election have it."""

    def __init__(
        self,
        rules: RuleSet,
        load: Callable[[], RuleSet],
        kinds: Mapping[str, Kind],
        elector: Elector | None,
    ) -> None:
        """Take the rules of the files, and who reads them again; no *elector* is no election."""
        self._rules, self._load, self._kinds = rules, load, kinds
        self.elector = elector
        self._led = False

    @property
    def here(self) -> RuleSet:
        """The rules as of the last look at who leads; before the first one nobody does."""
        if self.elector is None:
            return self._rules
        return turned_here(self._rules, self._kinds, leads=self._led)

    def __call__(self) -> RuleSet:
        """Return the rules now; raises Invalid, but never for a change of who leads.

        Files with mistakes must not keep what we lead no more in force: they are not read then.
        """
        before, self._led = self._led, self.elector is not None and self.elector.leads()
        if before == self._led:
            self._rules = self._load()
        return self.here

    def opening(self, name: str, ways: Sequence[Connection] = (), machine: Machine = HERE) -> Knob:
        """Open a knob as `open_knob` does; a shared one is fenced in an election."""
        knob = open_knob(name, ways, machine)
        shared = any(is_shared(way, self._kinds) for way in ways if way.knob == name)
        return knob if self.elector is None or not shared else Fenced(knob, self.elector.leads)
