"""One request: wait for its turn, pass it on, pass the answer back, as the bytes come."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from wattgov_actuator.logfmt import line
from wattgov_actuator.proxy.answer import cut, told
from wattgov_actuator.proxy.failure import CLIENT_GONE, SWITCHED, Failed, Failure
from wattgov_actuator.proxy.gate import Gate
from wattgov_actuator.proxy.tally import Tally
from wattgov_actuator.proxy.upload import Upload
from wattgov_actuator.proxy.upstream import Upstream
from wattgov_actuator.reading import Clock

LOG = logging.getLogger(__name__)
GO_AHEAD = b"HTTP/1.1 100 Continue\r\n\r\n"
SERVERS_FAULT = {Failure.UNREACHABLE, Failure.BROKEN_OFF, Failure.UPSTREAM_SLOW}
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, for whom."""

    deadline_seconds: float = 60.0
    client_seconds: float = 60.0


class Forward:
    """The handler of every request."""

    def __init__(
        self,
        upstream: Upstream,
        gate: Gate,
        tally: Tally,
        patience: Patience,
        *,
        uncounted: frozenset[str],
        now: Clock,
    ) -> None:
        self._upstream, self._gate, self._tally = upstream, gate, tally
        self._patience, self._uncounted, self._now = patience, uncounted, now

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Return the answer, the server's or our own."""
        if request.raw_path.partition("?")[0] in self._uncounted:
            return await self._answered(request, self._straight)
        began, code = self._now().steady, CLIENT_GONE
        try:
            response = await self._answered(request, self._in_turn)
            code = response.status
        finally:
            self._tally.codes[code] += 1
            if code != SWITCHED:
                self._tally.durations.observe(self._now().steady - began)
        return response

    async def _answered(self, request: web.Request, handle: Handle) -> web.StreamResponse:
        """Return the answer, and count and tell why there is none."""
        try:
            return await handle(request)
        except Failed as error:
            failed = error
        except asyncio.CancelledError:
            self._tally.failures[Failure.CLIENT_GONE] += 1
            raise
        self._tally.failures[failed.failure] += 1
        if failed.failure in SERVERS_FAULT:
            LOG.warning(line(failed.failure, path=request.path, detail=failed.detail or None))
        return told(failed) if failed.begun is None else cut(request, failed)

    async def _straight(self, request: web.Request) -> web.StreamResponse:
        letter = self._upstream.addressed(request)
        return await self._upstream.exchange(request, letter, await self._upload(request))

    async def _in_turn(self, request: web.Request) -> web.StreamResponse:
        """Pass it on when it may be; one that asks whether to send its body is told so then."""
        letter = self._upstream.addressed(request)  # what goes nowhere takes no turn, wakes nobody
        asks = request.version >= (1, 1) and "Expect" in request.headers
        upload = None if asks else await self._upload(request)
        waits_since = self._now().steady
        try:
            await self._gate.enter(self._patience.deadline_seconds)
        finally:
            self._tally.waits.observe(self._now().steady - waits_since)
        try:
            if upload is None:
                if request.transport is not None:
                    request.transport.write(GO_AHEAD)
                upload = await self._upload(request)
            return await self._upstream.exchange(request, letter, upload)
        finally:
            self._gate.leave()

    async def _upload(self, request: web.Request) -> Upload:
        upload = Upload(request.content, self._patience.client_seconds)
        if request.body_exists:
            await upload.begin()
        return upload
