"""A strict API server of Kubernetes: versions, content types, rights, dry runs, and who scales.

Its controllers act at once: KEDA obeys its annotation, an HPA sets a number that is not its own
back, and a Job that is suspended loses its pods.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakes.api import Reply, Request

Thing = dict[str, Any]
PAUSED = "autoscaling.keda.sh/paused-replicas"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
BUILT_IN = ("apps/v1", "batch/v1", "autoscaling/v2", "coordination.k8s.io/v1")
CUSTOM = ("keda.sh/v1alpha1", "energy.io/v1alpha1")
SCALED = ("deployments", "statefulsets")
VERBS = {"GET": "get", "PATCH": "patch", "PUT": "update", "POST": "create"}


def place(group: str, resource: str, name: str = "", namespace: str = "shop") -> str:
    """Return the path of an object."""
    return f"/apis/{group}/namespaces/{namespace}/{resource}" + (f"/{name}" if name else "")


def deployment(replicas: int = 4) -> Thing:
    """Return a Deployment, all of whose pods are there."""
    return {"spec": {"replicas": replicas}, "status": {"replicas": replicas}}


def cron_job(*, suspend: bool = False, **labels: str) -> Thing:
    """Return a CronJob."""
    spec = {"schedule": "0 3 * * *", "suspend": suspend}
    return {"metadata": {"labels": labels}, "spec": spec, "status": {}}


def job(pods: int = 2, *, over: bool = False, **labels: str) -> Thing:
    """Return a Job with pods at work, or one that has ended."""
    ended = [{"type": "Complete", "status": "True"}] if over else []
    status = {"active": 0 if over else pods, "conditions": ended}
    spec = {"parallelism": pods, "suspend": False}  # as the server fills it in
    return {"metadata": {"labels": labels}, "spec": spec, "status": status}


def scaled_object(target: str, annotations: dict[str, str] | None = None, **spec: object) -> Thing:
    """Return a ScaledObject that owns a Deployment."""
    return {
        "metadata": {"annotations": dict(annotations or {})},
        "spec": {"scaleTargetRef": {"name": target}, "triggers": [{"type": "cpu"}], **spec},
    }


def autoscaler(target: str, wants: int = 4) -> Thing:
    """Return an HPA that keeps a Deployment at a number."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "spec": {"scaleTargetRef": ref, "maxReplicas": 10},
        "status": {"desiredReplicas": wants},
    }


