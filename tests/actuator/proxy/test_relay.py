"""Websockets through the proxy."""

import asyncio

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from actuator.proxy.playing import before, listening, played


async def chat(request: web.Request) -> web.StreamResponse:
    """Repeat what is said until `bye`."""
    socket = web.WebSocketResponse(protocols=("realtime",))
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            if message.data == "bye":
                await socket.close(code=4321, message=b"as you wish")
            else:
                await socket.send_str(f"{request.path_qs} {message.data}")
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def test_what_one_end_says_the_other_hears() -> None:
    """Text, bytes, the protocol that was agreed on, and how it ended."""

    async def scene() -> None:
        async with listening(chat) as upstream, before(upstream) as play:
            socket = await play.client.ws_connect(
                f"{play.url}/v1/realtime?m=1", protocols=("other", "realtime")
            )
            assert "realtime" == socket.protocol
            await socket.send_str("grüß dich")
            assert "/v1/realtime?m=1 grüß dich" == await socket.receive_str()
            await socket.send_bytes(bytes(range(256)) * 1000)
            assert bytes(range(256)) * 1000 == await socket.receive_bytes()
            assert (1, 0) == (
                play.proxy.gate.in_flight,
                (await play.state())["idle_seconds"],
            )
            await socket.send_str("bye")
            end = await socket.receive()
            assert (WSMsgType.CLOSE, 4321, "as you wish") == (end.type, end.data, end.extra)
            await play.until(lambda: not play.proxy.gate.in_flight)
            assert 1 == await play.metric('app_requests_total{app="chat",code="101"}')
            assert 0 == await play.metric('app_request_duration_seconds_count{app="chat"}')

    played(scene())


@pytest.mark.parametrize("polite", [True, False])
def test_a_client_that_leaves_frees_its_slot(*, polite: bool) -> None:
    """With a word or without; the server hears of it."""
    ends = list[int | None]()

    async def listener(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            await socket.receive()
        finally:
            ends.append(socket.close_code)
        return socket

    async def scene() -> None:
        async with listening(listener) as upstream, before(upstream, limit=1) as play:
            async with aiohttp.ClientSession() as client:
                socket = await client.ws_connect(play.url)
                if polite:
                    await socket.close(code=4000)
            await play.until(lambda: bool(ends) and not play.proxy.gate.in_flight)
            assert [4000 if polite else 1001] == ends

    played(scene())


def test_a_server_that_dies_ends_it() -> None:
    """With a code that says so."""

    async def dying(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert request.transport is not None
        request.transport.abort()
        return socket

    async def scene() -> None:
        async with listening(dying) as upstream, before(upstream) as play:
            socket = await play.client.ws_connect(play.url)
            assert 1011 == (await socket.receive()).data
            await play.until(lambda: not play.proxy.gate.in_flight)

    played(scene())


def test_a_refused_handshake_is_refused() -> None:
    """With the server's own status; one that cannot be reached is a 502."""

    async def no(_: web.Request) -> web.Response:
        return web.Response(status=401)

    async def scene() -> None:
        async with listening(no) as upstream, before(upstream) as play:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await play.client.ws_connect(play.url)
            assert (401, 0) == (refused.value.status, play.proxy.gate.in_flight)
        async with before("http://127.0.0.1:1") as play:
            with pytest.raises(aiohttp.WSServerHandshakeError) as missing:
                await play.client.ws_connect(play.url)
            assert 502 == missing.value.status

    played(scene())


def test_a_websocket_waits_for_its_turn_like_everybody() -> None:
    """A held gate holds its handshake."""

    async def scene() -> None:
        async with listening(chat) as upstream, before(upstream) as play:
            await play.order("hold")
            task = asyncio.create_task(play.client.ws_connect(play.url))
            await play.until(lambda: play.proxy.gate.queued == 1)
            await play.order("open")
            socket = await task
            await socket.send_str("x")
            assert "/ x" == await socket.receive_str()
            await socket.close()

    played(scene())
