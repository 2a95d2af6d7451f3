"""The gate: so many requests at a time, the others in order of arrival; none while it is held.

It lives in one event loop, so what has no `await` in it is one step.
"""

import asyncio
from collections import OrderedDict
from enum import StrEnum
from typing import Protocol

from wattgov_actuator.proxy.failure import Failed, Failure
from wattgov_actuator.reading import Clock


class HeldBy(StrEnum):
    """Why requests are held."""

    HOLD = "hold"
    START = "start"


class Porter(Protocol):
    """Who is told what happens at a held gate."""

    def knocked(self) -> None:
        """Take note that somebody waits; told again for each."""

    def renewed(self) -> None:
        """Take note that whoever holds the gate is alive."""

    def opened(self) -> None:
        """Take note that nobody has to be woken any more."""


class Gate:
    """Who is in flight and who waits."""

    def __init__(
        self,
        now: Clock,
        *,
        limit: int | None = None,
        most_queued: int = 1000,
        held_by: HeldBy | None = None,
    ) -> None:
        self._now, self._limit, self._most_queued, self._held_by = now, limit, most_queued, held_by
        self._in_flight = 0
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._emptied: asyncio.Future[None] | None = None
        self._rests_since = now().steady
        self._resting = asyncio.Event()
        self._resting.set()
        self._last_request: float | None = None
        self._porter: Porter | None = None

    def employ(self, porter: Porter) -> None:
        """Say who is to be told."""
        self._porter = porter

    @property
    def limit(self) -> int | None:
        """How many may be in flight; None is no limit."""
        return self._limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self._limit = limit
        self._admit()

    @property
    def in_flight(self) -> int:
        """How many are forwarded and have not ended."""
        return self._in_flight

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def held_by(self) -> HeldBy | None:
        """Why none is forwarded; None while they are."""
        return self._held_by

    @property
    def idle_seconds(self) -> float:
        """How long there has been none, in flight or waiting."""
        busy = self._in_flight or self._waiting
        return 0.0 if busy else self._now().steady - self._rests_since

    @property
    def last_request(self) -> float | None:
        """When the last one ended, in unix seconds; now, while there is one."""
        busy = self._in_flight or self._waiting
        return self._now().unix if busy else self._last_request

    async def enter(self, deadline_seconds: float) -> None:
        """Return when it is this request's turn; whoever entered has to leave.

        Failed when the queue is full, the deadline passes or the gate is closed down.
        """
        self._resting.clear()
        if not self._waiting and self._free():
            self._in_flight += 1
            return
        if len(self._waiting) >= self._most_queued:
            self._rest()
            raise Failed(Failure.QUEUE_FULL)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting[turn] = None
        timer = loop.call_later(deadline_seconds, self._expire, turn)
        if self._held_by is not None and self._emptied is None and self._porter is not None:
            self._porter.knocked()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(turn, turn) is None:
                self._rest()
            elif not turn.cancelled() and turn.exception() is None:
                self.leave()  # its turn had come in the same moment
            raise
        finally:
            timer.cancel()

    def leave(self) -> None:
        """End a request that had entered."""
        self._in_flight -= 1
        self._rest()
        if self._emptied is not None and not self._in_flight and not self._emptied.done():
            self._emptied.set_result(None)
        self._admit()

    async def hold(self, wait_seconds: float, only_if_idle_seconds: float = 0.0) -> str | None:
        """Forward nothing from now on; return None when nothing is in flight, else why not.

        When it cannot be held, and when the one who asks is gone, it is open again.
        """
        if self._emptied is not None:
            return "another hold waits for what is in flight"
        if self._held_by is HeldBy.HOLD:
            if self._porter is not None:
                self._porter.renewed()
            return None
        if self.idle_seconds < only_if_idle_seconds:
            return f"idle for {self.idle_seconds:.1f} s only"
        self._held_by = HeldBy.HOLD
        if self._in_flight and (why := await self._empty(wait_seconds)) is not None:
            return why
        if self._waiting and self._porter is not None:
            self._porter.knocked()
        return None

    def open(self) -> None:
        """Forward again, those first who have waited longest."""
        self._held_by = None
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        if self._porter is not None:
            self._porter.opened()
        self._admit()

    async def rests(self) -> None:
        """Return when there is no request, in flight or waiting."""
        await self._resting.wait()

    def dismiss(self) -> None:
        """Send those away who wait."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(Failed(Failure.STOPPING))
        self._waiting.clear()
        self._rest()

    async def _empty(self, wait_seconds: float) -> str | None:
        self._emptied = asyncio.get_running_loop().create_future()
        why: str | None = "opened meanwhile"
        try:
            async with asyncio.timeout(wait_seconds):
                await self._emptied
            if self._held_by is not None:
                why = None
        except TimeoutError:
            why = f"{self._in_flight} still in flight after {wait_seconds:g} s"
        finally:
            self._emptied = None
            if why is not None:
                self.open()
        return why

    def _free(self) -> bool:
        if self._held_by is not None:
            return False
        return self._limit is None or self._in_flight < self._limit

    def _admit(self) -> None:
        while self._waiting and self._free():
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)

    def _expire(self, turn: asyncio.Future[None]) -> None:
        if self._waiting.pop(turn, turn) is None and not turn.done():
            turn.set_exception(Failed(Failure.DEADLINE))
            self._rest()

    def _rest(self) -> None:
        if not self._in_flight and not self._waiting:
            self._resting.set()
        now = self._now()
        self._rests_since, self._last_request = now.steady, now.unix
