"""How long a write takes until it reads back as wanted: a server may take minutes to wake."""

from typing import NamedTuple

from wattgov_actuator.reading import Fault, KnobError, Target

LASTING = {Fault.BUSY, Fault.LOST}  # the order may still be carried out
Way = tuple[str, str, str]  # knob, target, direction
LOOSEN, TIGHTEN = "loosen", "tighten"


class Order(NamedTuple):
    """A write that is under way."""

    value: float
    direction: str
    since: float  # steady seconds
    alone: bool = False  # nobody waits for it any more


class Writes(NamedTuple):
    """What became of all of them so far."""

    done: int = 0
    seconds: float = 0.0  # of those, until they read back
    failed: int = 0  # tries that came to nothing


class Durations:
    """The writes of each target, in each direction."""

    def __init__(self) -> None:
        """Know of none."""
        self.seconds: dict[Way, float] = {}  # of the last completed one
        self.writes: dict[Way, Writes] = {}
        self._orders: dict[tuple[str, str], Order] = {}

    def begin(self, target: Target, current: float, value: float, steady: float) -> bool:
        """Note an order; tell whether one like it, for which nobody waited, has come to nothing.

        The same again, while it is under way, is a new try of it.
        """
        place = target.knob, target.name
        before = self._orders.get(place)
        if before is None or not target.same(before.value, value):
            direction = TIGHTEN if value < current else LOOSEN
            self._orders[place] = Order(value, direction, steady)
            return False
        if before.alone:
            self._failed(target, before)
            self._orders[place] = before._replace(alone=False)
        return before.alone

    def look(self, target: Target, current: float, steady: float) -> None:
        """Note what is in force: an order that reads back is completed."""
        place = target.knob, target.name
        order = self._orders.get(place)
        if order is not None and target.same(current, order.value):
            way, took = (*place, order.direction), steady - order.since
            before = self.writes.get(way, Writes())
            self.seconds[way] = took
            self.writes[way] = before._replace(done=before.done + 1, seconds=before.seconds + took)
            del self._orders[place]

    def leave(self, target: Target, error: KnobError) -> None:
        """Note that a device cannot be read after an order: at work, or gone."""
        place = target.knob, target.name
        order = self._orders.get(place)
        if order is not None and error.fault is Fault.BUSY:
            self._orders[place] = order._replace(alone=True)
        else:
            self.fail(target, error)

    def fail(self, target: Target, error: KnobError) -> None:
        """Forget an order that is not carried out any more."""
        place = target.knob, target.name
        order = self._orders.get(place)
        if order is None or error.fault is Fault.BUSY:
            return
        self._failed(target, order)
        if error.fault not in LASTING:
            del self._orders[place]

    def _failed(self, target: Target, order: Order) -> None:
        way = (target.knob, target.name, order.direction)
        before = self.writes.get(way, Writes())
        self.writes[way] = before._replace(failed=before.failed + 1)
