"""A knob behind a wire: a tick waits for its answer only so long.

A BMC may hang, and a server may load a model for minutes; neither may keep the loop from putting
back elsewhere. An order that takes longer goes on in its own thread; until it is through, its
device is `busy`, and nothing else is asked of it: two orders at once could end either way.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from wattgov_actuator.reading import Fault, Hidden, InForce, Knob, KnobError, Probe

T = TypeVar("T")


class Question(NamedTuple):
    """What a device was asked last."""

    what: str
    target: str
    thread: Thread
    answers: "SimpleQueue[tuple[Any, BaseException | None]]"


class Patient:
    """One knob, asked in a thread of its own."""

    def __init__(self, knob: Knob, name: str, wait_seconds: float) -> None:
        self._knob, self._name, self._wait_seconds = knob, name, wait_seconds
        self._asked_last: Question | None = None
        self._ahead: Question | None = None
        self._failure = ""
        self._found: Probe | None = None

    def prepare(self, target: str = "") -> None:
        """Begin to read *target*, or to probe, so that many devices are waited for together."""
        if not self.at_work:
            ask = (lambda: self._knob.read(target)) if target else self._knob.probe
            self._ahead = self._begin("a read" if target else "a probe", ask, target)

    def probe(self) -> Probe:
        """Return its targets; while it is at work those found last: it is busy, and not gone."""
        begun = self._ahead is not None and self._ahead.what == "a probe"
        if self._found is None or begun or not self.at_work:
            self._found = self._asked("a probe", self._knob.probe)
        return self._found

    def read(self, target: str) -> InForce | Hidden:
        """Return what is set now."""
        return self._asked("a read", lambda: self._knob.read(target), target)

    def write(self, target: str, value: float) -> None:
        """Set *value*; raises KnobError with `busy` when that takes longer."""
        self._order("a write", lambda: self._knob.write(target, value))

    def restore(self, target: str, value: float, text: str) -> None:
        """Put back what a read gave; raises KnobError with `busy` when that takes longer."""
        self._order("putting back", lambda: self._knob.restore(target, value, text))

    def settle(self, seconds: float) -> None:
        """Wait for the order under way, so long at most."""
        if self._asked_last is not None:
            self._asked_last.thread.join(seconds)

    def failure(self, target: str) -> str:  # noqa: ARG002 (it has one order at a time)
        """Return why the last order that took longer has failed; empty where it has not."""
        return self._failure

    def close(self) -> None:
        """Let go, unless it is at work: its thread ends with the process."""
        if not self.at_work:
            self._knob.close()

    def _order(self, what: str, call: Callable[[], None]) -> None:
        def told() -> None:
            self._failure = ""
            try:
                call()
            except Exception as error:
                self._failure = str(error)
                raise

        self._asked(what, told)

    @property
    def at_work(self) -> bool:
        """Whether what was asked last is under way."""
        return self._asked_last is not None and self._asked_last.thread.is_alive()

    def _asked(self, what: str, call: Callable[[], T], target: str = "") -> T:
        ahead, self._ahead = self._ahead, None
        if ahead is None or (ahead.what, ahead.target) != (what, target):
            ahead = self._begin(what, call, target)
        try:
            found, error = ahead.answers.get(timeout=self._wait_seconds)
        except Empty:
            took = f"{what} takes longer than {self._wait_seconds:g} s"
            raise KnobError(Fault.BUSY, f"{self._name}: {took}; it goes on") from None
        self._asked_last = None
        if error is not None:
            raise error
        return found  # type: ignore[no-any-return]

    def _begin(self, what: str, call: Callable[[], object], target: str) -> Question:
        if self.at_work and self._asked_last is not None:
            before = self._asked_last.what
            raise KnobError(Fault.BUSY, f"{self._name} is still at work on {before}")
        answers = SimpleQueue[tuple[Any, BaseException | None]]()

        def work() -> None:
            try:
                answers.put((call(), None))
            except BaseException as error:  # noqa: BLE001 (raised by the one who asked)
                answers.put((None, error))

        self._asked_last = Question(what, target, Thread(target=work, daemon=True), answers)
        self._asked_last.thread.start()
        return self._asked_last
