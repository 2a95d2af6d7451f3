"""The exporter's server on loopback, for tests: what to serve, and how to ask."""

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wattgov_exporter.serving.answers import Answers, Reload
from wattgov_exporter.serving.pages import Pages
from wattgov_web.server import Server
from wattgov_web.web import WatchedWeb
from wattgov_web.webfile import load
from wattgov_web.wire import Limits, Seats


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A running server; *log* is what it told."""

    port: int
    pages: Pages
    log: list[str] = field(default_factory=list)

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """Return a connection that is not open yet."""
        if context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)

    def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        context: ssl.SSLContext | None = None,
        **headers: str,
    ) -> Answer:
        """Ask on a connection of its own; an underscore in a header's name is a hyphen."""
        connection = self.connect(context)
        try:
            return ask(connection, path, method, **headers)
        finally:
            connection.close()


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str
) -> Answer:
    """Ask on a connection that may be kept."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


class Reloads:
    """Counts how often it is asked to reload, which always goes well."""

    count = 0

    def __call__(self) -> list[str]:
        """Count one more."""
        self.count += 1
        return []


@contextmanager
def serving(
    pages: Pages | None = None,
    web_file: Path | None = None,
    limits: Limits | None = None,
    reload: Reload = list,
    *,
    scraped: Callable[[], None] = lambda: None,
    listen: str = "127.0.0.1",
    names: tuple[str, ...] = (),
) -> Iterator[Served]:
    """Serve until the block ends; a web file is looked at on every request."""
    log: list[str] = []
    pages = pages or Pages(time.monotonic)
    web = WatchedWeb(web_file, load, iter(range(10**9)).__next__, log.append)
    seats = Seats(limits or Limits(), time.monotonic)
    answers, realm = Answers(pages, reload, scraped), "wattgov-exporter"
    server = Server((listen, 0), answers, seats, web, realm, names=names)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield Served(server.port, pages, log)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
