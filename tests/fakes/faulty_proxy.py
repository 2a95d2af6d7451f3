"""An HTTP proxy before a real Prometheus that misbehaves as told, and can be told while it runs.

Switched to a fault, it closes the connections that clients have kept, so that the next question
meets the fault and nothing else.
"""

import json
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, build_opener

JSON = "application/json"
WHOLE, REFUSED = "whole", "refused"
UPSTREAM_SECONDS = 30.0
DIRECT = build_opener(ProxyHandler({}))  # a proxy of the environment does not lead back here
FLOOD = b'{"metric":{"uuid":"GPU-of-nobody"},"value":[1,"1"]},' * 20_000  # about 1 MiB

Parsed = dict[str, Any]


class Exchange(BaseHTTPRequestHandler):
    """One question to Prometheus, and the ways to answer it."""

    protocol_version = "HTTP/1.1"  # a client keeps its connection, as before the real one
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self) -> None:
        """Answer as the proxy's fault says; a client that hangs up is none of our business."""
        proxy = self.server.proxy
        proxy.opened(self.connection)
        fault, self.ended = proxy.met(parse_qs(urlsplit(self.path).query).get("query", [""])[0])
        with suppress(OSError):
            FAULTS[fault](self)

    def upstream(self) -> tuple[int, bytes]:
        """Return the status and the body that the real Prometheus gives."""
        url = self.server.proxy.upstream + self.path
        try:
            with DIRECT.open(url, timeout=UPSTREAM_SECONDS) as answer:
                return int(answer.status), bytes(answer.read())
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def send(
        self,
        body: bytes,
        status: int = 200,
        kind: str = JSON,
        more: Mapping[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        """Send an answer; with *length*, a lie, the connection ends after the body."""
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(length or len(body)), **(more or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def reset(self) -> None:
        """End the connection as a crash of the peer does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Fault = Callable[[Exchange], None]


def whole(exchange: Exchange) -> None:
    """Pass the answer through."""
    status, body = exchange.upstream()
    exchange.send(body, status)


def changed(change: Callable[[Parsed], object]) -> Fault:
    """Pass the answer through with its JSON changed."""

    def answer(exchange: Exchange) -> None:
        status, body = exchange.upstream()
        parsed = json.loads(body)
        change(parsed)
        exchange.send(json.dumps(parsed).encode(), status)

    return answer


def canned(body: bytes, status: int = 200, kind: str = JSON, **more: str) -> Fault:
    """Answer without asking; *more* are headers, with _ for -."""
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return lambda exchange: exchange.send(body, status, kind, headers)


def hangs(exchange: Exchange) -> None:
    """Take the question, and say nothing until the fault ends."""
    exchange.ended.wait()
    exchange.close_connection = True


def hangs_in_the_body(exchange: Exchange) -> None:
    """Say half of the answer, and no more until the fault ends."""
    _, body = exchange.upstream()
    exchange.send(body[: len(body) // 2], length=len(body))
    exchange.ended.wait()


def late(seconds: float, exchange: Exchange) -> None:
    """Answer well, after some time."""
    exchange.ended.wait(seconds)
    whole(exchange)


def trickles(exchange: Exchange) -> None:
    """Send a byte now and then, and never come to the end."""
    exchange.send(b"{", length=1 << 20)
    while not exchange.ended.wait(0.1):
        exchange.wfile.write(b" ")


def trickles_its_header(exchange: Exchange) -> None:
    """Send a byte of it now and then, and never come to the body."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Patience: ")
    while not exchange.ended.wait(0.1):
        exchange.wfile.write(b"x")
    exchange.close_connection = True


def floods(exchange: Exchange) -> None:
    """Send series without end."""
    exchange.send(b'{"status":"success","data":{"resultType":"vector","result":[', length=1 << 40)
    while not exchange.ended.is_set():
        exchange.wfile.write(FLOOD)


def cut(exchange: Exchange) -> None:
    """Send half of the JSON, as if that were all."""
    _, body = exchange.upstream()
    exchange.send(body[: len(body) // 2])


def short(exchange: Exchange) -> None:
    """Promise more than comes."""
    _, body = exchange.upstream()
    exchange.send(body, length=len(body) + 100)


def resets(exchange: Exchange) -> None:
    """Break the connection in the middle of the body."""
    _, body = exchange.upstream()
    exchange.send(body[: len(body) // 2], length=len(body))
    exchange.reset()


def circles(exchange: Exchange) -> None:
    """Lead back to where the client came from."""
    where = f"http://{exchange.headers['Host']}{exchange.path}"
    exchange.send(b"", 302, "text/html", {"Location": where})


def _valued(value: str, parsed: Parsed) -> None:
    for series in parsed["data"]["result"]:
        series["value"][1] = value


def _emptied(parsed: Parsed) -> None:
    parsed["data"]["result"] = []


def _numbered(parsed: Parsed) -> None:
    for series in parsed["data"]["result"]:
        series["metric"] = dict.fromkeys(series["metric"], 5)


def _typed(kind: str, parsed: Parsed) -> None:
    parsed["data"]["resultType"] = kind


FAULTS: dict[str, Fault] = {
    WHOLE: whole,
    "hangs": hangs,
    "hangs in the body": hangs_in_the_body,
    "trickles": trickles,
    "trickles its header": trickles_its_header,
    "late": partial(late, 0.5),
    "too late": partial(late, 600.0),
    "500": canned(b"oops", 500, "text/plain"),
    "503": canned(b"", 503),
    "429": canned(b"", 429, Retry_After="600"),
    "401": canned(b"", 401, WWW_Authenticate="Basic"),
    "HTML": canned(b"<html><h1>Welcome</h1></html>", kind="text/html"),
    "redirect": circles,
    "cut JSON": cut,
    "garbage": canned(bytes(range(256)) * 64),
    "deep JSON": canned(b"[" * 200_000),
    "gzip garbage": canned(b"\x1f\x8b\x08 this is no gzip", Content_Encoding="gzip"),
    "wrong length": short,
    "reset": resets,
    "flood": floods,
    "empty vector": changed(_emptied),
    "NaN": changed(partial(_valued, "NaN")),
    "infinity": changed(partial(_valued, "+Inf")),
    "no number": changed(partial(_valued, "many")),
    "labels that are numbers": changed(_numbered),
    "scalar": changed(partial(_typed, "scalar")),
    "matrix": changed(partial(_typed, "matrix")),
    "warnings": changed(lambda parsed: parsed.update(warnings=["a store did not answer"])),
    "isPartial": changed(lambda parsed: parsed.update(isPartial=True)),
}
"""What it can do, besides refusing connections."""


class FaultyProxy:
    """The proxy, on a port of the loopback that the kernel picks."""

    def __init__(self, upstream: str, fault: str = WHOLE) -> None:
        """Listen; *upstream* is the URL of the real one."""
        self.upstream = upstream.rstrip("/")
        self.seen: Counter[str] = Counter()  # how often each fault was met
        self._lock, self._connections = Lock(), set[socket.socket]()
        self._fault, self._only, self._ended = WHOLE, "", Event()
        with socket.socket() as picked:  # a port that is asked for by its number stays bound
            picked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            picked.bind(("127.0.0.1", 0))
            self._server = _Server(picked.getsockname(), self)
        self._server.server_activate()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread: Thread | None = None
        self._listen()
        self.switch(fault)

    def switch(self, fault: str, only: str = "") -> None:
        """Misbehave like this from now on, to questions in which *only* occurs."""
        with self._lock:
            self._ended.set()
            self._fault, self._only, self._ended = fault, only, Event()
        if fault == REFUSED and self._thread is not None:
            self._deafen()
        elif fault != REFUSED and self._thread is None:
            self._server.socket.listen(self._server.request_queue_size)
            self._listen()
        with self._lock:
            connections, self._connections = self._connections, set()
        for each in connections:
            with suppress(OSError):  # closed since
                each.shutdown(socket.SHUT_RDWR)

    def met(self, query: str) -> tuple[str, Event]:
        """Return the fault for a question, and what tells of its end."""
        with self._lock:
            fault = self._fault if self._only in query else WHOLE
            self.seen[fault] += 1
            return fault, self._ended

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, to close it at a switch."""
        with self._lock:
            self._connections.add(connection)

    def close(self) -> None:
        """Stop."""
        self.switch(REFUSED)
        self._server.server_close()

    def _listen(self) -> None:
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _deafen(self) -> None:
        """Refuse connections, and keep the port: on Linux a socket that is shut down is bound."""
        self._server.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._server.socket.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], proxy: FaultyProxy) -> None:
        self.proxy = proxy
        super().__init__(address, Exchange, bind_and_activate=False)
        self.server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients are cut off on purpose."""
