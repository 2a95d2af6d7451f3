"""Which pods have to leave a node before it is empty, and what keeps one from leaving; pure."""

from collections.abc import Iterable
from typing import NamedTuple

from wattgov_actuator.knobs.kubernetes.api import Thing

MIRROR = "kubernetes.io/config.mirror"  # a static pod: its kubelet makes it, and nobody else
SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
OVER = {"Succeeded", "Failed"}


class Terms(NamedTuple):
    """What an entry allows, and who asks."""

    scratch: bool  # files in an emptyDir may be lost
    me: str  # the pod that this actuator is, if it is one


def leaving(pods: Iterable[Thing]) -> list[Thing]:
    """Return those that run elsewhere once they are gone, in order.

    What a DaemonSet or a file of the node's own puts there belongs to it, and would come back at
    once; what has ended takes nothing.
    """
    found = (
        each
        for each in pods
        if _keeper(each).get("kind") != "DaemonSet"
        and MIRROR not in _notes(each)
        and each.get("status", {}).get("phase") not in OVER
    )
    return sorted(found, key=called)


def hindrance(pod: Thing, terms: Terms) -> str:
    """Say why a pod must not be evicted; empty where it may."""
    if pod["metadata"]["name"] == terms.me:
        return "it is this actuator"
    if not _keeper(pod):
        return "nobody manages it, so nobody would make it again"
    if _notes(pod).get(SAFE) == "false":
        return f"its {SAFE} says that it may not be evicted"
    volumes = pod["spec"].get("volumes") or []
    if not terms.scratch and any("emptyDir" in each for each in volumes):
        return "it has files in an emptyDir, which would be lost; allow delete_emptydir_data"
    return ""


def owner(pod: Thing) -> str:
    """Return who makes another one; empty where nobody does."""
    return str(_keeper(pod).get("uid", ""))


def called(pod: Thing) -> str:
    """Return its namespace and name."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def ending(pod: Thing) -> bool:
    """Tell whether it was told to end."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def _keeper(pod: Thing) -> Thing:
    """Return the owner that makes another one; empty where there is none."""
    owners: list[Thing] = pod["metadata"].get("ownerReferences") or []
    return next((each for each in owners if each.get("controller")), {})


def _notes(pod: Thing) -> Thing:
    return pod["metadata"].get("annotations") or {}
