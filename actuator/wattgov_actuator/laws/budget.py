"""The budget law: so many watts for all devices of the rule together, shared by need.

Everybody keeps the floor. A device that draws what it is allowed is taken to want all it can get,
another one what it draws and a tenth more. Small wants are met first: all are raised to one level
at which those that want less stop, and what nobody wants is given out in the same way. A device
whose need is not known keeps what is in force. Shares go down at once and up only into watts that
are free already, so that the sum stays within the budget whichever of the writes fails. Watts that
another rule holds a device below its share are not free: it takes them back without asking.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from wattgov_actuator.document.strict import Fields, Quantity
from wattgov_actuator.rules import (
    Alone,
    Bounds,
    Kind,
    Law,
    LawForm,
    Look,
    Peer,
    Rank,
    Strategy,
    Traits,
    Want,
)

STARVED = 0.95  # of what is allowed: a board under its cap draws a little less than the cap
ROOM = 1.1  # above what is drawn, so that a device can show that it wants more
ROUNDING = 1e-6  # of a step: floats do not add up
ROUNDS = 50  # of halving: a budget of megawatts is shared to less than a microwatt


@dataclass(frozen=True, slots=True)
class Budget(Alone):
    """Claim this device's share of *whole*."""

    whole: Quantity
    traits: ClassVar[Traits] = Traits(measures=True, paced=True, sums=True, rank=Rank.BUDGET)

    def share(self, peers: Sequence[Peer]) -> "Shared":
        """Return what each device gets, and how the budget stands."""
        watts = self.whole.value
        given = grants(watts, peers)
        floors = sum(peer.low for peer in peers)
        detail = f"{sum(given):.0f} of {watts:g} W are given to {len(given)} devices"
        if floors > watts:
            detail = f"the floors of {len(given)} devices alone take {floors:.0f} of {watts:g} W"
        parts = zip(peers, given, strict=True)
        return Shared({peer.name: (peer, granted) for peer, granted in parts}, detail)

    def wish(self, look: Look) -> Want:
        """Claim the device's part."""
        shared, name = look.shared, look.reading.target.name
        if not isinstance(shared, Shared) or name not in shared.parts:
            return Want(look.claim)
        peer, granted = shared.parts[name]
        return Want(_whole(granted, peer, look), detail=shared.detail)


@dataclass(frozen=True, slots=True)
class Shared:
    """Who gets what."""

    parts: Mapping[str, tuple[Peer, float]]  # by name of the device: watts
    detail: str


def shares(watts: float, peers: Sequence[Peer]) -> list[float]:
    """Return what each device should have: floors kept, the rest by need; the sum is in *watts*.

    Only floors, and devices whose need is not known, may take more than that.
    """
    unknown = sum(peer.current for peer in peers if peer.need is None)
    known = [peer for peer in peers if peer.need is not None]
    left = watts - unknown
    wants = [_want(peer) for peer in known]
    lows = [peer.low for peer in known]
    if sum(lows) >= left:
        found = lows
    elif sum(wants) > left:
        found = _filled(left, lows, wants)
    else:
        found = _filled(left, wants, [peer.high for peer in known])
    given = iter(found)
    return [peer.current if peer.need is None else next(given) for peer in peers]


def grants(watts: float, peers: Sequence[Peer]) -> list[float]:
    """Return what each device gets now: less at once, more only from what is free already."""
    goals = shares(watts, peers)
    rises = [max(goal - peer.current, 0.0) for goal, peer in zip(goals, peers, strict=True)]
    free = max(watts - sum(peer.current for peer in peers), 0.0)
    part = min(free / sum(rises), 1.0) if sum(rises) > 0 else 0.0
    return [
        goal if goal <= peer.current else peer.current + part * rise
        for goal, peer, rise in zip(goals, peers, rises, strict=True)
    ]


def _whole(given: float, peer: Peer, look: Look) -> float:
    """Return whole steps of the knob, rounded down: what the knob cannot tell apart adds up."""
    step = look.reading.target.resolution
    if step <= 0:
        return given
    whole = math.floor(given / step + ROUNDING) * step
    if whole < peer.current < whole + step:
        whole = peer.current if given >= peer.current else peer.current - step
    return max(whole, peer.low)


def _want(peer: Peer) -> float:
    need = peer.need or 0.0
    wanted = peer.high if need >= STARVED * peer.current else need * ROOM
    return min(max(wanted, peer.low), peer.high)


def _filled(watts: float, least: Sequence[float], most: Sequence[float]) -> list[float]:
    """Raise everybody from *least* to one level, nobody beyond *most*, until *watts* are used."""

    def at(level: float) -> list[float]:
        return [min(max(level, low), high) for low, high in zip(least, most, strict=True)]

    low, high = 0.0, max(most, default=0.0)
    if sum(at(high)) <= watts:
        return at(high)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(at(middle)) <= watts else (low, middle)
    return at(low)


def parse(
    fields: Fields, knob: str, kind: Kind, _strategy: Strategy, _bounds: Bounds
) -> Law | None:
    """Read `budget` of a rule."""
    if kind.accepts and "watts" not in kind.accepts:
        fields.refuse("budget", f"a budget is shared in watts; {knob} is not set in watts")
    whole = fields.quantity("budget", ("watts",), "budget")
    if whole is not None and whole.value <= 0:
        fields.say("budget", f"budget must be above 0, found {whole}")
    return None if whole is None else Budget(whole)


FORM = LawForm(keys=("budget",), parse=parse, sizes=("budget",))
