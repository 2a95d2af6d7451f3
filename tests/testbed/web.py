"""A loopback HTTP server: a path gives an answer."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import perf_counter
from urllib.parse import parse_qs, urlsplit

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


Route = Callable[[Mapping[str, str]], Answer]
"""Takes the query's parameters; of equal names the last."""

Observe = Callable[[str, str, int, float], None]
"""Told of each request: handler (the path, or `none`), method, status, seconds."""


def _unobserved(_handler: str, _method: str, _status: int, _seconds: float) -> None:
    return


@contextmanager
def serving(
    port: int, routes: Mapping[str, Route], observe: Observe = _unobserved
) -> Iterator[int]:
    """Serve *routes* on 127.0.0.1 while the context lasts; give the port (0 asks for a free one).

    OSError when the port is taken.
    """
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(routes, observe))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="web", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(routes: Mapping[str, Route], observe: Observe) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One segment an answer: headers and body in two writes wait 40 ms for a delayed ACK.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            began = perf_counter()
            url = urlsplit(self.path)
            route = routes.get(url.path)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            answer = route(query) if route else Answer(b"not found\n", status=404)
            # Before the answer leaves, so that whoever has it finds it counted.
            name = url.path if route else "none"
            observe(name, "GET", answer.status, perf_counter() - began)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Say nothing: requests are counted, not logged."""

    return Handler
