"""HTTP answers that have a deadline as a whole, their head included.

A timeout of a socket begins anew with each byte that comes: a head of one byte now and then would
hold up whoever waits for it, for as long as its sender likes.
"""

import socket
from collections.abc import Callable
from functools import partial
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

Clock = Callable[[], float]


class Punctual(HTTPAdapter):
    """An adapter of requests whose read timeout is one for all that is read of an answer."""

    def __init__(self, steady: Clock, **more: Any) -> None:  # noqa: ANN401 (requests' own)
        self._steady = steady
        super().__init__(**more)

    def init_poolmanager(self, *given: Any, **more: Any) -> None:  # noqa: ANN401 (requests' own)
        """Have the pools made of connections that look at the clock."""
        super().init_poolmanager(*given, **more)
        clock = {"steady": staticmethod(self._steady)}
        plain = {"ConnectionCls": type("Plain", (_Looking, HTTPConnection), clock)}
        secure = {"ConnectionCls": type("Secure", (_Looking, HTTPSConnection), clock)}
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("PlainPool", (HTTPConnectionPool,), plain),
            "https": type("SecurePool", (HTTPSConnectionPool,), secure),
        }


class _Looking:
    """A connection; what it reads of an answer is read in time, or it raises TimeoutError."""

    steady: Clock
    timeout: float
    response_class: Callable[..., HTTPResponse]

    def getresponse(self) -> Any:  # noqa: ANN401 (urllib3's own)
        """Begin to read an answer."""
        self.response_class = partial(_answer, self.steady, self.steady() + self.timeout)
        return super().getresponse()  # type: ignore[misc]


def _answer(
    steady: Clock,
    until: float,
    sock: socket.socket,
    *given: Any,  # noqa: ANN401 (http.client's own)
    **more: Any,  # noqa: ANN401 (http.client's own)
) -> HTTPResponse:
    response = HTTPResponse(sock, *given, **more)
    response.fp.close()  # the same bytes, read by us
    response.fp = BufferedReader(_Timed(sock, steady, until))
    return response


class _Timed(RawIOBase):
    """What comes from a socket until the deadline."""

    def __init__(self, sock: socket.socket, steady: Clock, until: float) -> None:
        self._sock, self._steady, self._until = sock, steady, until
        self._raw = sock.makefile("rb", buffering=0)  # so that the socket outlives its connection

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 (io's own)
        """Read what is there, or comes in time."""
        left = self._until - self._steady()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()
