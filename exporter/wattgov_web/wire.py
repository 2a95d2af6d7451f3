"""One connection: its place among the others, and how long its client may take."""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # OpenSSL takes 4 MiB: no TLS, no OpenSSL
    import ssl

RECEIVE_BYTES = 8192
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What all clients together, and each of them, may ask of the server.

    *idle_seconds* outlasts a scrape interval of a minute; *header_bytes* holds a browser's cookies;
    *header_seconds* is for a body, too. With no *body_bytes* a body is not read.
    """

    connections: int = 64
    idle_seconds: float = 120.0
    header_seconds: float = 10.0
    header_bytes: int = 32768
    body_bytes: int = 0
    write_seconds: float = 10.0


class TooLong(Exception):
    """A request's header has more than `Limits.header_bytes`."""


class Seats:
    """At most so many connections; when all are taken, who waits longest for its client goes."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.clock = clock
        self._lock = threading.Lock()
        self._taken: dict[Wire, float | None] = {}

    def take(self, wire: "Wire") -> bool:
        """Take a seat, False when everyone on one is being answered."""
        with self._lock:
            if len(self._taken) >= self.limits.connections:
                waiting = {one: since for one, since in self._taken.items() if since is not None}
                if not waiting:
                    return False
                longest = min(waiting, key=lambda one: waiting[one])
                del self._taken[longest]
                longest.cut()
            self._taken[wire] = self.clock()
            return True

    def wait(self, wire: "Wire") -> None:
        """Note that the server now waits for this client."""
        with self._lock:
            if wire in self._taken:
                self._taken[wire] = self.clock()

    def answer(self, wire: "Wire") -> None:
        """Note that this client is being answered; ConnectionError when its seat is gone."""
        with self._lock:
            if wire not in self._taken:
                raise ConnectionAbortedError("another client needed the seat")
            self._taken[wire] = None

    def leave(self, wire: "Wire") -> None:
        """Give the seat up."""
        with self._lock:
            self._taken.pop(wire, None)

    def clear(self) -> None:
        """Cut every connection."""
        with self._lock:
            for wire in self._taken:
                wire.cut()


class Wire:
    """A socket on which no wait, nor many short ones together, outlast the limits."""

    def __init__(self, sock: socket.socket, seats: Seats) -> None:
        self._socket = sock
        if sock.family != socket.AF_UNIX:
            # TLS answers in several pieces: with Nagle each new connection would take 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._seats, self.limits = seats, seats.limits
        self._buffer = bytearray()
        # The first request is due at once: a client connects when it has something to ask.
        self._deadline = seats.clock() + seats.limits.header_seconds
        self._begun = True

    def secure(self, context: "ssl.SSLContext") -> "ssl.SSLSocket":
        """Shake hands; the time counts as the first request's."""
        # In two steps, so that `cut` can end a handshake that does not come.
        secured = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = secured
        self._within(self._deadline)
        secured.do_handshake()
        return secured

    def rest(self) -> None:
        """Begin to wait for the next request."""
        self._seats.wait(self)
        self._deadline = self._seats.clock() + self._seats.limits.idle_seconds
        self._begun = False

    def head(self) -> bytes | None:
        """Return the next request's head without its last blank line, None when the client left.

        TimeoutError, or TooLong, when he asks too much patience.
        """
        looked = 0
        while (end := self._buffer.find(_END, looked)) < 0:
            if len(self._buffer) > self._seats.limits.header_bytes:
                raise TooLong
            looked = max(len(self._buffer) - len(_END) + 1, 0)
            got = self._within(self._deadline).recv(RECEIVE_BYTES)
            if not got:
                return None
            if not self._begun:
                self._begun = True
                self._deadline = self._seats.clock() + self._seats.limits.header_seconds
            self._buffer += got
        if end > self._seats.limits.header_bytes:
            raise TooLong
        head = bytes(self._buffer[:end])
        del self._buffer[: end + len(_END)]
        return head

    def body(self, length: int) -> bytes:
        """Return the *length* bytes that come after the head; ConnectionError when fewer come.

        TimeoutError when they take longer than the head may.
        """
        deadline = self._seats.clock() + self._seats.limits.header_seconds
        while len(self._buffer) < length:
            got = self._within(deadline).recv(RECEIVE_BYTES)
            if not got:
                raise ConnectionAbortedError("the client left before the end of what it said")
            self._buffer += got
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def answers(self) -> None:
        """Begin to answer; ConnectionError when the client has lost his seat."""
        self._seats.answer(self)

    def send(self, data: bytes) -> None:
        """Send all; TimeoutError when the client does not take it in time."""
        deadline = self._seats.clock() + self._seats.limits.write_seconds
        rest = memoryview(data)
        while rest:
            rest = rest[self._within(deadline).send(rest) :]

    def cut(self) -> None:
        """End the connection from another thread: the one that reads it sees the end of file."""
        try:
            # Not SSLSocket's own: it would take the TLS state away under the reading thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            return  # the client was faster

    def close(self) -> None:
        """Close the socket and give the seat up."""
        self._seats.leave(self)
        self.cut()
        self._socket.close()

    def _within(self, deadline: float) -> socket.socket:
        left = deadline - self._seats.clock()
        if left <= 0:
            raise TimeoutError("the client takes too long")
        self._socket.settimeout(left)
        return self._socket
