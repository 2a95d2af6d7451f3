"""What is done until it has gone well once: a backend's first look at its server."""

from collections.abc import Callable


class Once:
    """Called, it looks, unless a look has gone well before."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look, self._done = look, False

    def __call__(self) -> None:
        """Look; raises what the look raises, and then the next call looks again."""
        if not self._done:
            self._look()
            self._done = True
