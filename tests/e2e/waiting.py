"""Wait for something to become true, never for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

from wattgov_stack.ask import direct, query
from wattgov_stack.layout import Ports

LOOK_SECONDS = 0.1
T = TypeVar("T")


def until(look: Callable[[], T], what: str, seconds: float = 90.0) -> T:
    """Return the first true value of *look*; fail, naming what was awaited, after *seconds*."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(LOOK_SECONDS)
    raise AssertionError(f"not seen within {seconds:g} s: {what}")


class Asker:
    """Puts questions to one Prometheus."""

    def __init__(self, ports: Ports) -> None:
        self._session = direct()
        self._url = ports.url("prometheus")

    def one(self, expr: str) -> float | None:
        """Return the value of an expression that gives one series, None if it gives none."""
        samples = query(self._session, self._url, expr)
        assert len(samples) < 2, f"{expr} gave {len(samples)} series"
        return samples[0].value if samples else None

    def first(self, expr: str) -> float:
        """Return the value as soon as there is one."""

        def look() -> list[float]:
            value = self.one(expr)
            return [] if value is None else [value]

        return until(look, expr)[0]
