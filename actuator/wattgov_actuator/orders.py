"""What a running loop is asked to do between two ticks."""

from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol

RELOAD_ON = "SIGHUP"
PATIENCE_SECONDS = 10.0  # a reload waits for the end of a tick, which waits for Prometheus


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the rules again; the mistakes come back, none when the new rules are in force."""

    answer: "SimpleQueue[tuple[str, ...]]" = field(default_factory=SimpleQueue)


@dataclass(frozen=True, slots=True)
class Wake:
    """Wake the target of this name, whichever knob has put it to sleep; then answer.

    The answer is what is to be said against it, empty once the tick has been through.
    """

    target: str
    answer: "SimpleQueue[str]" = field(default_factory=SimpleQueue)


class Orders(Protocol):
    """Where the loop takes its orders from: a Reload, a Wake, or the name of a signal."""

    def get(self, block: bool = True, timeout: float | None = None, /) -> object:
        """Return the next one; raises queue.Empty."""


def asked_to_reload(
    queue: "SimpleQueue[object]", patience_seconds: float = PATIENCE_SECONDS
) -> tuple[str, ...] | None:
    """Have the loop reload, and return the mistakes; None when that takes too long."""
    order = Reload()
    queue.put(order)
    try:
        return order.answer.get(timeout=patience_seconds)
    except Empty:
        return None
