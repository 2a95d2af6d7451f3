"""A server on loopback whose every answer is a function's: the base of the fakes of APIs."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

from requests.structures import CaseInsensitiveDict

from fakes import https


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks."""

    verb: str
    path: str  # with its query
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """Return the JSON in its body; raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What it gets; *body* is sent as JSON, bytes as they are, an iterator piece by piece."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Callable[[Request], Reply]


def serving(
    answer: Answering,
    letting_go: threading.Event | None = None,
    certificate: tuple[str, str] | None = None,
    port: int = 0,
) -> AbstractContextManager[str]:
    """Serve while the context lasts; give the URL. An answer may wait for *letting_go*."""
    server = _Server(answer, port)
    return https.serving(server, letting_go or threading.Event(), certificate)


@contextmanager
def serving_at(path: Path, answer: Answering) -> Iterator[str]:
    """Serve on a Unix socket while the context lasts; give its path."""
    path.unlink(missing_ok=True)  # of one that was killed
    server = _UnixServer(path, answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield str(path)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        path.unlink()


class _Handler(BaseHTTPRequestHandler):
    server: "_Server | _UnixServer"
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._any()

    def do_PUT(self) -> None:
        self._any()

    def do_POST(self) -> None:
        self._any()

    def do_PATCH(self) -> None:
        self._any()

    def do_DELETE(self) -> None:
        self._any()

    def _any(self) -> None:
        headers = CaseInsensitiveDict(self.headers.items())
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        reply = self.server.answer(Request(self.command, self.path, headers, body))
        if isinstance(reply.body, Iterator):
            self._pieces(reply.body)
            return
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        told = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in {**told, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _pieces(self, pieces: Iterator[bytes]) -> None:
        """Send an answer that goes on, until it ends or nobody listens."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            self.wfile.flush()
            for each in pieces:
                self.wfile.write(f"{len(each):x}\r\n".encode() + each + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing: tests look at what was asked."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Answering, port: int) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", port), _Handler)


class _UnixHandler(_Handler):
    disable_nagle_algorithm = False  # there is none


class _UnixServer(ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, answer: Answering) -> None:
        self.answer = answer
        super().__init__(str(path), _UnixHandler)
