"""Who waits for a target to be awake: a server may take minutes to get up."""

from collections.abc import Collection

from wattgov_actuator.orders import PATIENCE_SECONDS, Wake


class Wakes:
    """Orders that are not answered yet; whoever gave one waits so long, and asks again then."""

    def __init__(self) -> None:
        """Wait for nothing."""
        self._waiting: list[tuple[Wake, float]] = []  # and when they came, in steady seconds

    def __bool__(self) -> bool:
        """Tell whether somebody waits."""
        return bool(self._waiting)

    def add(self, order: Wake, steady: float) -> None:
        """Take an order."""
        self._waiting.append((order, steady))

    def answer(self, awake: Collection[str], steady: float) -> None:
        """Answer those whose targets are *awake*; forget who has waited for too long."""
        for order, _ in self._waiting:
            if order.target in awake:
                order.answer.put("")
        self._waiting = [
            (order, at)
            for order, at in self._waiting
            if order.target not in awake and steady - at < PATIENCE_SECONDS
        ]
