"""The HTTP listener. Nobody but a program on this host can change anything by it."""

import logging
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from socketserver import TCPServer
from threading import Thread
from types import TracebackType
from typing import Self

from wattgov_actuator.answers import Question, Reply
from wattgov_actuator.logfmt import line

LOG = logging.getLogger(__name__)
IDLE_SECONDS = 30.0  # a connection that asks nothing is closed
Answer = Callable[[Question], Reply]


class Service:
    """The listener; answers in its own threads from the moment it is entered."""

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        """Bind; OSError when the address is taken or not ours."""
        self._server = _Server((host, port), answer)
        bound = self._server.server_port
        self.address = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"

    def __enter__(self) -> Self:
        """Start to answer."""
        Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop answering and let go of the port."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], answer: Answer) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.answer = answer
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without the base class's look-up of a name that nobody needs."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log one line; a client that hangs up is none of our business."""
        level = logging.DEBUG if isinstance(sys.exception(), OSError) else logging.ERROR
        LOG.log(level, line("request_failed", client=client_address), exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a scraper keeps its connection
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Answer."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._answer(with_body=False)

    def do_POST(self) -> None:
        """Answer; a body is not read, so nothing can come after it."""
        self.close_connection = True
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name upstream)
        """Keep quiet: a scrape is no event."""

    def _answer(self, *, with_body: bool) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        question = Question(self.command, self.path, headers, str(self.client_address[0]))
        reply = self.server.answer(question)
        more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
        more += "Connection: close\r\n" if self.close_connection else ""
        head = (
            f"HTTP/1.1 {reply.status.value} {reply.status.phrase}\r\n"
            f"Content-Type: {reply.kind}\r\n"
            f"Content-Length: {len(reply.body)}\r\n{more}\r\n"
        )
        # In one write: two, with Nagle and a delayed acknowledgement, cost 40 ms a scrape.
        self.wfile.write(head.encode() + (reply.body if with_body else b""))
