"""Connections: each has a seat and a thread while its client keeps within the limits."""

import logging
import os
import socket
import socketserver
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from wattgov_web.client import ROOT, Client, is_loopback
from wattgov_web.hosts import known
from wattgov_web.logins import Logins, user_of
from wattgov_web.peer import Ends
from wattgov_web.request import TEXT, BadRequest, Request, Response, parse, render
from wattgov_web.web import WatchedWeb, Web
from wattgov_web.wire import Seats, TooLong, Wire

if TYPE_CHECKING:  # OpenSSL takes 4 MiB: no TLS, no OpenSSL
    from wattgov_web.tls import Tls

LOG = logging.getLogger(__name__)
Answer = Callable[[Request, Client], Response]

_FULL = Response(
    HTTPStatus.SERVICE_UNAVAILABLE, b"too many connections\n", headers=(("Retry-After", "1"),)
)
_MISNAMED = Response(
    HTTPStatus.MISDIRECTED_REQUEST,
    b"the Host asked for is not this machine's: ask by an address or localhost, or give the name "
    b"with --web.allowed-host\n",
)
_TOO_LARGE = Response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too much at once\n")
_NO_LENGTH = Response(HTTPStatus.LENGTH_REQUIRED, b"say a Content-Length\n")
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSED_KEPT = 16


class Server(socketserver.ThreadingTCPServer):
    """Serves; a scraper keeps its connection open, and its thread with it."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        answer: Answer,
        seats: Seats,
        web: WatchedWeb,
        realm: str,
        *,
        names: Collection[str] = (),
    ) -> None:
        """Bind; OSError when the address is taken or not ours.

        *realm* is what one logs in to, *names* are what this machine is also called by.
        """
        self._host = address[0]
        self._answer = answer
        self._names = frozenset((*names, os.uname().nodename))
        self._owners = frozenset((ROOT, os.geteuid()))
        self._logins = Logins()
        self._realm = realm
        self._seats = seats
        self._web = web
        self._wires: dict[socket.socket, Wire] = {}
        self._refused: deque[socket.socket] = deque()
        self._stopping = False
        self._stopped = threading.Event()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, socketserver.BaseRequestHandler)

    @property
    def port(self) -> int:
        """The port that is listened on, where 0 was asked for."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """Where it listens, as the host was given, and as it stands in a URL."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until `shutdown`; *poll_interval* is how often refused connections are looked at.

        The base class wakes as often all day, which costs more than reading a GPU does.
        """
        try:
            while not self._stopping:
                self.timeout = poll_interval if self._refused else None
                self.handle_request()
                self.service_actions()
        finally:
            self._stopped.set()

    def shutdown(self) -> None:
        """Take no more connections; wait until `serve_forever` has ended."""
        self._stopping = True
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection (Linux)
        self._stopped.wait()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's
        """Give the connection a seat and a thread, or refuse it."""
        wire = Wire(request, self._seats)
        if not self._seats.take(wire):
            self._refuse(request)
            return
        self._wires[request] = wire
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the machine has no thread left
            self._wires.pop(request).close()

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's
        """Talk with a client until he, or his time, is gone; in his own thread."""
        wire = self._wires.pop(request)
        try:
            ends = Ends(client_address[:2], request.getsockname()[:2])
            tls = self._web.current().tls
            if tls is not None:
                tls.admit(wire.secure(tls.context))
            read = lru_cache(maxsize=1)(parse)  # a scraper asks in the same words each time
            while self._answer_one(wire, read, ends, tls):
                wire.rest()
        finally:
            wire.close()

    def _answer_one(
        self, wire: Wire, read: Callable[[bytes], Request], ends: Ends, tls: "Tls | None"
    ) -> bool:
        """Answer the next request; return whether there may be another.

        Without one where *tls*, by which the client came in, is not in force any more: he has to
        come anew.
        """
        try:
            head = wire.head()
            if head is None:
                return False
            request = read(head)
        except (BadRequest, TooLong) as error:
            status = getattr(error, "status", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            told = Response(status, f"{status.phrase}\n".encode())
            wire.send(render(told, self._web.current().headers, keeps=False, bodiless=False))
            return False
        wire.answers()
        web = self._web.current()
        if web.tls is not tls:
            return False
        response = self._answered(wire, request, ends, web)
        bodiless = request.method == "HEAD"
        wire.send(render(response, web.headers, keeps=request.keeps, bodiless=bodiless))
        return request.keeps

    def _answered(self, wire: Wire, request: Request, ends: Ends, web: Web) -> Response:
        """Return the answer; who has not logged in is not listened to any further."""
        if self._misnamed(request, web):
            return _MISNAMED
        given = request.headers.get("authorization", "")
        if web.users and not self._logins.good(web.users, given):
            ask = ("WWW-Authenticate", f'Basic realm="{self._realm}", charset="UTF-8"')
            return Response(
                HTTPStatus.UNAUTHORIZED, b"a user and a password, please\n", TEXT, (ask,)
            )
        user = user_of(given) if web.users else ""
        client = Client(ends.peer[0], user, web.proves_client, ends.owner, self._owners)
        if most := wire.limits.body_bytes:
            if request.length is None:
                return _NO_LENGTH
            if request.length > most:
                return _TOO_LARGE
            if request.length:
                if request.headers.get("expect", "").lower() == "100-continue":
                    wire.send(_GO_ON)
                request = replace(request, body=wire.body(request.length))
        return self._answer(request, client)

    def _misnamed(self, request: Request, web: Web) -> bool:
        """Tell whether a web page may be asking that has pointed its own name at this machine.

        TLS fails on a name that is not in the certificate, and a browser has no password for it.
        Who listens for others is called by names that we cannot know.
        """
        if web.tls is not None or web.users or not is_loopback(str(self.server_address[0])):
            return False
        return not known(request.headers.get("host", ""), self._names)

    def _refuse(self, request: socket.socket) -> None:
        """Answer 503 at once, without a thread; over TLS the answer is that nobody is there.

        The socket stays open for a while: closing it on an unread request would send a reset, and
        the client would lose the answer.
        """
        request.setblocking(False)
        try:
            if self._web.current().tls is None:
                request.send(render(_FULL, keeps=False, bodiless=False))
            request.shutdown(socket.SHUT_WR)
        except OSError:
            request.close()
            return
        if len(self._refused) == REFUSED_KEPT:
            self._refused.popleft().close()
        self._refused.append(request)

    def service_actions(self) -> None:
        """Close the refused connections whose clients have read and left."""
        for _ in range(len(self._refused)):
            request = self._refused.popleft()
            try:
                gone = not request.recv(65536)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                request.close()
            else:
                self._refused.append(request)

    def server_close(self) -> None:
        """Stop listening and cut every connection."""
        super().server_close()
        self._seats.clear()
        while self._refused:
            self._refused.popleft().close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002  the base's
        """Tell of our own mistakes; a client that leaves, or fails to shake hands, is no news."""
        error = sys.exception()
        if not isinstance(error, OSError):
            LOG.error("event=request_failed client=%s", client_address[0], exc_info=error)
