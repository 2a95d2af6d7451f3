"""What a client asks, and what he is told: the part of HTTP/1.1 that a daemon needs. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

TEXT = "text/plain; charset=utf-8"
LONGEST_LENGTH = 18  # digits: what is longer is no length
_ORIGIN = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class BadRequest(Exception):
    """The bytes are no request that we can read; the connection ends."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; *headers* by their names in lower case, *keeps* if the client stays."""

    method: str
    path: str
    headers: Mapping[str, str]
    keeps: bool
    query: str = ""
    length: int | None = 0  # bytes of the body; None: the client does not say
    body: bytes = b""


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
    length = _length(headers)
    leaves = "close" in headers.get("connection", "").lower()
    # A body may not be read, and then what comes after it cannot be told from it.
    keeps = length == 0 and not leaves and version != "HTTP/1.0"
    # As a proxy is asked, with the host before the path; servers must take it (RFC 9112, 3.2.2).
    origin = _ORIGIN.match(target)
    path, _, query = target[origin.end() if origin else 0 :].partition("?")
    return Request(method, path or "/", headers, keeps, query, length)


def _length(headers: Mapping[str, str]) -> int | None:
    """Return how long the body is, None when the head does not say it for sure."""
    given = headers.get("content-length", "0")
    said = given.isascii() and given.isdecimal() and len(given) <= LONGEST_LENGTH
    return int(given) if said and "transfer-encoding" not in headers else None


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
