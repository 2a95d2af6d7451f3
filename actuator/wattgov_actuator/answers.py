"""The pages of the service: who may ask what, and what the answer is."""

import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from wattgov_actuator.decision import MEANING
from wattgov_actuator.snapshot import Snapshot

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
RELOAD = "/-/reload"
READ = ("/metrics", "/api/v1/decisions", "/api/v1/status", "/-/healthy", "/-/ready")
INDEX = "\n".join([*READ, f"{RELOAD} (POST)", ""])
RELAYED = ("x-forwarded-for", "forwarded", "via")

AskReload = Callable[[], tuple[str, ...] | None]
"""Reads the rules again and returns the mistakes; None when that takes too long."""


class Reply(NamedTuple):
    """One answer."""

    status: HTTPStatus
    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks; the names of the headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    host: str  # the address that it comes from


def _text(status: HTTPStatus, body: str, *headers: tuple[str, str]) -> Reply:
    return Reply(status, TEXT, body.encode(), headers)


READY = _text(HTTPStatus.OK, "ready\n")
NOT_READY = _text(HTTPStatus.SERVICE_UNAVAILABLE, "before the first tick\n")


class Answers:
    """Turns a question into a reply."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], registry: CollectorRegistry, reload: AskReload
    ) -> None:
        self._snapshot, self._registry, self._reload = snapshot, registry, reload

    def __call__(self, question: Question) -> Reply:
        """Return the answer to one request."""
        path = question.path.partition("?")[0]
        if path == RELOAD:
            return self._reloaded(question)
        if path != "/" and path not in READ:
            return _text(HTTPStatus.NOT_FOUND, f"no such page; there are:\n{INDEX}")
        if question.method == "POST":
            return _only("GET, HEAD")
        return self._page(path, question.headers.get("accept", ""))

    def _page(self, path: str, accept: str) -> Reply:
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return Reply(HTTPStatus.OK, kind, encode(self._registry))
        now = self._snapshot()
        match path:
            case "/api/v1/decisions":
                return Reply(HTTPStatus.OK, JSON, decisions(now))
            case "/api/v1/status":
                return Reply(HTTPStatus.OK, JSON, status(now))
            case "/-/healthy":
                return _text(HTTPStatus.OK, "healthy\n")
            case "/-/ready":
                return READY if now.ticks else NOT_READY
        return _text(HTTPStatus.OK, INDEX)

    def _reloaded(self, question: Question) -> Reply:
        if question.method != "POST":
            return _only("POST")
        if not _may_change(question):
            return _text(HTTPStatus.FORBIDDEN, "to reload, be a program on this host\n")
        mistakes = self._reload()
        if mistakes is None:
            return _text(HTTPStatus.GATEWAY_TIMEOUT, "not reloaded yet; see the log\n")
        if mistakes:
            text = "\n".join((*mistakes, "the old rules stay in force\n"))
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, text)
        return _text(HTTPStatus.OK, "reloaded\n")


def decisions(now: Snapshot) -> bytes:
    """Return the latest decision of every rule and target as JSON."""
    rows = [{**asdict(each), "meaning": MEANING[each.reason]} for each in now.decisions]
    return json.dumps({"enforcing": now.enforcing, "decisions": rows}, indent=1).encode()


def status(now: Snapshot) -> bytes:
    """Return how the actuator is as JSON."""
    told = {
        "enforcing": now.enforcing,
        "paused": None if now.pause is None else asdict(now.pause),
        "rules": None if now.reloads is None else asdict(now.reloads),
        "ticks": now.ticks,
        "open_undos": now.open_undos,
        "journal_trouble": now.journal_trouble or None,
        "last_query_success": now.last_success,
    }
    return json.dumps(told, indent=1).encode()


def _only(allowed: str) -> Reply:
    return _text(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed}\n", ("Allow", allowed))


def _may_change(question: Question) -> bool:
    """Tell whether the client is a program on this host.

    A web page in a browser here, or a proxy here that asks for somebody elsewhere, is not.
    """
    if any(name in question.headers for name in ("origin", *RELAYED)):
        return False
    address = ipaddress.ip_address(question.host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
