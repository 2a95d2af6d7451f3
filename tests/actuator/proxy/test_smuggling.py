"""Requests that two servers could read in two ways: refused, and nothing of them passed on."""

import asyncio
from http import HTTPStatus

import pytest
from aiohttp import web

from actuator.proxy.playing import Play, before, listening, played
from actuator.proxy.test_forward import exchange

HEAD = b"POST /v1/chat HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    "length and chunks": CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n" + SECOND,
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + SECOND,
    "two equal lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na" + SECOND,
    "a list of lengths": HEAD + b"Content-Length: 1, 1\r\n\r\na" + SECOND,
    "a signed length": HEAD + b"Content-Length: +1\r\n\r\na" + SECOND,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + SECOND,
    "a length in hexadecimal": HEAD + b"Content-Length: 0x1\r\n\r\na" + SECOND,
    "a length with a sign of another script": HEAD + b"Content-Length: \xd9\xa1\r\n\r\na" + SECOND,
    "chunks that are not the last coding": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunked, but for a letter": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "a chunk's size that is none": CHUNKED + b"\r\nzz\r\n\r\n" + SECOND,
    "a chunk's size with a sign": CHUNKED + b"\r\n+1\r\na\r\n0\r\n\r\n" + SECOND,
    "a chunk's size in 0x": CHUNKED + b"\r\n0x1\r\na\r\n0\r\n\r\n" + SECOND,
    "a chunk that is longer than it says": CHUNKED + b"\r\n1\r\nab\r\n0\r\n\r\n" + SECOND,
    "a chunk's size beyond 64 bits": CHUNKED + b"\r\n10000000000000001\r\na\r\n0\r\n\r\n",
    "a chunk's size that ends in a bare LF": CHUNKED + b"\r\n1\na\r\n0\r\n\r\n" + SECOND,
    "a chunk's extension with a bare LF": CHUNKED + b"\r\n1;a\nb\r\na\r\n0\r\n\r\n" + SECOND,
    "a folded field": HEAD + b"X-A: 1\r\n  Content-Length: 40\r\n\r\n" + SECOND,
    "a head with bare LFs": b"GET / HTTP/1.1\nHost: a\n\n",
    "a field that ends in a bare LF": b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
    "a bare CR in a field": HEAD + b"X: a\rContent-Length: 4\r\n\r\n",
    "a NUL in a field": HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 4\r\n\r\nabcd",
    "a space before a name": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a name with a control character": HEAD + b"Content\x0bLength: 4\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a version that is none": b"GET / HTTP/1.11\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a version to come": b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "a target that is no path": b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "a target of another scheme": b"GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "bytes that are no text": b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n",
    "a line beyond every bound": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a field beyond every bound": HEAD + b"X: " + b"a" * 40_000 + b"\r\n\r\n",
    "fields beyond number": HEAD + b"X: 1\r\n" * 1000 + b"\r\n",
}


class Server:
    """Writes down what reaches it whole, and what tries to."""

    def __init__(self) -> None:
        self.paths, self.bodies = list[str](), list[bytes]()

    async def __call__(self, request: web.Request) -> web.Response:
        """Answer one."""
        self.paths.append(request.raw_path)
        self.bodies.append(await request.read())
        return web.Response(text="served")


async def refused(play: Play, text: bytes) -> bytes:
    """Say it; return the first line of the answer."""
    said = await exchange(play, text, end=False)
    return said.partition(b"\r\n")[0]


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_ambiguous_is_refused(what: str) -> None:
    """With a 4xx and the end of the connection; what hides behind it is never served."""

    async def scene() -> None:
        server = Server()
        async with listening(server) as upstream, before(upstream) as play:
            line = await refused(play, REFUSED[what])
            assert line.split()[1:2] in ([b"400"], [b"404"], [b"405"], [b"431"], [b"501"]), line
            assert [] == server.bodies
            assert "/secret" not in server.paths
            async with play.client.get(play.url) as answer:
                assert "served" == await answer.text()

    played(scene())


def test_what_goes_nowhere_wakes_nobody() -> None:
    """It takes no turn at a held gate."""

    async def scene() -> None:
        async with listening(Server()) as upstream, before(upstream) as play:
            assert (await play.order("hold"))[0] == HTTPStatus.OK
            for what in ("no version", "a target of another scheme", "bytes that are no text"):
                assert b" 400 " in await refused(play, REFUSED[what])
            assert (True, None) == (
                (await play.state())["held"],
                (await play.state())["last_request"],
            )

    played(scene())


def test_a_target_in_absolute_form_names_the_host() -> None:
    """The field says something else and does not count (RFC 9112, section 3.2.2)."""
    hosts = []

    async def server(request: web.Request) -> web.Response:
        hosts.append((request.host, request.raw_path))
        return web.Response()

    async def scene() -> None:
        async with listening(server) as upstream, before(upstream) as play:
            await exchange(
                play,
                b"GET http://chat.example:8080/a%20b?c HTTP/1.1\r\nHost: other\r\n"
                b"Connection: close\r\n\r\n",
            )
            assert [("chat.example:8080", "/a%20b?c")] == hosts

    played(scene())


def test_requests_in_a_row_are_answered_in_that_order() -> None:
    """On one connection, sent without waiting for the answers."""

    async def server(request: web.Request) -> web.Response:
        await asyncio.sleep(0)
        return web.Response(text=request.path)

    async def scene() -> None:
        async with listening(server) as upstream, before(upstream) as play:
            texts = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5)]
            last = b"GET /5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            said = await exchange(play, b"".join((*texts, last)))
            order = [said.find(b"\r\n\r\n/%d" % number) for number in range(6)]
            assert sorted(order) == order
            assert -1 not in order

    played(scene())
