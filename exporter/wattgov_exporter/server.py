"""HTTP: /metrics, health, and a page that says what was found."""

import html
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from wattgov_exporter.exposition import View, families


class Pages:
    """The last tick, rendered at most once in each format: two scrapers see the same bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._view: View | None = None
        self._rendered: dict[str, bytes] = {}

    def publish(self, view: View) -> None:
        """Show a new tick from now on."""
        with self._lock:
            self._view, self._rendered = view, {}

    @property
    def view(self) -> View | None:
        """The last tick, None before the first."""
        return self._view

    def metrics(self, accept: str) -> tuple[bytes, str] | None:
        """Return the exposition and its content type, in the format the scraper asks for."""
        encode, content_type = choose_encoder(accept)
        with self._lock:
            if self._view is None:
                return None
            if content_type not in self._rendered:
                registry = CollectorRegistry()
                registry.register(_Once(self._view))
                self._rendered[content_type] = encode(registry)
            return self._rendered[content_type], content_type


class _Once(Collector):
    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Any:  # noqa: ANN401  prometheus_client's own signature
        return families(self._view)


class Server(ThreadingHTTPServer):
    """Serves the pages; one thread a connection, which a scraper keeps open."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], pages: Pages, ready: Callable[[], bool]) -> None:
        self.pages = pages
        self.ready = ready
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Headers and body leave in one segment: with Nagle's algorithm and delayed acknowledgement
    # a kept-alive scrape would take 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60

    def do_GET(self) -> None:
        """Answer one of the four pages."""
        match self.path.partition("?")[0]:
            case "/metrics":
                page = self.server.pages.metrics(self.headers.get("Accept", ""))
                if page is None:
                    self._answer(503, b"no sample yet\n", "text/plain; charset=utf-8")
                else:
                    self._answer(200, *page)
            case "/-/healthy":
                self._answer(200, b"healthy\n", "text/plain; charset=utf-8")
            case "/-/ready":
                ready = self.server.ready()
                text = b"ready\n" if ready else b"no fresh sample\n"
                self._answer(200 if ready else 503, text, "text/plain; charset=utf-8")
            case "/":
                page_text = _landing(self.server.pages.view)
                self._answer(200, page_text.encode(), "text/html; charset=utf-8")
            case _:
                self._answer(404, b"not here; see /\n", "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  the base's names
        """Keep quiet: a scrape every few seconds is no news."""


def _landing(view: View | None) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(one.name)}<td>{one.reason.value}<td>{html.escape(one.detail)}"
        for one in (view.snapshot.sources if view else ())
    )
    watts = (
        f"{view.snapshot.total[1]:.1f} W now" if view and view.snapshot.total else "no sample yet"
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Wattgov exporter</title>"
        "<style>body{font:16px/1.5 system-ui;margin:3rem auto;max-width:50rem}"
        "td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}</style>"
        f"<h1>Wattgov exporter</h1><p>{watts}. <a href=/metrics>/metrics</a></p>"
        f"<table><tr><th>source<th>state<th>why{rows}</table></html>"
    )
