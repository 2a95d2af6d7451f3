"""The paths of the service: what is shown to whom, and who may ask for what."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.serving import facts
from wattgov_actuator.serving.alerts import Alerts
from wattgov_actuator.serving.changes import WAKE, Changes
from wattgov_actuator.serving.html import PAGES, page
from wattgov_actuator.serving.questions import chosen, parameters
from wattgov_actuator.serving.replies import Refusal, data, refused, text
from wattgov_web.client import Client
from wattgov_web.request import Request, Response

Read = Callable[[Request, Snapshot], Response]
Change = Callable[[Request, Client], Response]
FACTS: Mapping[str, Callable[[Snapshot], object]] = {
    "/api/v1/status": facts.status,
    "/api/v1/rules": lambda now: {"groups": facts.groups(now)},
    "/api/v1/targets": lambda now: {"targets": facts.targets(now)},
    "/api/v1/knobs": lambda now: {"knobs": facts.knobs(now)},
}


class Answers:
    """Turns a request into a response."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        registry: CollectorRegistry,
        changes: Changes,
        alerts: Alerts,
    ) -> None:
        self._snapshot, self._registry = snapshot, registry
        self._reads: Mapping[str, Read] = {
            **dict.fromkeys(PAGES, page),
            "/metrics": self._metrics,
            **dict.fromkeys(FACTS, _fact),
            "/api/v1/decisions": _decisions,
            "/-/healthy": lambda _, __: text(HTTPStatus.OK, "healthy\n"),
            "/-/ready": _ready,
        }
        self._changes: Mapping[str, Change] = {
            "/-/reload": changes.reload,
            "/api/v1/pause": changes.pause,
            "/api/v1/resume": changes.resume,
            "/api/v1/restore": changes.restore,
            "/api/v1/alerts": alerts,
            WAKE: changes.wake,
        }

    def __call__(self, request: Request, client: Client) -> Response:
        """Answer a client."""
        way = WAKE if request.path.startswith(WAKE) else request.path
        read, change = self._reads.get(way), self._changes.get(way)
        try:
            if change is not None:
                return _changed(change, request, client)
            if read is not None:
                return self._shown(read, request)
        except Refusal as refusal:
            return refused(refusal)
        known = "\n".join((*self._reads, *(f"{path} (POST)" for path in self._changes), ""))
        return text(HTTPStatus.NOT_FOUND, f"no such page; there are:\n{known}")

    def _shown(self, read: Read, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            raise _not_allowed("GET, HEAD")
        return read(request, self._snapshot())

    def _metrics(self, request: Request, _: Snapshot) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(HTTPStatus.OK, encode(self._registry), kind)


def _fact(request: Request, now: Snapshot) -> Response:
    parameters(request.query, ())
    return data(FACTS[request.path](now))


def _decisions(request: Request, now: Snapshot) -> Response:
    picked = replace(now, decisions=tuple(chosen(request.query)(now.decisions)))
    return data({"enforcing": now.enforcing, "decisions": facts.decisions(picked)})


def _ready(_: Request, now: Snapshot) -> Response:
    if now.ticks:
        return text(HTTPStatus.OK, "ready\n")
    return text(HTTPStatus.SERVICE_UNAVAILABLE, "before the first tick\n")


def _changed(change: Change, request: Request, client: Client) -> Response:
    if request.method != "POST":
        raise _not_allowed("POST")
    if not client.may_change(request.headers):
        sentence = "to change anything, log in, or be a program on this host"
        raise Refusal(HTTPStatus.FORBIDDEN, sentence)
    return change(request, client)


def _not_allowed(allowed: str) -> Refusal:
    return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed}", ("Allow", allowed))
