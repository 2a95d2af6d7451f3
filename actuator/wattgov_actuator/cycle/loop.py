"""The live loop: when the governor ticks, and whom it obeys; however it ends, all is put back."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import takewhile
from queue import Empty, SimpleQueue

from wattgov_actuator.acting.writer import nobody
from wattgov_actuator.cycle.following import Following
from wattgov_actuator.cycle.governor import Ask, Governor
from wattgov_actuator.cycle.meanwhile import meanwhile
from wattgov_actuator.cycle.wakes import Wakes
from wattgov_actuator.logfmt import line
from wattgov_actuator.orders import (
    RELOAD_ON,
    Heed,
    Inbox,
    Look,
    Orders,
    Reload,
    Restore,
    Wake,
    stops,
)
from wattgov_actuator.reading import Answer, Clock

LOG = logging.getLogger(__name__)
WATCH_SECONDS = 1.0  # between two looks at the devices' own thermometers, and at who wakes or stops


class _StoppedError(Exception):
    """A stop was ordered in the middle of a tick, which has done nothing yet."""


class Loop:
    """One governor, kept going."""

    def __init__(
        self,
        governor: Governor,
        *,
        ask: Ask,
        now: Clock,
        alive: Callable[[], None] = nobody,
        beat_seconds: float = 5.0,
    ) -> None:
        """Take whom to keep going, and whom it asks; *alive* is called each *beat_seconds*."""
        self._governor, self._ask, self._now = governor, ask, now
        self._alive, self._beat_seconds = alive, beat_seconds
        self._orders, self._wakes = Inbox(SimpleQueue()), Wakes()

    def run(self, orders: Orders) -> int:
        """Tick until a signal other than SIGHUP is ordered; restore; return an exit status.

        A queue and not an Event, because a signal handler fills it: Event.set takes a lock that
        the interrupted wait may hold, and SimpleQueue.put was made to be interrupted.
        """
        status = 0
        self._orders = Inbox(orders)
        try:
            self._until_stopped()
        except _StoppedError:
            LOG.info(line("stopping", on=self._orders.stop, detail="while Prometheus was asked"))
        except Exception:
            LOG.exception(line("tick_failed"))
            self._governor.failed()
            status = 1
        finally:
            left = self._governor.end()
        return status or int(left)

    def step(self, *more: str, late_seconds: float = 0.0) -> Mapping[str, Answer]:
        """Do one tick; return the answers to its questions, and before them to *more*."""
        answers = self._governor.step(self._answered, *more, late_seconds=late_seconds)
        self._look_at_wakes()
        return answers

    def _answered(self, expressions: Iterable[str]) -> Mapping[str, Answer]:
        """Ask, and keep an eye on the heat, and on who stops or pauses us, while Prometheus thinks.

        No sign of life is given here but by who asks: a question without an end is a hang.
        """
        going = takewhile(lambda _: self._orders.stop is None, tuple(expressions))
        return meanwhile(partial(self._ask, going), self._watched, WATCH_SECONDS)

    def _watched(self) -> None:
        self._orders.look()
        if self._orders.stop is not None:
            raise _StoppedError
        self._governor.look_at_pause(self._now().unix)
        self._governor.look_at_heat()

    def _until_stopped(self) -> None:
        following = Following()
        due_at = planned = self._now().steady
        while True:
            rules, began = self._governor.rules, self._now()
            late_seconds = max(began.steady - planned, 0.0)
            answers = self.step(*following.asks(rules), late_seconds=late_seconds)
            following.heard(rules, began, answers, self._governor.instances)
            planned = due_at + rules.interval_seconds
            planned = following.next_look(rules, began.steady, planned)
            due_at = max(planned, self._now().steady)  # a slow tick is not made up for
            if self._stopped(due_at):
                return
            due_at = min(due_at, self._now().steady)

    def _stopped(self, due_at: float) -> bool:
        """Wait for the next tick with signs of life; return whether to stop instead.

        New rules, and a new pause, are a reason not to wait any longer.
        """
        while True:
            self._alive()
            now = self._now()
            left = due_at - now.steady
            if left > 0 and self._governor.overruled(now.unix):
                return False
            watched = bool(self._governor.rules.warm_knobs or self._wakes)
            beat = min(self._beat_seconds, WATCH_SECONDS) if watched else self._beat_seconds
            try:
                order = self._orders.get(True, max(min(left, beat), 0.0))
            except Empty:
                if left <= beat:
                    return False
                self._governor.look_at_heat()
                self._look_at_wakes()
                continue
            if stops(order):
                LOG.info(line("stopping", on=order))
                return True
            if self.obey(Reload() if order == RELOAD_ON else order):
                return False

    def obey(self, order: object) -> bool:
        """Do what somebody asks for, and answer; return whether it is a reason to tick now."""
        match order:
            case Reload():
                mistakes = self._governor.reload()
                order.answer.put(mistakes)
                return not mistakes
            case Heed():
                self._governor.look_at_pause(self._now().unix)
                order.answer.put(self._governor.open_undos)
            case Restore():
                order.answer.put(self._governor.restore())
            case Look():
                soon = self._governor.hurry(order.groups)
                order.answer.put(tuple(sorted(soon)))
                return bool(soon)
            case Wake():
                if against := self._governor.wake(order.target):
                    order.answer.put(against)
                else:
                    self._wakes.add(order, self._now().steady)
        return True

    def _look_at_wakes(self) -> None:
        """Answer those whose targets are awake."""
        if self._wakes:
            self._wakes.answer(self._governor.awake(), self._now().steady)