@dataclass
class Cluster:
    """What is in it by path, and how it behaves."""

    things: dict[str, Thing] = field(default_factory=dict)
    token: str = ""
    denied: set[tuple[str, str]] = field(default_factory=set)  # verb and resource
    keda: bool = True  # its resources are known
    busy: int = 0  # so many requests are answered with 429
    retry_after: str = "0"
    wants: int = 4  # replicas, by KEDA while it is not paused
    at_patch: Callable[["Cluster", str], None] | None = None  # somebody else comes first, once
    asked: list[tuple[str, str, object]] = field(default_factory=list)  # verb, path, body
    version: int = 100

    def __post_init__(self) -> None:
        """Give a version to what has none."""
        for each in self.things.values():
            each["metadata"].setdefault("resourceVersion", str(self.version))

    @property
    def state(self) -> dict[str, Thing]:
        """What is in it, less the versions, which never come back."""
        whole = {path: json.loads(json.dumps(thing)) for path, thing in self.things.items()}
        for each in whole.values():
            del each["metadata"]["resourceVersion"]
        return whole

    def add(
        self, group: str, resource: str, name: str, thing: Thing, namespace: str = "shop"
    ) -> Thing:
        """Put an object in place, and return it."""
        self.version += 1
        thing.setdefault("metadata", {}).setdefault("annotations", {})
        thing.setdefault("status", {})
        meta = {"name": name, "namespace": namespace, "resourceVersion": str(self.version)}
        thing["metadata"].update(meta)
        self.things[place(group, resource, name, namespace)] = thing
        return thing

    def at(self, group: str, resource: str, name: str) -> Thing:
        """Return an object of the cluster, now."""
        return self.things[place(group, resource, name)]

    def replicas(self, name: str = "chat") -> int:
        """Return how many a Deployment shall have."""
        return int(self.at("apps/v1", "deployments", name)["spec"]["replicas"])

    def __call__(self, request: Request) -> Reply:
        """Answer as the API server does: who, may they, is it there, is it good."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized", "Unauthorized")
        if self.busy:
            self.busy -= 1
            said = _status(429, "TooManyRequests", "too many requests, please try again later")
            return Reply(429, said.body, {"Retry-After": self.retry_after})
        split = urlsplit(request.path).path.split("/")
        if len(split) < 7 or split[1] != "apis" or split[4] != "namespaces":
            return Reply(404, b"404 page not found", {"Content-Type": "text/plain"})
        group, resource, rest = f"{split[2]}/{split[3]}", split[6], split[7:]
        verb = "list" if request.verb == "GET" and not rest else VERBS[request.verb]
        full = "/".join([resource, *rest[1:]])
        self.asked.append((verb, request.path, request.json() if request.body else None))
        if (verb, full) in self.denied:
            words = f'{full}.{split[2]} is forbidden: User "wattgov" cannot {verb} "{full}"'
            return _status(403, "Forbidden", f'{words} in the namespace "{split[5]}"')
        return self._routed(verb, group, "/".join(split[:7]), rest, request)

    def _routed(
        self, verb: str, group: str, whole: str, rest: list[str], request: Request
    ) -> Reply:
        if group not in BUILT_IN and not (group in CUSTOM and self.keda):
            return Reply(404, b"404 page not found", {"Content-Type": "text/plain"})
        query = parse_qs(urlsplit(request.path).query)
        if verb == "list":
            return self._listed(whole, query)
        if verb == "create":
            return self._created(whole, request)
        return self._one(f"{whole}/{rest[0]}", rest[1:], group, request, query)

    def _listed(self, whole: str, query: dict[str, list[str]]) -> Reply:
        labels = dict(
            each.split("=") for each in query.get("labelSelector", [""])[0].split(",") if each
        )
        fields = query.get("fieldSelector", [""])[0].removeprefix("metadata.name=")
        found = [
            thing
            for path, thing in sorted(self.things.items())
            if path.rpartition("/")[0] == whole
            and labels.items() <= thing["metadata"].get("labels", {}).items()
            and fields in {"", thing["metadata"]["name"]}
        ]
        return Reply(200, {"kind": "List", "metadata": {}, "items": found})

    def _created(self, whole: str, request: Request) -> Reply:
        body = json.loads(request.body)
        name = body["metadata"]["name"]
        if f"{whole}/{name}" in self.things:
            return _status(409, "AlreadyExists", f'"{name}" already exists')
        _, _, *group, _, namespace, resource = whole.split("/")
        thing = {**body, "metadata": {"name": name}}
        return Reply(201, self.add("/".join(group), resource, name, thing, namespace))

    def _one(
        self,
        path: str,
        part: list[str],
        group: str,
        request: Request,
        query: dict[str, list[str]],
    ) -> Reply:
        if request.verb == "PATCH" and self.at_patch is not None:
            first, self.at_patch = self.at_patch, None
            first(self, path)
        if path not in self.things or part not in ([], ["scale"]):
            return _status(404, "NotFound", f'"{path.rpartition("/")[2]}" not found')
        scale = part == ["scale"]
        if scale and path.split("/")[-2] not in SCALED:
            return _status(404, "NotFound", "the server could not find the requested resource")
        old = self.things[path]
        if request.verb == "GET":
            return Reply(200, _scale(old) if scale else old)
        kind = request.headers.get("Content-Type", "")
        if request.verb == "PATCH" and kind not in (
            {MERGE, STRATEGIC} if group in BUILT_IN else {MERGE}
        ):
            return _status(415, "UnsupportedMediaType", f"the body of the request was in {kind}")
        change = json.loads(request.body)
        return self._written(path, old, change, request.verb, query, scale=scale)

    def _written(
        self,
        path: str,
        old: Thing,
        change: Thing,
        verb: str,
        query: dict[str, list[str]],
        *,
        scale: bool,
    ) -> Reply:
        if query.get("dryRun", ["All"]) != ["All"]:
            return _status(400, "BadRequest", "dryRun: Unsupported value")
        given = change.get("metadata", {}).get("resourceVersion")
        if given not in {None, old["metadata"]["resourceVersion"]} or (verb == "PUT" and not given):
            words = "the object has been modified; please apply your changes to the latest version"
            return _status(409, "Conflict", f"Operation cannot be fulfilled: {words}")
        new: Thing = change if verb == "PUT" else _merged(old, change)
        new["metadata"] = {**old["metadata"], **new["metadata"]}
        new["metadata"].setdefault("annotations", {})
        new["status"] = old.get("status", {})  # has a subresource of its own
        replicas = new["spec"].get("replicas", 0)
        if scale and (not isinstance(replicas, int) or replicas < 0):
            return _status(422, "Invalid", "spec.replicas: must be greater than or equal to 0")
        if "dryRun" not in query:
            self.version += 1
            new["metadata"]["resourceVersion"] = str(self.version)
            self.things[path] = new
            self._settle(path)
        return Reply(200, _scale(new) if scale else new)

    def _settle(self, path: str) -> None:
        """Let the controllers do their work."""
        thing = self.things[path]
        if "/jobs/" in path:
            pods = 0 if thing["spec"].get("suspend") else thing["spec"]["parallelism"]
            thing["status"]["active"] = pods
        for where, each in self.things.items():
            if "/scaledobjects/" not in where and "/horizontalpodautoscalers/" not in where:
                continue
            goal = place("apps/v1", "deployments", each["spec"]["scaleTargetRef"]["name"])
            scaled = self.things[goal]["spec"]
            if "/horizontalpodautoscalers/" in where and scaled["replicas"] > 0:
                scaled["replicas"] = each["status"]["desiredReplicas"]
            if "/scaledobjects/" in where:
                paused = each["metadata"]["annotations"].get(PAUSED)
                scaled["replicas"] = self.wants if paused is None else int(paused)
        if "/deployments/" in path or "/statefulsets/" in path:
            thing["status"] = {"replicas": thing["spec"]["replicas"]}


def _scale(thing: Thing) -> Thing:
    """Return the subresource; as Go writes it, a number that is 0 is left out."""
    spec, status = ({"replicas": thing[part]["replicas"]} for part in ("spec", "status"))
    return {
        "kind": "Scale",
        "metadata": thing["metadata"],
        "spec": {key: each for key, each in spec.items() if each},
        "status": status,
    }


def _merged(old: object, change: object) -> Any:  # noqa: ANN401 (RFC 7396: of any kind)
    if not isinstance(change, dict):
        return change
    into = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = _merged(into.get(key), value)
    return into


def _status(code: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason}
    return Reply(code, {**body, "code": code})
