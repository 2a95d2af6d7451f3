"""How long a write takes until it reads back as wanted: a server may take minutes to wake."""

from typing import NamedTuple

from wattgov_actuator.reading import Fault, KnobError, Target

LASTING = {Fault.BUSY, Fault.LOST}  # the order may still be carried out


class Order(NamedTuple):
    """A write that is under way."""

    value: float
    direction: str
    since: float  # steady seconds


class Durations:
    """The last completed write of each target, in each direction."""

    def __init__(self) -> None:
        """Know of none."""
        self.seconds: dict[tuple[str, str, str], float] = {}  # by knob, target, direction
        self._orders: dict[tuple[str, str], Order] = {}

    def begin(self, target: Target, current: float, value: float, steady: float) -> None:
        """Note an order; the same again, while it is under way, is a new try of it."""
        place = target.knob, target.name
        before = self._orders.get(place)
        if before is None or not target.same(before.value, value):
            direction = "tighten" if value < current else "loosen"
            self._orders[place] = Order(value, direction, steady)

    def look(self, target: Target, current: float, steady: float) -> None:
        """Note what is in force: an order that reads back is completed."""
        place = target.knob, target.name
        order = self._orders.get(place)
        if order is not None and target.same(current, order.value):
            self.seconds[(*place, order.direction)] = steady - order.since
            del self._orders[place]

    def fail(self, target: Target, error: KnobError) -> None:
        """Forget an order that is not carried out any more."""
        if error.fault not in LASTING:
            self._orders.pop((target.knob, target.name), None)
