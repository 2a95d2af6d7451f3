"""The PID law: turn a knob until a measured value is at its target.

The textbook form: output = kp*e + ki*∫e dt - kd*dv/dt, with e = target - value in the unit of the
expression and time in seconds. The output is in the unit of the knob, or in doublings where the
steps of the knob are ratios (a batch size, a clock). Positive gains fit a knob that raises the
value, negative ones a knob that lowers it.

It never winds up. While the knob is not where the law wished it (a bound, slew, cooldown, a veto,
another rule), the integral moves only towards the value in force. Without a claim it starts anew
from that value, so that taking over moves nothing by itself. What the deadband of the rule swallows
is at most the deadband. The derivative is of the measurement: a new target does not kick.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from wattgov_actuator.document.strict import Fields
from wattgov_actuator.rules import Alone, Bounds, Kind, Law, LawForm, Look, Strategy, Traits, Want

GAINS = {"kp": 2.0, "ki": 0.2, "kd": 0.1}  # for a batch in doublings on a latency in seconds
SCALES = ("linear", "log")
LONGEST = 2  # intervals: after a longer silence no more than these is made up for


@dataclass(frozen=True, slots=True)
class Trail:
    """What the law remembers of its last look."""

    integral: float  # in the unit of the output
    value: float
    steady: float
    wished: float  # before any bound, in the unit of the knob


@dataclass(frozen=True, slots=True)
class Pid(Alone):
    """Keep the value of the expression at *target*."""

    target: float
    kp: float
    ki: float
    kd: float
    tolerance: float = 0.0  # nearer than this is near enough
    log: bool | None = None  # None: as the knob is
    traits: ClassVar[Traits] = Traits(measures=True, paced=True)

    def wish(self, look: Look) -> Want:
        """Claim the output, in whole steps of the knob, inside the bounds."""
        value, current, now = look.value, look.reading.current, look.now.steady
        if not look.true or value is None or current is None:
            return Want(look.claim, memory=look.memory)
        last = look.memory if isinstance(look.memory, Trail) else None
        if last is not None and now <= last.steady:
            return Want(look.claim, memory=last)
        log = look.reading.target.multiplicative if self.log is None else self.log
        error = self.target - value
        error = 0.0 if abs(error) <= self.tolerance else error
        here, longest = _into(current, log=log), LONGEST * look.interval_seconds
        seconds = look.interval_seconds if last is None else min(now - last.steady, longest)
        growth = self.ki * error * seconds
        slack = max(look.slack, look.reading.target.resolution)
        swallowed = last is not None and abs(last.wished - current) < slack
        if last is None or (look.claim is None and not swallowed):
            integral = here - self.kp * error + growth
            slope = 0.0
        else:
            gap = _into(last.wished, log=log) - here
            integral = last.integral + (growth if swallowed or growth * gap < 0 else 0.0)
            slope = (value - last.value) / seconds if now - last.steady <= longest else 0.0
        output = self.kp * error + integral - self.kd * slope
        wished = _out_of(output, log=log)
        trail = Trail(integral, value, now, wished)
        claim = min(max(_stepped(wished, look), look.low), look.high)
        return Want(claim, memory=trail, detail=f"{value:g}, wanted is {self.target:g}")


def parse(
    fields: Fields, _knob: str, _kind: Kind, _strategy: Strategy, _bounds: Bounds
) -> Law | None:
    """Read `pid` of a rule."""
    block = fields.block("pid")
    if block is None:
        return None
    target = block.number("target")
    kp, ki, kd = (block.number(name, default) for name, default in GAINS.items())
    tolerance = block.number("tolerance", 0.0)
    scale = block.word("scale", SCALES, "knob") if "scale" in block else None
    if scale is None:
        block.skip("scale")
    if tolerance < 0:
        block.say("tolerance", f"tolerance must not be negative, found {tolerance:g}")
    if not kp and not ki:
        block.say(None, "pid does nothing with kp 0 and ki 0")
    if min(kp, ki, kd) < 0 < max(kp, ki, kd):
        block.say(
            None,
            "the gains of a pid have one sign: above 0 where the knob raises the value, "
            "below 0 where it lowers it",
        )
    block.end()
    return Pid(target, kp, ki, kd, tolerance, None if scale is None else scale == "log")


def _into(value: float, *, log: bool) -> float:
    return math.log2(max(value, 1e-9)) if log else value


def _out_of(output: float, *, log: bool) -> float:
    return 2.0 ** min(output, 1000.0) if log else output


def _stepped(value: float, look: Look) -> float:
    """Return the nearest whole step of the knob: nobody sets 8.3 requests."""
    step = look.reading.target.resolution
    return round(value / step) * step if step > 0 and math.isfinite(value) else value


FORM = LawForm(keys=("pid",), parse=parse, sizes=("pid",))
