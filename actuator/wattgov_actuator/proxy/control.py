"""The control listener: metrics and state for all, orders for those who may give them."""

import hmac
import ipaddress
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from wattgov_actuator.proxy.answer import error_answer
from wattgov_actuator.proxy.exposition import Exposition
from wattgov_actuator.proxy.gate import Gate
from wattgov_actuator.proxy.secret import Unreadable, read

MOST_BYTES = 65_536
WAIT_SECONDS, MOST_WAIT_SECONDS = 30.0, 600.0
RELAYED = ("Origin", "X-Forwarded-For", "Forwarded", "Via")
INDEX = "/metrics\n/api/v1/state\n/api/v1/limit (PUT)\n/api/v1/hold (POST)\n/api/v1/open (POST)\n"


class Control:
    """Who may ask for what, and what the answer is."""

    def __init__(
        self, app: str, gate: Gate, exposition: Exposition, token_file: Path | None
    ) -> None:
        self._app, self._gate, self._token_file = app, gate, token_file
        self._registry = exposition.registry()

    def application(self) -> web.Application:
        """Return the pages."""
        pages = web.Application(client_max_size=MOST_BYTES, middlewares=[_in_words])
        pages.add_routes(
            [
                web.get("/", self._index),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/state", self._state),
                web.put("/api/v1/limit", self._changing(self._limit)),
                web.post("/api/v1/hold", self._changing(self._hold)),
                web.post("/api/v1/open", self._changing(self._open)),
            ]
        )
        return pages

    def state(self, why: str | None = None) -> Mapping[str, object]:
        """Return how it is now."""
        gate = self._gate
        told = {
            "app": self._app,
            "limit": gate.limit,
            "in_flight": gate.in_flight,
            "queued": gate.queued,
            "held": gate.held_by is not None,
            "held_by": gate.held_by,
            "idle_seconds": round(gate.idle_seconds, 3),
            "last_request": gate.last_request,
        }
        return told if why is None else {**told, "why": why}

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=INDEX)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": kind})

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(self.state())

    def _changing(self, change: "Change") -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            try:
                refusal = self._refused(request)
                return refusal or await change(_fields(await request.read()))
            except Unreadable as error:
                return error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(error), "token_file")
            except ValueError as error:
                return error_answer(HTTPStatus.BAD_REQUEST, str(error), "bad_body")

        return handler

    async def _limit(self, given: Mapping[str, object]) -> web.Response:
        _only(given, {"limit"})
        if "limit" not in given:
            raise ValueError("`limit` is missing: a whole number from 1, or null")
        limit = given["limit"]
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"`limit` is a whole number from 1, or null, not {json.dumps(limit)}")
        self._gate.limit = limit if isinstance(limit, int) else None
        return web.json_response(self.state())

    async def _hold(self, given: Mapping[str, object]) -> web.Response:
        _only(given, {"wait_seconds", "only_if_idle_seconds"})
        wait = _seconds(given, "wait_seconds", WAIT_SECONDS, MOST_WAIT_SECONDS)
        idle = _seconds(given, "only_if_idle_seconds", 0.0, math.inf)
        why = await self._gate.hold(wait, idle)
        status = HTTPStatus.OK if why is None else HTTPStatus.CONFLICT
        return web.json_response(self.state(why), status=status)

    async def _open(self, given: Mapping[str, object]) -> web.Response:
        _only(given, set())
        self._gate.open()
        return web.json_response(self.state())

    def _refused(self, request: web.Request) -> web.Response | None:
        """Return what is said to one who may not change anything."""
        if self._token_file is not None:
            given = request.headers.get("Authorization", "").encode()
            if hmac.compare_digest(given, b"Bearer " + read(self._token_file).encode()):
                return None
            return error_answer(HTTPStatus.UNAUTHORIZED, "a bearer token is needed", "token")
        if _program_here(request):
            return None
        text = "be a program on this host, or start the proxy with --token-file"
        return error_answer(HTTPStatus.FORBIDDEN, text, "not_from_here")


Change = Callable[[Mapping[str, object]], Awaitable[web.Response]]


@web.middleware
async def _in_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Say what the library refuses as everything else is said."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        answer = error_answer(error.status, f"{error.reason}; there are: {INDEX}", "no_such_page")
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


def _only(given: Mapping[str, object], known: set[str]) -> None:
    """Raise ValueError for a field that means nothing."""
    if unknown := given.keys() - known:
        there = ", ".join(sorted(known)) or "none"
        raise ValueError(f"unknown field {min(unknown)!r}; there are: {there}")


def _fields(body: bytes) -> Mapping[str, object]:
    try:
        given = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004 (of the input, not ours)
    return given


def _seconds(given: Mapping[str, object], name: str, default: float, most: float) -> float:
    value = given.get(name, default)
    fits = type(value) in {int, float} and isinstance(value, int | float) and 0 <= value <= most
    if not fits or not math.isfinite(float(str(value))):
        bound = f" up to {most:g}" if math.isfinite(most) else ""
        raise ValueError(f"`{name}` is a number of seconds{bound}, not {json.dumps(value)}")
    return float(str(value))


def _program_here(request: web.Request) -> bool:
    """Tell whether the client is a program on this host.

    A web page in a browser here, or a proxy here that asks for somebody elsewhere, is not.
    """
    if any(name in request.headers for name in RELAYED) or not request.remote:
        return False
    address = ipaddress.ip_address(request.remote.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
