"""What became of our orders at each target, as far as this run knows."""

from contextlib import suppress
from dataclasses import replace

from wattgov_actuator.acting.durations import LOOSEN, Durations
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.reading import Clock, Fault, KnobError, Reading, Target, Trouble, amount


class Outcomes:
    """When each target was changed, what is in the way there, and how long orders take."""

    def __init__(self, journal: Journal, hands: Hands, now: Clock) -> None:
        self._journal, self._hands, self._now = journal, hands, now
        self.changed: dict[tuple[str, str], float] = {}  # steady seconds by knob, target
        self.trouble: dict[tuple[str, str], Trouble] = {}
        self.durations = Durations()

    def known(self, reading: Reading) -> Reading:
        """Add to a reading what came of our orders there."""
        target, place = reading.target, (reading.target.knob, reading.target.name)
        if reading.current is not None:
            self.durations.look(target, reading.current, self._now().steady)
        return replace(
            reading,
            changed=self.changed.get(place),
            trouble=reading.trouble or self.trouble.get(place),
            loosened_seconds=self.durations.seconds.get((*place, LOOSEN)),
        )

    def begin(self, target: Target, current: float, value: float, decision: Decision) -> None:
        """Note an order; one like it that went on by itself and came to nothing is journalled."""
        if not self.durations.begin(target, current, value, self._now().steady):
            return
        why = self._hands.failure(target) or f"it still reads {amount(current, target.unit)}"
        detail = f"the last order for {amount(value, target.unit)} came to nothing: {why}"
        self.failed(decision, KnobError(Fault.REFUSED, detail))

    def done(self, target: Target) -> None:
        """Note that a target is now as it was ordered."""
        place = (target.knob, target.name)
        self.changed[place] = self._now().steady
        self.trouble.pop(place, None)

    def note(self, target: Target, error: KnobError) -> None:
        """Note what is in the way at a target."""
        now = self._now().steady
        self.trouble[target.knob, target.name] = Trouble(error.fault, error.detail, now)

    def failed(self, decision: Decision, error: KnobError) -> Decision:
        """Say what came of it; the journal holds it once, however often it is tried again."""
        place = (decision.knob, decision.target)
        before = self.trouble.get(place)
        self.trouble[place] = Trouble(error.fault, error.detail, self._now().steady)
        failed = replace(decision, reason=Reason(error.fault), detail=error.detail)
        if before is not None and (before.fault, before.detail) == (error.fault, error.detail):
            return failed
        return self.recorded(failed)

    def recorded(self, decision: Decision) -> Decision:
        """Journal a decision, where that can be done."""
        with suppress(JournalError):  # it has told, and counts
            self._journal.record((decision,))
        return decision
