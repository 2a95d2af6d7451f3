"""The threshold law: while the condition is true, move by a step or hold a value.

`step` keeps its claim when the condition turns false: the gap between the rule that tightens and
the one that loosens is the hysteresis. `set` and `scale` let go as soon as the condition is known
to be false, or `keep` later.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from wattgov_actuator.document.strict import Fields, Quantity
from wattgov_actuator.rules import Alone, Bounds, Kind, Law, LawForm, Look, Strategy, Traits, Want

DIRECTIONS = {"down": -1.0, "up": 1.0}


@dataclass(frozen=True, slots=True)
class Step(Alone):
    """Move the value in force by an amount at each tick that the guards let through."""

    amount: Quantity
    traits: ClassVar[Traits] = Traits(rests=True)

    def wish(self, look: Look) -> Want:
        """Tighten by claiming a lower value; loosen by lifting what others claim."""
        current, claim = look.reading.current, look.claim
        if not look.true or current is None:
            return Want(claim)
        value = current + self.amount.of(look.reading.target.high)
        return Want(value) if self.amount.value < 0 else Want(claim, value)


@dataclass(frozen=True, slots=True)
class Set(Alone):
    """Claim one value for as long as the condition is true."""

    value: Quantity
    traits: ClassVar[Traits] = Traits(keeps=True, rests=True, fixed=True)

    def wish(self, look: Look) -> Want:
        """Claim the value, or nothing."""
        return Want(self.value.of(look.reading.target.high) if look.true else None)


@dataclass(frozen=True, slots=True)
class Scale(Alone):
    """Claim a part of the value from before us for as long as the condition is true."""

    part: Quantity
    traits: ClassVar[Traits] = Traits(keeps=True, rests=True, fixed=True)

    def wish(self, look: Look) -> Want:
        """Claim the part, or nothing; claims of others do not count as a whole to take it of."""
        base = look.reading.base
        return Want(self.part.of(base) if look.true and base is not None else None)


def parse(fields: Fields, knob: str, kind: Kind, strategy: Strategy, bounds: Bounds) -> Law | None:
    """Read `step`, `set` or `scale` of a rule; what is wrong with them is noted in *fields*."""
    if kind.levels:
        if "set" not in fields:
            fields.skip("set")
            return None
        return Set(Quantity(kind.levels[fields.word("set", list(kind.levels))], "level"))
    direction = fields.one_of("step", list(DIRECTIONS))
    if direction is not None:
        size = strategy.step
        return Step(replace(size, value=size.value * DIRECTIONS[direction]))
    step = fields.quantity("step", kind.accepts, knob)
    value = fields.quantity("set", kind.accepts, knob)
    part = fields.quantity("scale", ("percent",), "scale")
    if step is not None and not step.value:
        fields.say("step", "step 0 changes nothing; give its size and sign, such as '-20W'")
    if part is not None and part.value <= 0:
        fields.say("scale", f"scale must be above 0%, found {part}")
    if value is not None:
        _inside(fields, value, bounds)
        return Set(value)
    if part is not None:
        return Scale(part)
    return None if step is None else Step(step)


def _inside(fields: Fields, value: Quantity, bounds: Bounds) -> None:
    low, high = bounds.low, bounds.high
    if value.unit == low.unit and value.value < low.value:
        floor = f"min {low}" if "min" in fields else f"the strategy's floor of {low}; give a min"
        fields.say("set", f"set {value} is below {floor}")
    elif high is not None and value.unit == high.unit and value.value > high.value:
        fields.say("set", f"set {value} is above max {high}")
    elif value.value <= 0:
        fields.say("set", f"set must be above 0, found {value}")


FORM = LawForm(keys=("step", "set", "scale"), parse=parse, sizes=("step", "scale"))
