"""One request and its answer: what goes through unchanged, and what happens when an end fails."""

import asyncio
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from actuator.proxy.playing import LONG_SECONDS, Play, before, listening, played, raw_server
from wattgov_actuator.proxy.forward import Patience

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = st.lists(st.binary(min_size=1, max_size=70_000), max_size=8)


async def echo(request: web.Request) -> web.StreamResponse:
    """Send every part back as it comes."""
    response = web.StreamResponse()
    await response.prepare(request)
    async for part in request.content.iter_any():
        await response.write(part)
    return response


async def mirror(request: web.Request) -> web.Response:
    """Tell what has arrived."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "headers": [(name.lower(), value) for name, value in request.headers.items()],
            "body": body.decode(errors="replace"),
        }
    )


async def exchange(play: Play, text: bytes, *, end: bool = False) -> bytes:
    """Say something by hand; return all that is said until the proxy ends the connection."""
    host, _, port = play.proxy.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(text)
        if end:
            writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def failures(play: Play, reason: str) -> float:
    """Return how many requests have failed so."""
    return await play.metric(f'app_requests_failed_total{{app="chat",reason="{reason}"}}')


@settings(max_examples=25, deadline=None)
@given(up=CHUNKS, sized=st.booleans())
def test_bodies_come_through_byte_by_byte(up: list[bytes], *, sized: bool) -> None:
    """Both ways, in whatever parts, with and without a length."""

    async def parts() -> Iterator[bytes]:  # type: ignore[misc]  # an async generator is one
        for part in up:
            yield part

    async def scene() -> None:
        async with listening(echo) as upstream, before(upstream) as play:
            data = b"".join(up) if sized else parts()
            async with play.client.post(play.url, data=data) as answer:
                assert b"".join(up) == await answer.read()

    played(scene())


def test_an_answer_goes_out_as_it_comes() -> None:
    """Each event reaches the client before the server sends the next one."""
    heard = asyncio.Event()

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(20):
            heard.clear()
            await response.write(b"data: %d\n\n" % number)
            await heard.wait()
        return response

    async def scene() -> None:
        async with listening(events) as upstream, before(upstream) as play:
            async with play.client.get(play.url) as answer:
                assert "text/event-stream" == answer.headers["Content-Type"]
                said = [b"data: %d\n\n" % number for number in range(20)]
                for each in said:
                    assert each == await answer.content.readany()
                    heard.set()
                assert b"" == await answer.read()
            assert 1 == await play.metric('app_requests_total{app="chat",code="200"}')

    played(scene())


def test_packed_bodies_stay_packed() -> None:
    """What is compressed is neither opened nor packed anew, on either way."""
    packed = gzip.compress(b"hello" * 100)

    async def squeezed(request: web.Request) -> web.Response:
        assert packed == await request.read()
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async def scene() -> None:
        async with listening(squeezed) as upstream, before(upstream) as play:
            headers = {"Content-Encoding": "gzip"}
            async with (
                aiohttp.ClientSession(auto_decompress=False) as plain,
                plain.post(play.url, data=packed, headers=headers) as answer,
            ):
                assert (packed, "gzip") == (
                    await answer.read(),
                    answer.headers["Content-Encoding"],
                )

    played(scene())


def test_a_head_goes_on_without_what_is_for_this_hop() -> None:
    """RFC 9110, section 7.6; the path as it was written, and nothing made up."""

    async def scene() -> None:
        async with listening(mirror) as upstream, before(upstream) as play:
            said = await exchange(
                play,
                b"POST /v1/../a%2fb?x=%41+1;y HTTP/1.1\r\nHost: chat.example\r\n"
                b"Connection: close, X-Mine, Host\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
                b"Upgrade: h2c\r\nProxy-Authorization: secret\r\nX-Forwarded-For: 192.0.2.1\r\n"
                b"X-Forwarded-Proto: https\r\nAuthorization: Bearer k\r\nX-Two: a\r\nX-Two: b\r\n"
                b"Content-Length: 2\r\n\r\n{}",
            )
            told = json.loads(said.partition(b"\r\n\r\n")[2])
            assert ("POST", "/v1/../a%2fb?x=%41+1;y", "{}") == (
                told["method"],
                told["path"],
                told["body"],
            )
            assert [
                ["host", "chat.example"],
                ["authorization", "Bearer k"],
                ["x-two", "a"],
                ["x-two", "b"],
                ["content-length", "2"],
                ["via", "1.1 wattgov"],
                ["x-forwarded-for", "192.0.2.1, 127.0.0.1"],
                ["x-forwarded-proto", "https"],
                ["x-forwarded-host", "chat.example"],
            ] == sorted(told["headers"], key=_place)

    played(scene())


def test_an_answer_goes_on_as_the_server_said_it() -> None:
    """Cookies one by one; no Server, no type that it has not said; nothing of its hop."""
    head = (
        b"HTTP/1.1 201 Made so\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: X-Hop\r\n"
        b"X-Hop: 1\r\nKeep-Alive: timeout=5\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await writer.drain()

    async def scene() -> None:
        async with raw_server(server) as upstream, before(upstream) as play:
            said = await exchange(play, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert (
                b"HTTP/1.1 201 Made so\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 3\r\n"
                b"Connection: close\r\n\r\nabc"
            ) == said

    played(scene())


@pytest.mark.parametrize(
    ("method", "head"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'),
    ],
)
def test_an_answer_without_a_body_has_none(method: bytes, head: bytes) -> None:
    """A length that is said of a HEAD is said on."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await writer.drain()
        await reader.read()

    async def scene() -> None:
        async with raw_server(server) as upstream, before(upstream) as play:
            said = await exchange(
                play, method + b" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            )
            begin, fields, rest = said.partition(b"\r\n\r\n")[::1]
            assert begin.startswith(head.partition(b"\r\n")[0])
            assert (b"\r\n\r\n", b"") == (fields, rest)
            assert (b"77" in begin) == (b"77" in head)
            assert b"chunked" not in begin

    played(scene())


def test_a_client_of_http_1_0_gets_an_answer_that_it_can_read() -> None:
    """Its end is the end of the connection."""

    async def scene() -> None:
        async with listening(echo) as upstream, before(upstream) as play:
            said = await exchange(play, b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")
            head, _, body = said.partition(b"\r\n\r\n")
            assert b"hello" == body
            assert b"chunked" not in head.lower()

    played(scene())


def test_who_asks_before_it_sends_is_told_when_it_is_its_turn() -> None:
    """100 only then, so that a refused body is never sent."""

    async def scene() -> None:
        async with listening(mirror) as upstream, before(upstream, limit=1) as play:
            await play.proxy.gate.enter(LONG_SECONDS)
            host, _, port = play.proxy.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                b"Connection: close\r\nContent-Length: 2\r\n\r\n"
            )
            await play.until(lambda: play.proxy.gate.queued == 1)
            play.proxy.gate.leave()
            assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readuntil(b"\r\n\r\n")
            writer.write(b"{}")
            said = await reader.read()
            writer.close()
            told = json.loads(said.partition(b"\r\n\r\n")[2])
            assert "{}" == told["body"]
            assert "expect" not in dict(told["headers"])

    played(scene())


def test_a_client_that_goes_away_frees_its_slot_and_ends_the_work() -> None:
    """At the server too, in the middle of a stream as in the queue."""
    ended = asyncio.Event()

    async def forever(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await response.write(b"x")
            await asyncio.sleep(3600)
        finally:
            ended.set()
        return response

    async def scene() -> None:
        async with listening(forever) as upstream, before(upstream, limit=1) as play:
            answer = await play.client.get(play.url)
            assert b"x" == await answer.content.readany()
            queued = asyncio.create_task(play.client.get(play.url))
            await play.until(lambda: play.proxy.gate.queued == 1)
            queued.cancel()
            await play.until(lambda: play.proxy.gate.queued == 0)
            assert 1 == play.proxy.gate.in_flight
            answer.close()
            await ended.wait()
            await play.until(lambda: play.proxy.gate.in_flight == 0)
            assert 2 == await failures(play, "client_gone")
            assert 2 == await play.metric('app_requests_total{app="chat",code="499"}')

    played(scene())


def test_a_server_that_is_not_there_is_a_502_in_words() -> None:
    """In the form that clients of the OpenAI API show; the next one may pass."""

    async def scene() -> None:
        async with before("http://127.0.0.1:1", limit=1) as play:
            for _ in range(2):
                async with play.client.post(f"{play.url}/v1/chat", json={}) as answer:
                    said = await answer.json()
                assert (502, "unreachable") == (answer.status, said["error"]["code"])
                assert "cannot be reached" in said["error"]["message"]
            assert (2, 0) == (await failures(play, "unreachable"), play.proxy.gate.in_flight)

    played(scene())


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_a_server_that_breaks_off_before_its_answer_is_a_502(said: bytes) -> None:
    """Also one that speaks another language."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)

    async def scene() -> None:
        async with raw_server(server) as upstream, before(upstream) as play:
            async with play.client.post(play.url, data=b"{}") as answer:
                assert (502, "broken_off") == (
                    answer.status,
                    (await answer.json())["error"]["code"],
                )
            assert 0 == play.proxy.gate.in_flight

    played(scene())


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("abort", [False, True])
def test_an_answer_that_is_broken_off_is_not_taken_for_the_whole(
    framing: bytes, *, abort: bool
) -> None:
    """What has come is passed on, and the client sees that the rest is missing."""
    part = b"2\r\nab\r\n" if b"chunked" in framing else b"ab"
    sent = asyncio.Event()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + part)
        await sent.wait()
        if abort:
            writer.transport.abort()

    async def scene() -> None:
        async with raw_server(server) as upstream, before(upstream) as play:
            async with play.client.get(play.url) as answer:
                assert b"ab" == await answer.content.readany()
                sent.set()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()
            assert 1 == await failures(play, "broken_off")
            assert 0 == play.proxy.gate.in_flight

    played(scene())


def test_a_server_that_says_nothing_is_a_504() -> None:
    """After --silence; its slot is free again."""

    async def server(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scene() -> None:
        async with raw_server(server) as upstream, before(upstream, silence_seconds=0.05) as play:
            async with play.client.get(play.url) as answer:
                assert (504, "upstream_slow") == (
                    answer.status,
                    (await answer.json())["error"]["code"],
                )
            assert 0 == play.proxy.gate.in_flight

    played(scene())


def test_a_slow_upload_takes_no_slot_and_is_ended() -> None:
    """408, without a word to the server."""

    async def scene() -> None:
        patience = Patience(client_seconds=0.05)
        async with listening(mirror) as upstream, before(upstream, patience=patience) as play:
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"
            said = await exchange(play, head)
            assert said.startswith(b"HTTP/1.1 408 ")
            assert 0 == play.proxy.gate.in_flight
            assert 1 == await failures(play, "client_slow")

    played(scene())


def test_a_client_that_takes_nothing_is_cut_off_and_fills_no_memory() -> None:
    """The server is stopped by back-pressure; after --client-silence the slot is free."""
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65_536))
            written += 65_536

    async def scene() -> None:
        patience = Patience(client_seconds=0.3)
        async with listening(flood) as upstream, before(upstream, patience=patience) as play:
            host, _, port = play.proxy.address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port), limit=1024)
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can be read from
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await play.until(lambda: bool(play.proxy.gate.in_flight))
            await play.until(lambda: not play.proxy.gate.in_flight)
            writer.transport.abort()
            assert 1 == await failures(play, "client_slow")
            assert written < 64 * 2**20

    played(scene())


def test_an_early_answer_ends_an_upload_that_nobody_reads() -> None:
    """A server may refuse a body without taking it; that connection is not used again."""
    connections, done = 0, asyncio.Event()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await done.wait()

    async def scene() -> None:
        async with raw_server(server) as upstream, before(upstream) as play:
            for number in (1, 2):
                async with play.client.post(play.url, data=io.BytesIO(bytes(2**24))) as answer:
                    assert (413, b"no") == (answer.status, await answer.read())
                assert number == connections
            await play.until(lambda: not play.proxy.gate.in_flight)
            done.set()

    played(scene())


def _place(field: list[str]) -> int:
    return ORDER.index(field[0])


ORDER = [
    "host",
    "authorization",
    "x-two",
    "content-length",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
]
