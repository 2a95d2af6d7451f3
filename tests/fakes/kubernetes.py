"""A strict API server of Kubernetes: versions, content types, rights, dry runs, and who scales.

Its controllers act at once: KEDA obeys its annotation, an HPA sets a number that is not its own
back, a Job that is suspended loses its pods, and a pod that was evicted is made again elsewhere.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from fakes.api import Reply, Request
from fakes.evictions import evict
from fakes.objects import Thing, belongs, field_of, merged, parted, place, scale_of
from fakes.watches import Changes

PAUSED = "autoscaling.keda.sh/paused-replicas"
FROZEN = "autoscaling.keda.sh/paused"  # where it is; a number goes before it
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
BUILT_IN = ("apps/v1", "batch/v1", "autoscaling/v2", "coordination.k8s.io/v1", "v1", "policy/v1")
CUSTOM = ("keda.sh/v1alpha1", "energy.io/v1alpha1")
SCALED = ("deployments", "statefulsets")
VERBS = {"GET": "get", "PATCH": "patch", "PUT": "update", "POST": "create"}
UNKNOWN = Reply(404, b"404 page not found", {"Content-Type": "text/plain"})


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
    away: int = 0  # so many requests are answered with 503
    busy: int = 0  # so many requests are answered with 429
    retry_after: str = "0"
    wants: int = 4  # replicas, by KEDA while it is not paused
    at_patch: Callable[["Cluster", str], None] | None = None  # somebody else comes first, once
    at_eviction: Callable[["Cluster", str], None] | None = None  # the same
    lingering: bool = False  # a pod that is told to end goes on until `bury`
    page: int = 0  # objects in one answer to a list; 0: as many as are asked for
    asked: list[tuple[str, str, object]] = field(default_factory=list)  # verb, path, body
    version: int = 100
    changes: Changes = field(default_factory=Changes)

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
        where = place(group, resource, name, namespace)
        kind = "MODIFIED" if where in self.things else "ADDED"
        self.things[where] = thing
        self.changes.tell(self.version, where.rpartition("/")[0], kind, thing)
        return thing

    def remove(self, group: str, resource: str, name: str, namespace: str = "shop") -> None:
        """Delete an object; what is told of it has the version of its deletion."""
        self.version += 1
        where = place(group, resource, name, namespace)
        thing = self.things.pop(where)
        thing["metadata"]["resourceVersion"] = str(self.version)
        self.changes.tell(self.version, where.rpartition("/")[0], "DELETED", thing)

    def bookmark(self) -> None:
        """Tell every watch how far it is."""
        self.version += 1
        meta = {"resourceVersion": str(self.version)}
        self.changes.tell(self.version, "", "BOOKMARK", {"metadata": meta})

    def at(self, group: str, resource: str, name: str) -> Thing:
        """Return an object of the cluster, now."""
        return self.things[place(group, resource, name)]

    def replicas(self, name: str = "chat") -> int:
        """Return how many a Deployment shall have."""
        return int(self.at("apps/v1", "deployments", name)["spec"]["replicas"])

    def __call__(self, request: Request) -> Reply:
        """Answer as the API server does: who, may they, is it there, is it good."""
        if said := self._unwilling(request):
            return said
        parts = parted(request.path)
        if parts is None:
            return UNKNOWN
        group, namespace, resource, rest = parts
        verb = "list" if request.verb == "GET" and not rest else VERBS[request.verb]
        verb = "watch" if verb == "list" and "watch=1" in request.path else verb
        full = "/".join([resource, *rest[1:]])
        self.asked.append((verb, request.path, request.json() if request.body else None))
        if (verb, full) in self.denied:
            words = f'{full}.{group} is forbidden: User "wattgov" cannot {verb} "{full}"'
            return _status(403, "Forbidden", f'{words} in the namespace "{namespace}"')
        if group not in BUILT_IN and not (group in CUSTOM and self.keda):
            return UNKNOWN
        return self._routed(verb, parts, request)

    def _unwilling(self, request: Request) -> Reply | None:
        """Return the answer to whoever is not known, or comes at a bad time."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized", "Unauthorized")
        if self.away:
            self.away -= 1
            return Reply(503, b"no healthy upstream", {"Content-Type": "text/plain"})
        if self.busy:
            self.busy -= 1
            said = _status(429, "TooManyRequests", "too many requests, please try again later")
            return Reply(429, said.body, {"Retry-After": self.retry_after})
        return None

    def _routed(self, verb: str, parts: tuple[str, str, str, list[str]], request: Request) -> Reply:
        group, namespace, resource, rest = parts
        query = parse_qs(urlsplit(request.path).query)
        whole = place(group, resource, namespace=namespace)
        if verb == "watch":
            return self.changes.watch(whole, query)
        if verb == "list":
            return self._listed(whole, group, resource, query)
        if verb == "create" and rest[1:] == ["eviction"]:
            if self.at_eviction is not None:
                first, self.at_eviction = self.at_eviction, None
                first(self, f"{whole}/{rest[0]}")
            reply = evict(self, f"{whole}/{rest[0]}", request, query)
            return reply if isinstance(reply, Reply) else _status(*reply)
        if verb == "create":
            return self._created(whole, request)
        return self._one(f"{whole}/{rest[0]}", rest[1:], group, request, query)

    def _listed(self, whole: str, group: str, resource: str, query: dict[str, list[str]]) -> Reply:
        labels = dict(
            each.split("=") for each in query.get("labelSelector", [""])[0].split(",") if each
        )
        field, _, wanted = query.get("fieldSelector", [""])[0].partition("=")
        if field not in {"", "metadata.name", "spec.nodeName", "status.phase"}:
            return _status(400, "BadRequest", f"field label not supported: {field}")
        found = [
            thing
            for path, thing in sorted(self.things.items())
            if belongs(path, whole, group, resource)
            and labels.items() <= thing["metadata"].get("labels", {}).items()
            and (not field or wanted == field_of(thing, field))
        ]
        first = int(query.get("continue", ["0"])[0])
        size = min(int(query.get("limit", ["500"])[0]), self.page or 500)
        meta = {"resourceVersion": str(self.version)}
        if first + size < len(found):
            meta["continue"] = str(first + size)
        return Reply(200, {"kind": "List", "metadata": meta, "items": found[first : first + size]})

    def _created(self, whole: str, request: Request) -> Reply:
        body = json.loads(request.body)
        name = body["metadata"]["name"]
        if f"{whole}/{name}" in self.things:
            return _status(409, "AlreadyExists", f'"{name}" already exists')
        parts = parted(whole)
        assert parts is not None
        group, namespace, resource, _ = parts
        thing = {**body, "metadata": {"name": name}}
        return Reply(201, self.add(group, resource, name, thing, namespace))

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
            return Reply(200, scale_of(old) if scale else old)
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
        new: Thing = change if verb == "PUT" else merged(old, change)
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
        return Reply(200, scale_of(new) if scale else new)

    def bury(self) -> None:
        """Let the pods end that were told to."""
        for path, each in list(self.things.items()):
            if each["metadata"].get("deletionTimestamp"):
                del self.things[path]

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
            notes = each["metadata"]["annotations"]
            if "/scaledobjects/" in where and PAUSED in notes:
                scaled["replicas"] = int(notes[PAUSED])
            elif "/scaledobjects/" in where and notes.get(FROZEN) != "true":
                scaled["replicas"] = self.wants
        if "/deployments/" in path or "/statefulsets/" in path:
            thing["status"] = {"replicas": thing["spec"]["replicas"]}


def _status(code: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason}
    return Reply(code, {**body, "code": code})
