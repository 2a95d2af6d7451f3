"""What a client asks, and what he is told: the part of HTTP/1.1 that an exporter needs. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

TEXT = "text/plain; charset=utf-8"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class BadRequest(Exception):
    """The bytes are no request that we can read; the connection ends."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head; *headers* by their names in lower case, *keeps* if the client stays."""

    method: str
    path: str
    headers: Mapping[str, str]
    keeps: bool


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, without what the connection adds to it."""

    status: HTTPStatus
    body: bytes
    kind: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


def parse(head: bytes) -> Request:
    """Read a head without its last blank line; BadRequest when it is none (RFC 9112, 3 and 5)."""
    first, *lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/1.") or not _TOKEN.fullmatch(method) or not target:
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):  # a line that is folded, too
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        key, value = name.lower(), value.strip(" \t")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    # A body is not read, so what comes after it cannot be told from it.
    body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    leaves = "close" in headers.get("connection", "").lower()
    keeps = not (body or leaves or version == "HTTP/1.0")
    return Request(method, target.partition("?")[0], headers, keeps)


def render(
    response: Response, extra: tuple[tuple[str, str], ...] = (), *, keeps: bool, bodiless: bool
) -> bytes:
    """Return head and body as one piece.

    In two, Nagle's algorithm and delayed acknowledgement would make a kept-alive scrape take 40 ms.
    """
    head = [
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {response.kind}",
        f"Content-Length: {len(response.body)}",
        *(f"{name}: {value}" for name, value in (*response.headers, *extra)),
    ]
    if not keeps:
        head.append("Connection: close")
    return "\r\n".join((*head, "", "")).encode("latin-1") + (b"" if bodiless else response.body)
