"""A poller's thread lives as long as it is needed."""

import threading

from wattgov_exporter.poll import Poller
from wattgov_exporter.reading import Readings, Reason


class Slow:
    """A source whose read takes as long as a test wants."""

    name = "slow"
    interval_seconds = 0.0
    expected_error = "none"

    def __init__(self) -> None:
        self.reading = threading.Event()
        self.answer = threading.Event()
        self.thread: threading.Thread | None = None

    def read(self) -> Readings:
        """Read when allowed."""
        self.thread = threading.current_thread()
        self.reading.set()
        self.answer.wait()
        return Readings(())


def test_a_closed_pollers_thread_ends() -> None:
    """At once, or after the read that it is stuck in."""
    source = Slow()
    poller = Poller(source, lambda: 0.0)
    poller.start()
    poller.ask()
    source.reading.wait()

    assert Reason.TIMEOUT is poller.wait(0.0).reason
    poller.close()
    source.answer.set()

    assert source.thread is not None
    source.thread.join(30)
    assert not source.thread.is_alive()
