"""The process: two listeners, and an end that cuts off as few as it can."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from wattgov_actuator.flags import Address
from wattgov_actuator.logfmt import line
from wattgov_actuator.proxy.answer import LastTouch
from wattgov_actuator.proxy.control import Control
from wattgov_actuator.proxy.exposition import Exposition
from wattgov_actuator.proxy.forward import Forward, Patience
from wattgov_actuator.proxy.gate import Gate, HeldBy
from wattgov_actuator.proxy.tally import Tally
from wattgov_actuator.proxy.upstream import Upstream, session
from wattgov_actuator.proxy.wake import WakeCall
from wattgov_actuator.proxy.waking import Waking
from wattgov_actuator.reading import Clock

LOG = logging.getLogger(__name__)
BACKLOG = 4096  # connections that the kernel keeps for us; net.core.somaxconn bounds it, too
KEEP_SECONDS = 75.0  # for the next request on a connection, and for the first to come whole
LINGER_SECONDS = 2.0  # to read what a refused client still sends, so that it hears why
LEAVE_SECONDS = 1.0  # for the answers to those who are sent away at the end
MOST_LINE_BYTES = 16_384  # of a head, which has 128 lines at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says."""

    app: str
    upstream: str
    listen: Address
    control: Address
    limit: int | None = None
    most_queued: int = 1000
    patience: Patience = field(default_factory=Patience)
    silence_seconds: float = 600.0
    fail_open_seconds: float = 45.0
    uncounted: frozenset[str] = frozenset()
    wake: str | None = None
    wake_token_file: Path | None = None
    token_file: Path | None = None


class Proxy:
    """The parts that others look at while it runs."""

    def __init__(
        self, gate: Gate, touch: LastTouch, site: web.TCPSite, control: web.TCPSite
    ) -> None:
        self.gate, self._touch, self._site, self._control = gate, touch, site, control

    @property
    def address(self) -> str:
        """Where requests come in."""
        return self._site.name.partition("//")[2]

    @property
    def control_address(self) -> str:
        """Where orders come in."""
        return self._control.name.partition("//")[2]

    async def drain(self, seconds: float, hurry: asyncio.Event) -> int:
        """Take no more connections, and wait for what there is; return how many are left then."""
        self._touch.leaving = True  # who has a connection comes back by another, to another
        await self._site.stop()
        either = [asyncio.ensure_future(each) for each in (self.gate.rests(), hurry.wait())]
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in either:
            each.cancel()
        if left := self.gate.in_flight + self.gate.queued:
            LOG.warning(line("cut_off", in_flight=self.gate.in_flight, queued=self.gate.queued))
        return left


@asynccontextmanager
async def serving(settings: Settings, now: Clock) -> AsyncIterator[Proxy]:
    """Listen while it lasts; OSError when an address cannot be had."""
    tally = Tally()
    held_by = None if settings.wake is None else HeldBy.START
    gate = Gate(now, limit=settings.limit, most_queued=settings.most_queued, held_by=held_by)
    async with session(settings.silence_seconds) as pool:
        call = settings.wake and WakeCall(settings.wake, settings.wake_token_file, pool)
        waking = Waking(gate, call or None, settings.fail_open_seconds, tally)
        gate.employ(waking)
        upstream = Upstream(settings.upstream, pool, settings.patience.client_seconds)
        forward = Forward(
            upstream, gate, tally, settings.patience, uncounted=settings.uncounted, now=now
        )
        control = Control(
            settings.app, gate, Exposition(settings.app, gate, tally), settings.token_file
        )
        front, touch = web.Application(), LastTouch()
        front.router.add_route("*", "/{path:.*}", forward.handle, expect_handler=_later)
        front.on_response_prepare.append(touch)
        async with (
            _site(control.application(), settings.control) as orders,
            _site(front, settings.listen) as requests,
        ):
            try:
                yield Proxy(gate, touch, requests, orders)
            finally:
                waking.opened()
                gate.dismiss()


@asynccontextmanager
async def _site(pages: web.Application, address: Address) -> AsyncIterator[web.TCPSite]:
    runner = web.AppRunner(
        pages,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        keepalive_timeout=KEEP_SECONDS,
        lingering_time=LINGER_SECONDS,
        max_line_size=MOST_LINE_BYTES,
        max_field_size=MOST_LINE_BYTES,
        shutdown_timeout=LEAVE_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port, backlog=BACKLOG)
        await site.start()
        yield site
    finally:
        await runner.cleanup()


async def _later(_: web.Request) -> None:
    """Ask for no body yet."""
