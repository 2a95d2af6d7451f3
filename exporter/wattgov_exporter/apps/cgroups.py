"""What a process's control groups tell: paths of /proc/PID/cgroup, v1, v2 and both. Pure.

Whoever has a subtree of his own (any user of systemd) makes paths of 4 KiB in it: so each element
is looked at by itself and once, in time that grows with the path, not with its square.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence

MOST_ELEMENTS = 64
"""So many elements of a path are looked at; a pod of a cluster in a container has 8."""

Found = tuple[int, str]
"""How far down something stands, and its name."""

_DELETED = " (deleted)"
_CONTAINER = re.compile(r"(?:^|[:-])(?<!conmon-)([0-9a-f]{64})(?:\.scope)?$")
_POD = re.compile(
    r"(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
    r"(?:\.slice)?(?=:|$)"
)
_MACHINE = re.compile(r"(?:systemd-nspawn@(.+)\.service|machine-(.+)\.scope|lxc\.payload\.(.+))")
_LXC = frozenset({"lxc", "lxc.payload"})
"""Folders of all LXC containers, where each has its name below (before LXC 4)."""

_DASH = r"\x2d"
"""How systemd writes the `-` of a name in the name of a unit."""

_JOB = re.compile(r"job_([0-9]+)")


def paths(text: str) -> tuple[str, ...]:
    """Return the process's paths in all hierarchies (cgroups(7)); a line is `id:names:path`."""
    lines = (line.split(":", 2) for line in text.split("\n") if line.count(":") > 1)
    return tuple(path.removesuffix(_DELETED) for _, _, path in lines)


def below(path: str, glob: str) -> bool:
    """Tell whether a path, or one above it, fits."""
    top = glob.rstrip("/")
    return fnmatch.fnmatchcase(path, top) or fnmatch.fnmatchcase(path, f"{top}/*")


def pod_uid(groups: tuple[str, ...]) -> str | None:
    """Return the uid of the pod, with dashes; a static pod's is 32 hex digits without any.

    The systemd driver writes `_` for `-` and repeats the path in each slice's name.
    """
    found = _deepest(_pods, groups)
    return None if found is None else found.replace("_", "-")


def container(groups: tuple[str, ...]) -> str | None:
    """Return the first 12 digits of the container's id, as `docker ps` and `crictl ps` show it.

    Every runtime writes 64 hex digits, with or without its own name before and `.scope` after.
    A conmon beside the container is no part of it.
    """
    return _deepest(_containers, groups)


def unit(groups: tuple[str, ...]) -> str | None:
    """Return the systemd service, of the system or of a user; a login session is none.

    A service of another systemd, in a machine or container, has that one's name before its own: it
    may be called as one of this host is.
    """
    return _deepest(_units, groups)


def slurm_job(groups: tuple[str, ...]) -> str | None:
    """Return the number of the Slurm job."""
    return _deepest(_jobs, groups)


def _deepest(
    find: Callable[[Sequence[str]], Iterator[Found]], groups: tuple[str, ...]
) -> str | None:
    """Return what stands farthest down: a container in a container is the inner one."""
    depth, name = -1, None
    for path in groups:
        for at, found in find(path.split("/", MOST_ELEMENTS)[:MOST_ELEMENTS]):
            if at > depth:
                depth, name = at, found
    return name


def _pods(elements: Sequence[str]) -> Iterator[Found]:
    for depth, element in enumerate(elements):
        found = _POD.search(element)
        if found and (found.start(1) == len("pod") or "kubepods" in element[: found.start()]):
            yield depth, found[1]


def _containers(elements: Sequence[str]) -> Iterator[Found]:
    for depth, element in enumerate(elements):
        if found := _CONTAINER.search(element):
            yield depth, found[1][:12]


def _units(elements: Sequence[str]) -> Iterator[Found]:
    if "session.slice" in elements:
        return
    inside = above = ""
    for depth, element in enumerate(elements):
        if element.endswith(".service") and not element.startswith("user@"):
            yield depth, inside + element
        if machine := _machine(element, above):
            inside += f"{machine}/"
        above = element


def _machine(element: str, above: str) -> str | None:
    """Return the name of what has a systemd of its own: nspawn's machine, LXC's, any container."""
    if above in _LXC:
        return element
    if found := _MACHINE.fullmatch(element):
        return found[found.lastindex or 0].replace(_DASH, "-")
    found = _CONTAINER.search(element)
    return found[1][:12] if found else None


def _jobs(elements: Sequence[str]) -> Iterator[Found]:
    """Yield jobs, each below a folder of Slurm's own: `job_7` alone may be anybody's."""
    below_slurm = False
    for depth, element in enumerate(elements):
        if below_slurm and (found := _JOB.fullmatch(element)):
            yield depth, found[1]
            below_slurm = False
        below_slurm = below_slurm or "slurm" in element
