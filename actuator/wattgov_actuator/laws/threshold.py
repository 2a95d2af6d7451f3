"""The threshold law: while the condition is true, move by a step or hold a value.

`step` keeps its claim when the condition turns false: the gap between the rule that tightens and
the one that loosens is the hysteresis. `set` lets go as soon as the condition is known to be false.
"""

from dataclasses import dataclass, replace

from wattgov_actuator.reading import Reading
from wattgov_actuator.rules import Bounds, Kind, Law, LawForm, Strategy, Want
from wattgov_actuator.strict import Fields, Quantity

DIRECTIONS = {"down": -1.0, "up": 1.0}


@dataclass(frozen=True, slots=True)
class Step:
    """Move the value in force by an amount at each tick that the guards let through."""

    amount: Quantity

    def wish(self, reading: Reading, claim: float | None, *, true: bool) -> Want:
        """Tighten by claiming a lower value; loosen by lifting what others claim."""
        if not true or reading.current is None:
            return Want(claim)
        value = reading.current + self.amount.of(reading.target.high)
        return Want(claim=value) if self.amount.value < 0 else Want(claim, lift=value)


@dataclass(frozen=True, slots=True)
class Set:
    """Claim one value for as long as the condition is true."""

    value: Quantity

    def wish(self, reading: Reading, claim: float | None, *, true: bool) -> Want:  # noqa: ARG002 (a Law)
        """Claim the value, or nothing."""
        return Want(self.value.of(reading.target.high) if true else None)


def parse(fields: Fields, knob: str, kind: Kind, strategy: Strategy, bounds: Bounds) -> Law | None:
    """Read `step` or `set` of a rule; what is wrong with them is noted in *fields*."""
    direction = fields.one_of("step", list(DIRECTIONS))
    if direction is not None:
        size = strategy.step
        return Step(replace(size, value=size.value * DIRECTIONS[direction]))
    step = fields.quantity("step", kind.accepts, knob)
    value = fields.quantity("set", kind.accepts, knob)
    if step is not None and not step.value:
        fields.say("step", "step 0 changes nothing; give its size and sign, such as '-20W'")
    if value is not None:
        _inside(fields, value, bounds)
        return Set(value)
    return None if step is None else Step(step)


def _inside(fields: Fields, value: Quantity, bounds: Bounds) -> None:
    low, high = bounds.low, bounds.high
    if value.unit == low.unit and value.value < low.value:
        fields.say("set", f"set {value} is below the floor of {low}")
    elif high is not None and value.unit == high.unit and value.value > high.value:
        fields.say("set", f"set {value} is above max {high}")
    elif value.value <= 0:
        fields.say("set", f"set must be above 0, found {value}")


FORM = LawForm(keys=("step", "set"), parse=parse)
