"""The HTTP service: metrics, health, and the latest decisions as JSON. It only reads."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from socketserver import TCPServer
from threading import Thread
from types import TracebackType
from typing import NamedTuple, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from wattgov_actuator.decision import MEANING
from wattgov_actuator.logfmt import line
from wattgov_actuator.snapshot import Snapshot

LOG = logging.getLogger(__name__)
IDLE_SECONDS = 30.0  # a connection that asks nothing is closed
TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
INDEX = "/metrics\n/api/v1/decisions\n/-/healthy\n/-/ready\n"


class Reply(NamedTuple):
    """One answer."""

    status: HTTPStatus
    kind: str
    body: bytes


READY = Reply(HTTPStatus.OK, TEXT, b"ready\n")
NOT_READY = Reply(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"before the first tick\n")


def decisions(now: Snapshot) -> bytes:
    """Return the latest decision of every rule and target as JSON."""
    rows = [{**asdict(each), "meaning": MEANING[each.reason]} for each in now.decisions]
    return json.dumps({"enforcing": now.enforcing, "decisions": rows}, indent=1).encode()


class Service:
    """The listener; answers in its own threads from the moment it is entered."""

    def __init__(
        self,
        host: str,
        port: int,
        snapshot: Callable[[], Snapshot],
        registry: CollectorRegistry,
    ) -> None:
        """Bind; OSError when the address is taken or not ours."""
        self._snapshot, self._registry = snapshot, registry
        self._server = _Server((host, port), self.reply)
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

    def reply(self, path: str, accept: str) -> Reply:
        """Return the answer to one GET."""
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return Reply(HTTPStatus.OK, kind, encode(self._registry))
        now = self._snapshot()
        pages = {
            "/": Reply(HTTPStatus.OK, TEXT, INDEX.encode()),
            "/-/healthy": Reply(HTTPStatus.OK, TEXT, b"healthy\n"),
            "/-/ready": READY if now.ticks else NOT_READY,
        }
        if path == "/api/v1/decisions":
            return Reply(HTTPStatus.OK, JSON, decisions(now))
        missing = f"no such page; there are:\n{INDEX}".encode()
        return pages.get(path) or Reply(HTTPStatus.NOT_FOUND, TEXT, missing)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], reply: Callable[[str, str], Reply]) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.reply = reply
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

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name upstream)
        """Keep quiet: a scrape is no event."""

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        reply = self.server.reply(path, self.headers.get("Accept", ""))
        head = (
            f"HTTP/1.1 {reply.status.value} {reply.status.phrase}\r\n"
            f"Content-Type: {reply.kind}\r\n"
            f"Content-Length: {len(reply.body)}\r\n\r\n"
        )
        # In one write: two, with Nagle and a delayed acknowledgement, cost 40 ms a scrape.
        self.wfile.write(head.encode() + (reply.body if with_body else b""))
