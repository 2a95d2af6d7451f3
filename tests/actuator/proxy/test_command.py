"""The command as people start it: its own process, real signals, many requests, large bodies."""

import asyncio
import os
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner

from actuator.proxy.playing import listening, played
from wattgov_actuator import cli

MEBIBYTE = 2**20
LARGE_MIB, ALLOWED_MIB = 128, 24
CROWD = 1000  # make bench does it with 10 000


class Running:
    """A proxy in its own process."""

    def __init__(self, process: asyncio.subprocess.Process, started: str) -> None:
        self.process, self.started = process, started

    @property
    def url(self) -> str:
        """Where it takes requests."""
        return f"http://{_word(self.started, 'listen')}"

    @property
    def control(self) -> str:
        """Where it takes orders."""
        return f"http://{_word(self.started, 'control')}"

    async def state(self, client: aiohttp.ClientSession) -> dict[str, int]:
        """Return what it says of itself."""
        async with client.get(f"{self.control}/api/v1/state") as answer:
            found: dict[str, int] = await answer.json()
            return found

    async def end(self) -> tuple[int, str]:
        """Return its exit status and the rest of its log."""
        assert self.process.stderr is not None
        rest = (await self.process.stderr.read()).decode()
        return await self.process.wait(), rest

    def resident_bytes(self) -> int:
        """Return what it holds in memory."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def running(upstream: str, *options: str) -> AsyncIterator[Running]:
    """Start one, on ports that the kernel picks."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wattgov_actuator", "proxy", "--app", "chat"),
        *("--upstream", upstream, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"),
        *options,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stderr is not None
        yield Running(process, (await process.stderr.readline()).decode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 (its pipe stays open else)


@contextmanager
def many_files() -> Iterator[int]:
    """Raise the soft limit of open files; give it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def hello(_: web.Request) -> web.Response:
    """Answer."""
    return web.Response(text="hello")


def test_a_crowd_before_a_server_that_sleeps_wakes_it_once_and_loses_nobody() -> None:
    """Each on its own connection; at the server never more than the limit."""
    wakes, there, most = 0, 0, 0
    crowd_is_there = asyncio.Event()

    async def wake(_: web.Request) -> web.Response:
        nonlocal wakes
        wakes += 1
        await crowd_is_there.wait()
        return web.Response()

    async def server(request: web.Request) -> web.Response:
        nonlocal there, most
        there += 1
        most = max(most, there)
        try:
            await asyncio.sleep(0)
            return web.Response(text=request.query_string)
        finally:
            there -= 1

    async def scene(crowd: int) -> None:
        async with (
            listening(server) as upstream,
            listening(wake) as actuator,
            running(upstream, "--wake", actuator, "--queue", str(crowd), "--limit", "16") as proxy,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client,
        ):

            async def ask(number: int) -> bool:
                async with client.get(f"{proxy.url}/?{number}") as answer:
                    return (200, str(number)) == (answer.status, await answer.text())

            tasks = [asyncio.create_task(ask(number)) for number in range(crowd)]
            while (await proxy.state(client))["queued"] < crowd:
                assert not any(each.done() for each in tasks)
            crowd_is_there.set()

            assert [True] * crowd == await asyncio.gather(*tasks)
            assert (1, True) == (wakes, most <= 16)

    with many_files() as allowed:
        played(scene(min(CROWD, allowed // 4)))


def test_large_bodies_go_through_in_constant_memory() -> None:
    """Up and down at once, as fast as the ends can."""

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for part in request.content.iter_any():
            await response.write(part)
        return response

    async def body() -> AsyncIterator[bytes]:
        for _ in range(LARGE_MIB):
            yield bytes(MEBIBYTE)

    async def scene() -> None:
        async with (
            listening(echo) as upstream,
            running(upstream) as proxy,
            aiohttp.ClientSession() as client,
        ):
            async with client.get(f"{proxy.url}/metrics") as answer:
                await answer.read()
            before, most, size = proxy.resident_bytes(), 0, 0
            async with client.post(proxy.url, data=body()) as answer:
                async for part in answer.content.iter_any():
                    size += len(part)
                    most = max(most, proxy.resident_bytes())
            assert LARGE_MIB * MEBIBYTE == size
            assert most - before < ALLOWED_MIB * MEBIBYTE

    played(scene())


def test_sigterm_lets_what_is_in_flight_end() -> None:
    """It takes no new connection, and ends with 0 when the last answer is whole."""
    asked, may = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        asked.set()
        await may.wait()
        return web.Response(text="whole")

    async def scene() -> None:
        async with (
            listening(slow) as upstream,
            running(upstream) as proxy,
            aiohttp.ClientSession() as client,
        ):
            task = asyncio.create_task(client.get(proxy.url))
            await asked.wait()
            proxy.process.send_signal(signal.SIGTERM)
            await _refuses(proxy)
            may.set()
            answer = await task
            assert ("whole", "close") == (await answer.text(), answer.headers["Connection"])
            status, log = await proxy.end()
            assert 0 == status
            assert "event=stopped cut_off=0" in log

    played(scene())


@pytest.mark.parametrize("how", ["drain", "second signal"])
def test_what_does_not_end_is_cut_off_and_told(how: str) -> None:
    """After --drain, or at once on a second signal; who waits is told 503; the status is 1."""
    asked = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(3600)
        return web.Response()

    async def scene() -> None:
        options = ("--limit", "1", "--drain", "50ms" if how == "drain" else "1h")
        async with (
            listening(never) as upstream,
            running(upstream, *options) as proxy,
            aiohttp.ClientSession() as client,
        ):
            stuck = asyncio.create_task(client.get(proxy.url))
            await asked.wait()
            waits = asyncio.create_task(client.get(proxy.url))
            while not (await proxy.state(client))["queued"]:
                assert not waits.done()
            proxy.process.send_signal(signal.SIGTERM)
            if how != "drain":
                await _refuses(proxy)
                proxy.process.send_signal(signal.SIGINT)
            assert 503 == (await waits).status
            with pytest.raises(aiohttp.ClientError):
                await stuck
            status, log = await proxy.end()
            assert 1 == status
            assert "event=cut_off in_flight=1 queued=1" in log

    played(scene())


def test_an_address_that_is_taken_is_said() -> None:
    """In one sentence, with status 1."""

    async def scene() -> None:
        async with listening(hello) as upstream, running(upstream) as proxy:
            listen = proxy.url.removeprefix("http://")
            async with running(upstream, "--listen", listen) as second:
                assert (1, "") == await second.end()
                words = r"cannot listen: .*; give another --listen or --control\n"
                assert re.fullmatch(words, second.started)

    played(scene())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--upstream", "localhost:8000"], "is not a URL"),
        (["--upstream", "http://a/?b"], "is more than a host, a port and a path"),
        (["--deadline", "soon"], "is no length of time"),
        (["--limit", "0"], "0 is not in the range"),
        (["--fail-open", "60s"], "--fail-open has to be shorter than --deadline"),
        (["--wake", "http://far.example/wake"], "is not on this host: give a --wake-token-file"),
        (["--token-file", "/nonexistent"], "/nonexistent: No such file"),
    ],
)
def test_a_wrong_option_is_a_sentence(words: list[str], why: str) -> None:
    """And status 2."""
    status, text = _invoke("--app", "chat", "--upstream", "http://127.0.0.1:8000", *words)

    assert (2, True) == (status, why in text)


def test_without_its_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are an extra."""
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert (1, "the proxy needs uvloop: pip install 'wattgov[proxy]'\n") == _invoke(
        "--app", "chat", "--upstream", "http://127.0.0.1:8000"
    )


def _invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.main, ["proxy", *words], catch_exceptions=False)
    return result.exit_code, result.output


async def _refuses(proxy: Running) -> None:
    """Return when it takes no connection any more."""
    host, _, port = proxy.url.removeprefix("http://").rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            return
        writer.close()


def _word(line: str, key: str) -> str:
    found = re.search(rf"\b{key}=(\S+)", line)
    assert found is not None, line
    return found[1]
