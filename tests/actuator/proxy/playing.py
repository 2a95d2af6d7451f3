"""The proxy in this process, between a server and a client, all on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import web

from wattgov_actuator.flags import Address
from wattgov_actuator.proxy.running import Proxy, Settings, serving
from wattgov_actuator.reading import Moment

ANYWHERE = Address("127.0.0.1", 0)
LONG_SECONDS = 30.0  # for what has to come; nothing waits for it to pass
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def now() -> Moment:
    """Return this moment by both clocks."""
    return Moment(time.time(), time.monotonic())


@dataclass(slots=True)
class Play:
    """What a scene has at hand."""

    proxy: Proxy
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Where the proxy takes requests."""
        return f"http://{self.proxy.address}"

    @property
    def control(self) -> str:
        """Where it takes orders."""
        return f"http://{self.proxy.control_address}"

    async def state(self) -> dict[str, object]:
        """Return what it says of itself."""
        async with self.client.get(f"{self.control}/api/v1/state") as answer:
            found: dict[str, object] = await answer.json()
            return found

    async def order(self, word: str, **fields: object) -> tuple[int, dict[str, object]]:
        """Give an order; return status and state."""
        method = "PUT" if word == "limit" else "POST"
        url = f"{self.control}/api/v1/{word}"
        async with self.client.request(method, url, json=fields) as answer:
            return answer.status, await answer.json()

    async def metric(self, line: str) -> float:
        """Return a sample, named as it is exposed."""
        async with self.client.get(f"{self.control}/metrics") as answer:
            text = await answer.text()
        found = [each for each in text.splitlines() if each.startswith(f"{line} ")]
        return float(found[0].rpartition(" ")[2])

    async def until(self, so: Callable[[], bool]) -> None:
        """Return when it is so."""
        async with asyncio.timeout(LONG_SECONDS):
            while not so():  # noqa: ASYNC110 (what is looked at tells nobody when it changes)
                await asyncio.sleep(0)


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    """Serve every path by *handler*; give the URL."""

    async def answered(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    pages = web.Application(client_max_size=2**30)
    pages.router.add_route("*", "/{path:.*}", answered)
    runner = web.AppRunner(
        pages, handler_cancellation=True, shutdown_timeout=0.1, auto_decompress=False
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    try:
        await site.start()
        yield site.name
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(
    converse: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve by hand, for servers that no library would be; give the URL."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await converse(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.close()


@asynccontextmanager
async def before(upstream: str, **settings: object) -> AsyncIterator[Play]:
    """Put the proxy before a server."""
    plain = Settings(app="chat", upstream=upstream, listen=ANYWHERE, control=ANYWHERE)
    wanted = replace(plain, **settings)  # type: ignore[arg-type]  # the fields' own types
    async with (
        serving(wanted, now) as proxy,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client,
    ):
        yield Play(proxy, client)


def played(scene: Awaitable[None]) -> None:
    """Play a scene to its end."""

    async def whole() -> None:
        async with asyncio.timeout(2 * LONG_SECONDS):
            await scene

    asyncio.run(whole())
