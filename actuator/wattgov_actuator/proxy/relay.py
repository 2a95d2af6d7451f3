"""Websockets: what one end says, the other hears."""

import asyncio
from typing import NamedTuple

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from wattgov_actuator.proxy.answer import error_answer
from wattgov_actuator.proxy.failure import SWITCHED, Failed, Failure

MOST_BYTES = 16 * 1024 * 1024  # of one message: each is whole before it goes on
CLOSE_SECONDS = 10.0
SAID = {WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG}

Near = web.WebSocketResponse[bool]
Far = aiohttp.ClientWebSocketResponse[bool]


class End(NamedTuple):
    """Why an end has closed."""

    code: int = WSCloseCode.INTERNAL_ERROR
    message: bytes = b""


async def relay(
    request: web.Request, session: aiohttp.ClientSession, url: URL, fields: CIMultiDict[str]
) -> web.StreamResponse:
    """Pass messages both ways until one end closes; Failed when the server cannot be reached."""
    asked = request.headers.getall("Sec-WebSocket-Protocol", ())
    protocols = [each.strip() for value in asked for each in value.split(",") if each.strip()]
    try:
        far = await session.ws_connect(
            url,
            headers=fields,
            protocols=protocols,
            autoclose=False,
            autoping=False,
            max_msg_size=MOST_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
            decode_text=False,
        )
    except aiohttp.WSServerHandshakeError as error:
        if error.status == SWITCHED:
            raise Failed(Failure.BROKEN_OFF, error.message) from error
        return error_answer(error.status, "the server refused the websocket", "refused")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Failed(Failure.UNREACHABLE, str(error)) from error
    near: Near = web.WebSocketResponse(
        protocols=(far.protocol,) if far.protocol else (),
        autoclose=False,
        autoping=False,
        compress=False,
        max_msg_size=MOST_BYTES,
        timeout=CLOSE_SECONDS,
        decode_text=False,
    )
    end = End(WSCloseCode.GOING_AWAY)
    try:
        await near.prepare(request)
        end = await _first_end(near, far)
    finally:
        await far.close(code=end.code, message=end.message)
    await near.close(code=end.code, message=end.message)
    return near


async def _first_end(near: Near, far: Far) -> End:
    ways = {asyncio.ensure_future(_carry(near, far)), asyncio.ensure_future(_carry(far, near))}
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    return done.pop().result()


async def _carry(source: Near | Far, sink: Near | Far) -> End:
    """Pass on what *source* says until it ends."""
    while True:
        message = await source.receive()
        if message.type in SAID:
            try:
                await sink.send_frame(message.data, message.type)
            except ConnectionError:
                return End()
        elif message.type is WSMsgType.CLOSE:
            reason = str(message.extra or "").encode()
            return End(message.data or WSCloseCode.OK, reason)
        else:  # gone without a word
            return End()
