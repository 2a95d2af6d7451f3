"""What a running loop is asked to do between two ticks."""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

from wattgov_actuator.decision import Decision

RELOAD_ON = "SIGHUP"
PATIENCE_SECONDS = 10.0  # an order waits for the end of a tick, which waits for Prometheus
Said = TypeVar("Said")


class Order(Generic[Said]):
    """Something to do, and where the answer goes."""

    def __init__(self) -> None:
        self.answer = SimpleQueue[Said]()


class Reload(Order[tuple[str, ...]]):
    """Read the rules again; the mistakes come back, none when the new rules are in force."""


class Heed(Order[int]):
    """Look at the pause file now, and obey; the number of open undos comes back."""


class Restore(Order[tuple[Decision, ...]]):
    """Put everything back and forget all claims; what became of each knob comes back."""


class Look(Order[tuple[str, ...]]):
    """Ask for some groups at once, whatever their interval; those that will be come back."""

    def __init__(self, groups: Iterable[str]) -> None:
        super().__init__()
        self.groups = frozenset(groups)


class Wake(Order[str]):
    """Wake the target of this name, whichever knob has put it to sleep.

    What is to be said against it comes back, empty when the next tick wakes it.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target


class Orders(Protocol):
    """Where the loop takes its orders from: an Order, or the name of a signal."""

    def get(self, block: bool = True, timeout: float | None = None, /) -> object:
        """Return the next one; raises queue.Empty."""


def stops(order: object) -> bool:
    """Tell whether an order is the name of a signal that ends the loop."""
    return not isinstance(order, Order) and order != RELOAD_ON


class Inbox:
    """The orders of one loop, which may look for a stop before it comes to the others."""

    def __init__(self, orders: Orders) -> None:
        self.stop: object = None  # the one that was seen
        self._orders = orders
        self._seen = deque[object]()

    def get(self, block: bool = True, timeout: float | None = None, /) -> object:
        """Return the next one, in the order that they came; raises queue.Empty."""
        return self._seen.popleft() if self._seen else self._orders.get(block, timeout)

    def look(self) -> None:
        """See whether a stop is among them."""
        with suppress(Empty):
            while self.stop is None:
                self._seen.append(self._orders.get(False))
                self.stop = self._seen[-1] if stops(self._seen[-1]) else None


class Asking:
    """Gives a loop orders from other threads."""

    def __init__(
        self, queue: "SimpleQueue[object]", patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._queue, self._patience_seconds = queue, patience_seconds

    def __call__(self, order: Order[Said]) -> Said | None:
        """Have the loop obey, and return what came of it; None when it has not come to it yet."""
        self._queue.put(order)
        try:
            return order.answer.get(timeout=self._patience_seconds)
        except Empty:
            return None
