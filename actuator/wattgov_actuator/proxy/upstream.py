"""The server behind: one exchange with it."""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from wattgov_actuator.proxy.answer import UNSAID
from wattgov_actuator.proxy.failure import SWITCHED, Failed, Failure
from wattgov_actuator.proxy.headers import (
    EXPECT,
    WEBSOCKET,
    introduced,
    passed,
    target_of,
    wants_websocket,
)
from wattgov_actuator.proxy.relay import relay
from wattgov_actuator.proxy.upload import Upload

ADDED = ("Content-Type", "Server")
OLDEST = (1, 0)
CONNECT_SECONDS = 10.0
KEEP_SECONDS = 4.0  # less than uvicorn's 5: a connection that it is about to close is not used
BUFFER_BYTES = 65_536


def session(silence_seconds: float) -> aiohttp.ClientSession:
    """Return connections that add nothing, keep nothing and unpack nothing."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        auto_decompress=False,
        read_bufsize=BUFFER_BYTES,
    )


class Letter(NamedTuple):
    """The head of a request, as it goes on."""

    url: URL
    fields: CIMultiDict[str]


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where it is, and how it is reached."""

    url: str  # without a slash at its end
    session: aiohttp.ClientSession
    client_seconds: float  # for a client that takes nothing of its answer

    async def exchange(
        self, request: web.Request, letter: Letter, upload: Upload
    ) -> web.StreamResponse:
        """Pass a request on and its answer back; Failed if one of the two ends does."""
        url, fields = letter
        if wants_websocket(request.method, request.headers):
            return await relay(request, self.session, url, fields)
        try:
            async with self.session.request(
                request.method, url, headers=fields, data=upload.data(), allow_redirects=False
            ) as answer:
                return await self._returned(request, answer)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise (upload.trouble or failure_of(error)) from error

    def addressed(self, request: web.Request) -> Letter:
        """Return where a request goes, and what its head says; Failed when it can go nowhere."""
        if request.version < OLDEST:
            raise Failed(Failure.MALFORMED, "HTTP/1.0 or later is needed")
        try:
            target, host = target_of(request.raw_path)
            fields = passed(request.headers, but=EXPECT | WEBSOCKET)
            if host:
                fields["Host"] = host  # RFC 9112, section 3.2.2
            introduced(
                fields,
                version=request.version,
                peer=request.remote,
                scheme=request.scheme,
                host=fields.get("Host", ""),
            )
            for text in (target, *fields.values()):
                if not text.isascii():
                    text.encode()
            return Letter(URL(self.url + target, encoded=True), fields)
        except ValueError as error:
            raise Failed(Failure.MALFORMED, "neither a path nor a URL, or not UTF-8") from error

    async def _returned(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        if answer.status == SWITCHED:
            raise Failed(Failure.BROKEN_OFF, "it changed the protocol unasked")
        fields = passed(answer.headers)
        unsaid = [name for name in ADDED if name not in fields]
        if answer.content.is_eof():  # it has come whole, and goes out in one piece
            whole = web.Response(
                status=answer.status,
                reason=answer.reason,
                headers=fields,
                body=answer.content.read_nowait(),
            )
            whole[UNSAID] = unsaid
            return whole
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=fields)
        response[UNSAID] = unsaid
        try:
            await response.prepare(request)
            async for part in answer.content.iter_any():
                async with asyncio.timeout(self.client_seconds):
                    await response.write(part)
            await response.write_eof()
        except aiohttp.ClientConnectionResetError as error:
            raise Failed(Failure.CLIENT_GONE, begun=response) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            found = failure_of(error)
            raise Failed(found.failure, found.detail, response) from error
        return response


def failure_of(error: Exception) -> Failed:
    """Return what an error of the client library is."""
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            found = Failure.UNREACHABLE
        case aiohttp.ServerTimeoutError():
            found = Failure.UPSTREAM_SLOW
        case TimeoutError():
            found = Failure.CLIENT_SLOW
        case _:
            found = Failure.BROKEN_OFF
    return Failed(found, str(error) or type(error).__name__)
