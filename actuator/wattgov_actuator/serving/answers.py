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
Against = Callable[[Client, Mapping[str, str]], str]
LOGINS = "logins are in --web.config.file"
OTHERWISE = f"{LOGINS}; `wattgov-actuator pause` and `resume`, and `kill -HUP`, do the same"
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
        self._changes: Mapping[str, tuple[Change, Against]] = {
            "/-/reload": (changes.reload, _against_changing),
            "/api/v1/pause": (changes.pause, _against_changing),
            "/api/v1/resume": (changes.resume, _against_changing),
            "/api/v1/restore": (changes.restore, _against_changing),
            # Neither tightens anything, and who asks for them is often another user.
            "/api/v1/alerts": (alerts, _against_asking),
            WAKE: (changes.wake, _against_asking),
        }

    def __call__(self, request: Request, client: Client) -> Response:
        """Answer a client."""
        way = WAKE if request.path.startswith(WAKE) else request.path
        read, change = self._reads.get(way), self._changes.get(way)
        try:
            if change is not None:
                return _changed(*change, request, client)
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


def _against_asking(client: Client, headers: Mapping[str, str]) -> str:
    said = client.against_asking(headers)
    return said and f"{said} ({LOGINS})"


def _against_changing(client: Client, headers: Mapping[str, str]) -> str:
    said = client.against_changing(headers)
    return said and f"{said} ({OTHERWISE})"


def _changed(change: Change, against: Against, request: Request, client: Client) -> Response:
    if request.method != "POST":
        raise _not_allowed("POST")
    if said := against(client, request.headers):
        raise Refusal(HTTPStatus.FORBIDDEN, said)
    return change(request, client)


def _not_allowed(allowed: str) -> Refusal:
    return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed}", ("Allow", allowed))
