"""Wake the server for those who wait at the gate: one call at a time, and not for ever."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import chain, repeat

from wattgov_actuator.logfmt import line
from wattgov_actuator.proxy.gate import Gate
from wattgov_actuator.proxy.tally import Tally, Wake

LOG = logging.getLogger(__name__)
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
LAST_PAUSE_SECONDS = 5.0

Call = Callable[[], Awaitable[str]]
"""Asks for the server to be awake; returns what was wrong, "" when it is; raises NotYet."""


class NotYet(Exception):
    """It goes on: whoever was asked answers before the server is awake, which may take minutes."""


class Waking:
    """The gate's porter."""

    def __init__(
        self, gate: Gate, call: Call | None, fail_open_seconds: float, tally: Tally
    ) -> None:
        self._gate, self._call, self._tally = gate, call, tally
        self._fail_open_seconds = fail_open_seconds
        self._task: asyncio.Task[None] | None = None
        self._patience: asyncio.Timeout | None = None

    def knocked(self) -> None:
        """Begin to wake, unless that has begun."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._wake())

    def renewed(self) -> None:
        """Be patient anew."""
        if self._patience is not None:
            self._patience.reschedule(self._end())

    def opened(self) -> None:
        """Stop to wake; somebody else has."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._tally.wakes[Wake.OPENED] += 1

    def _end(self) -> float:
        return asyncio.get_running_loop().time() + self._fail_open_seconds

    async def _wake(self) -> None:
        try:
            async with asyncio.timeout_at(self._end()) as self._patience:
                await self._until_awake()
        except TimeoutError:
            result = Wake.FAILED_OPEN
            LOG.error(  # noqa: TRY400 (one line per event)
                line("failed_open", after_seconds=self._fail_open_seconds, queued=self._gate.queued)
            )
        else:
            result = Wake.WOKEN
            LOG.info(line("woken", queued=self._gate.queued))
        finally:
            self._patience = None
        self._tally.wakes[result] += 1
        self._task = None  # before it opens, which would cancel us
        self._gate.open()

    async def _until_awake(self) -> None:
        loop = asyncio.get_running_loop()
        if self._call is None:
            await loop.create_future()  # only a person or the actuator can open
            return
        pauses = chain(PAUSES_SECONDS, repeat(LAST_PAUSE_SECONDS))
        while True:
            LOG.info(line("waking", queued=self._gate.queued))
            try:
                trouble = await self._call()
            except NotYet:
                await asyncio.sleep(PAUSES_SECONDS[0])
                continue
            if not trouble:
                return
            pause = next(pauses)
            self._tally.wakes[Wake.FAILED] += 1
            LOG.warning(line("not_woken", detail=trouble, again_after_seconds=pause))
            await asyncio.sleep(pause)
