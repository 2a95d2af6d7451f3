"""A poller's thread lives as long as it is needed."""

import threading

from wattgov_exporter.poll import Poller
from wattgov_exporter.reading import Readings, Reason


class Slow:
    """A source whose read takes as long as a test wants."""

    name = "slow"
    expected_error = "none"

    def __init__(self, interval_seconds: float = 0.0) -> None:
        self.interval_seconds = interval_seconds
        self.reads = 0
        self.reading = threading.Event()
        self.answer = threading.Event()
        self.thread: threading.Thread | None = None

    def read(self) -> Readings:
        """Read when allowed."""
        self.thread = threading.current_thread()
        self.reads += 1
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


def test_an_answer_that_came_too_late_serves_the_next_ask() -> None:
    """So a source that is slower than the tick is heard; then it is read anew."""
    source = Slow()
    poller = Poller(source, lambda: 0.0)
    poller.start()
    poller.ask()
    assert Reason.TIMEOUT is poller.wait(0.0).reason

    source.answer.set()
    poller.ask()
    assert Reason.OK is poller.wait(30).reason
    assert 1 == source.reads

    poller.ask()
    assert Reason.OK is poller.wait(30).reason
    assert 2 == source.reads
    poller.close()


def test_the_last_answer_of_a_source_with_its_own_pace_stands_while_it_is_read() -> None:
    """For three of its intervals; then it is told that it has not answered."""
    now, source = [0.0], Slow(5.0)
    poller = Poller(source, lambda: now[0])
    poller.start()
    source.answer.set()
    poller.ask()
    first = poller.wait(30)
    poller.ask()  # too early
    assert 1 == source.reads

    source.answer.clear()
    now[0] = 14.9
    poller.ask()
    assert first is poller.wait(30)
    now[0] = 15.0
    assert Reason.TIMEOUT is poller.wait(0.0).reason
    source.answer.set()
    assert 15.0 == poller.wait(30).at
    poller.close()


def test_an_answer_that_nobody_waited_for_serves_the_next_ask() -> None:
    """As after a tick that was skipped in the middle."""
    source = Slow()
    poller = Poller(source, lambda: 0.0)
    poller.start()
    source.answer.set()
    poller.ask()
    poller.ask()

    assert Reason.OK is poller.wait(30).reason
    assert 1 == source.reads
    poller.close()
