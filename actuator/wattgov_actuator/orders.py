"""What a running loop is asked to do between two ticks."""

from collections.abc import Iterable
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
