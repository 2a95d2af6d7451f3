"""Do something that may take long on a thread, and look at other things meanwhile."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def meanwhile(work: Callable[[], T], look: Callable[[], None], seconds: float) -> T:
    """Return what *work* returns, or raise what it raises; *look* is called every *seconds*."""
    answers = SimpleQueue[tuple[T, None] | tuple[None, BaseException]]()

    def run() -> None:
        try:
            answers.put((work(), None))
        except BaseException as error:  # noqa: BLE001 (raised below, by the one who waits)
            answers.put((None, error))

    Thread(target=run, daemon=True).start()
    while True:
        try:
            found, error = answers.get(timeout=seconds)
        except Empty:
            look()
            continue
        if error is not None:
            raise error
        return found  # type: ignore[return-value]
