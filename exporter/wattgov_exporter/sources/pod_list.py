"""A list of pods as a kubelet or the API server sends it: names kept, the rest let go. Pure.

A list is megabytes (several hundred pods, 10 kB each), and whole it would be ten times that in
memory. So it is read a pod at a time, and no more than one pod's text is held.

Source: Kubernetes API reference, PodList v1; pkg/kubelet/types/pod_update.go for the annotation.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from wattgov_exporter.reading import Pods

HASH = "kubernetes.io/config.hash"
"""Of a static pod: the uid in its cgroup's path. The API server's mirror of it has another uid."""

STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
ID_DIGITS = 12
"""So much of a container's id is looked up, as `apps.cgroups.container` returns it."""

MOST_HEAD_CHARS = 1 << 16
MOST_POD_CHARS = 4 << 20
"""More than etcd holds of one object (1.5 MiB)."""

_ITEMS = re.compile(r'"items"\s*:\s*(\[|null)')
_KIND = re.compile(r'"kind"\s*:\s*"PodList"')
_BETWEEN = re.compile(r"[\s,]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
"""DNS subdomain names, as far as it matters that nothing else becomes a label."""


def names(blocks: Iterable[bytes]) -> Pods:
    """Read a list that comes in *blocks*; ValueError when it is none, or ends too soon."""
    pods: dict[str, str] = {}
    containers: dict[str, str] = {}
    for pod in _items(codecs.iterdecode(blocks, "utf-8", "replace")):
        _enter(pod, pods, containers)
    return Pods(pods, containers)


def _items(parts: Iterator[str]) -> Iterator[Any]:
    """Yield each object of the list as soon as its text is there."""
    buffer, at = _head(parts)
    decode = json.JSONDecoder().raw_decode
    while True:
        between = _BETWEEN.match(buffer, at)
        at = between.end() if between else at
        if buffer.startswith("]", at):
            return
        try:
            item, at = decode(buffer, at)
        except RecursionError:
            raise ValueError("a pod is nested too deep") from None
        except ValueError:
            # It may only be cut here. What is no JSON at all grows too long, or ends.
            part = next(parts, None)
            if part is None or len(buffer) - at > MOST_POD_CHARS:
                raise ValueError("it breaks off in the middle, or is no JSON") from None
            buffer, at = buffer[at:] + part, 0
        else:
            yield item


def _head(parts: Iterator[str]) -> tuple[str, int]:
    """Return the text so far, and where in it the first pod begins; `]` where there is none."""
    buffer = ""
    while (found := _ITEMS.search(buffer)) is None:
        part = next(parts, None)
        if part is None or len(buffer) > MOST_HEAD_CHARS:
            raise ValueError("it is no list of pods")
        buffer += part
    if _KIND.search(buffer, 0, found.start()) is None:
        raise ValueError("it is a list, but not of pods")
    return ("]", 0) if found[1] == "null" else (buffer, found.end())


def _enter(pod: object, pods: dict[str, str], containers: dict[str, str]) -> None:
    """Note a pod's names; one that lacks them has none."""
    about = _mapping(_mapping(pod).get("metadata"))
    name = f"{_name(about.get('namespace'))}/{_name(about.get('name'))}"
    if name.startswith("/") or name.endswith("/"):
        return
    for uid in (about.get("uid"), _mapping(about.get("annotations")).get(HASH)):
        if isinstance(uid, str) and uid:
            pods[uid] = name
    status = _mapping(_mapping(pod).get("status"))
    for kind in STATUSES:
        several = status.get(kind)
        for one in several if isinstance(several, list) else ():
            number, container = _mapping(one).get("containerID"), _name(_mapping(one).get("name"))
            if isinstance(number, str) and container:
                # containerd://6af1...; nothing before it was created
                containers[number.rpartition("/")[2][:ID_DIGITS]] = f"{name}/{container}"


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(value: object) -> str:
    return value if isinstance(value, str) and _NAME.fullmatch(value) else ""
