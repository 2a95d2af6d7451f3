"""The control listener: metrics and state for all, orders for those who may give them."""

import asyncio
import hmac
import json
import math
import os
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from wattgov_actuator.proxy.answer import error_answer
from wattgov_actuator.proxy.exposition import Exposition
from wattgov_actuator.proxy.gate import Gate
from wattgov_actuator.proxy.secret import Unreadable, read
from wattgov_web.client import ROOT, Client, is_loopback
from wattgov_web.hosts import known
from wattgov_web.peer import Ends

MOST_BYTES = 65_536
WAIT_SECONDS, MOST_WAIT_SECONDS = 30.0, 600.0
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
        pages = web.Application(client_max_size=MOST_BYTES, middlewares=[_in_words, _named])
        pages.add_routes(
            [
                web.get("/", self._index),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/state", self._state),
                web.put("/api/v1/limit", self._changing(self._limit, Client.against_changing)),
                web.post("/api/v1/hold", self._changing(self._hold, Client.against_changing)),
                web.post("/api/v1/open", self._changing(self._open, Client.against_asking)),
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

    def _changing(
        self, change: "Change", against: "Against"
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            try:
                refusal = await self._refused(request, against)
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

    async def _refused(self, request: web.Request, against: "Against") -> web.Response | None:
        """Return what is said to one who may not change anything."""
        if self._token_file is not None:
            given = request.headers.get("Authorization", "").encode()
            if hmac.compare_digest(given, b"Bearer " + read(self._token_file).encode()):
                return None
            return error_answer(HTTPStatus.UNAUTHORIZED, "a bearer token is needed", "token")
        headers = {name.lower(): value for name, value in request.headers.items()}
        # In a thread: the kernel's table of sockets is as long as there are clients.
        said = await asyncio.to_thread(against, _client(request), headers)
        if not said:
            return None
        return error_answer(
            HTTPStatus.FORBIDDEN, f"{said} (--token-file has the login)", "not_from_here"
        )


Change = Callable[[Mapping[str, object]], Awaitable[web.Response]]
Against = Callable[[Client, Mapping[str, str]], str]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say what the library refuses as everything else is said."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        answer = error_answer(error.status, f"{error.reason}; there are: {INDEX}", "no_such_page")
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


@web.middleware
async def _named(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer no web page that has pointed its own name at this machine (DNS rebinding)."""
    host = request.headers.get("Host", "")
    if is_loopback(_ends(request).here[0]) and not known(host, (os.uname().nodename,)):
        text = "the Host asked for is not this machine's: ask by an address or localhost"
        return error_answer(HTTPStatus.MISDIRECTED_REQUEST, text, "not_this_host")
    return await handler(request)


def _ends(request: web.Request) -> Ends:
    if request.transport is None:
        raise web.HTTPBadRequest  # who asks has gone
    peer, here = (request.transport.get_extra_info(each) for each in ("peername", "sockname"))
    return Ends(peer[:2], here[:2])


def _client(request: web.Request) -> Client:
    ends = _ends(request)
    return Client(ends.peer[0], owner=ends.owner, owners=(ROOT, os.geteuid()))


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
