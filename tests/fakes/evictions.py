"""Nodes, pods and budgets of the strict API server, and how it lets a pod be evicted."""

import json
from typing import TYPE_CHECKING, Any

from fakes.api import Reply, Request

if TYPE_CHECKING:
    from fakes.kubernetes import Cluster

Thing = dict[str, Any]
Refusal = tuple[int, str, str]


def node(labels: dict[str, str] | None = None, *, unschedulable: bool = False) -> Thing:
    """Return a node."""
    spec = {"unschedulable": True} if unschedulable else {}
    return {"metadata": {"labels": dict(labels or {})}, "spec": spec}


def pod(
    on: str,
    keeper: str = "ReplicaSet",
    *,
    phase: str = "Running",
    scratch: bool = False,
    notes: dict[str, str] | None = None,
) -> Thing:
    """Return a pod on a node, with what makes it anew; *notes* are its annotations."""
    owner = {"kind": keeper, "name": "owner", "uid": f"uid-of-{keeper}", "controller": True}
    owners = [owner] if keeper else []
    volumes = [{"name": "tmp", "emptyDir": {}}] if scratch else [{"name": "x", "configMap": {}}]
    return {
        "metadata": {
            "labels": {"app": "chat"},
            "annotations": dict(notes or {}),
            "ownerReferences": owners,
            "uid": f"uid-on-{on}",
        },
        "spec": {"nodeName": on, "volumes": volumes},
        "status": {"phase": phase},
    }


def budget(at_least: int, **labels: str) -> Thing:
    """Return a budget of the pods with these labels."""
    return {"spec": {"minAvailable": at_least, "selector": {"matchLabels": labels}}}


def evict(
    cluster: "Cluster", path: str, request: Request, query: dict[str, list[str]]
) -> Reply | Refusal:
    """Answer to an eviction: the pod is told to end, unless a budget forbids it."""
    name, body = path.rpartition("/")[2], json.loads(request.body)
    if (body.get("apiVersion"), body.get("kind")) != ("policy/v1", "Eviction"):
        return 400, "BadRequest", "no kind is registered for this version"
    if body.get("metadata", {}).get("name") != name:
        return 400, "BadRequest", "name in URL does not match name in Eviction object"
    if path not in cluster.things:
        return 404, "NotFound", f'pods "{name}" not found'
    thing = cluster.things[path]
    uid = body.get("deleteOptions", {}).get("preconditions", {}).get("uid")
    if uid not in {None, thing["metadata"]["uid"]}:
        return 409, "Conflict", "the UID in the precondition does not match the UID in record"
    refused = _forbidden(cluster, thing)
    if refused is None and "dryRun" not in query:
        _end(cluster, path, thing)
    return refused or Reply(201, {"kind": "Status", "status": "Success"})


def _forbidden(cluster: "Cluster", thing: Thing) -> Reply | Refusal | None:
    """Return what its budget says against it; two of them are one too many."""
    budgets = _budgets(cluster, thing)
    if len(budgets) > 1:
        words = "This pod has more than one PodDisruptionBudget, which the eviction subresource"
        return 500, "", f"{words} does not support."
    return _refused(cluster, budgets[0]) if budgets else None


def _budgets(cluster: "Cluster", thing: Thing) -> list[Thing]:
    return [
        each
        for path, each in cluster.things.items()
        if "/poddisruptionbudgets/" in path
        and each["metadata"]["namespace"] == thing["metadata"]["namespace"]
        and _matches(each, thing)
    ]


def _matches(each: Thing, thing: Thing) -> bool:
    wanted = each["spec"]["selector"]["matchLabels"]
    return bool(wanted.items() <= thing["metadata"]["labels"].items())


def _refused(cluster: "Cluster", each: Thing) -> Reply | None:
    """Return the refusal of a budget, in the words of the server."""
    healthy = sum(
        "/pods/" in path
        and _matches(each, thing)
        and thing["status"]["phase"] == "Running"
        and not thing["metadata"].get("deletionTimestamp")
        for path, thing in cluster.things.items()
    )
    needed = each["spec"]["minAvailable"]
    if healthy > needed:
        return None
    name = each["metadata"]["name"]
    cause = f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    details = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    body = {"kind": "Status", "status": "Failure", "reason": "TooManyRequests", "code": 429}
    return Reply(429, {**body, "message": message, "details": details})


def _end(cluster: "Cluster", where: str, thing: Thing) -> None:
    """Let it end, and its controller make another one, where a node takes it."""
    if cluster.lingering:
        thing["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    else:
        del cluster.things[where]
    meta = thing["metadata"]
    if not any(each.get("controller") for each in meta["ownerReferences"]):
        return
    free = [
        path.rpartition("/")[2]
        for path, each in sorted(cluster.things.items())
        if "/nodes/" in path and not each["spec"].get("unschedulable")
    ]
    new: Thing = json.loads(json.dumps(thing))
    new["metadata"].pop("deletionTimestamp", None)
    new["metadata"]["uid"] = f"{meta['uid']}+"
    new["spec"]["nodeName"] = free[0] if free else ""
    new["status"]["phase"] = "Running" if free else "Pending"
    cluster.add("v1", "pods", f"{meta['name']}x", new, meta["namespace"])
