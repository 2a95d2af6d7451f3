"""What a process's control groups tell: paths of /proc/PID/cgroup, v1, v2 and both. Pure."""

import fnmatch
import re

_DELETED = " (deleted)"
_CONTAINER = re.compile(r"[/:-](?<!conmon-)([0-9a-f]{64})(?:\.scope)?(?=/|$)")
_POD = re.compile(
    r"(?:kubepods.*?[/-]|/)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
    r"(?:\.slice)?(?=[/:]|$)"
)
_UNIT = re.compile(r"/(?!user@)([^/]+\.service)(?=/|$)")
_DESKTOP = re.compile(r"/session\.slice(?=/|$)")
_SLURM = re.compile(r"/[^/]*slurm[^/]*(?:/[^/]+)*?/job_(\d+)(?=/|$)")


def paths(text: str) -> tuple[str, ...]:
    """Return the process's paths in all hierarchies (cgroups(7)); a line is `id:names:path`."""
    lines = (line.split(":", 2) for line in text.splitlines() if line.count(":") > 1)
    return tuple(path.removesuffix(_DELETED) for _, _, path in lines)


def below(path: str, glob: str) -> bool:
    """Tell whether a path, or one above it, fits."""
    top = glob.rstrip("/")
    return fnmatch.fnmatchcase(path, top) or fnmatch.fnmatchcase(path, f"{top}/*")


def pod_uid(groups: tuple[str, ...]) -> str | None:
    """Return the uid of the pod, with dashes; a static pod's is 32 hex digits without any.

    The systemd driver writes `_` for `-` and repeats the path in each slice's name.
    """
    found = _deepest(_POD, groups)
    return None if found is None else found.replace("_", "-")


def container(groups: tuple[str, ...]) -> str | None:
    """Return the first 12 digits of the container's id, as `docker ps` and `crictl ps` show it.

    Every runtime writes 64 hex digits, with or without its own name before and `.scope` after.
    A conmon beside the container is no part of it.
    """
    found = _deepest(_CONTAINER, groups)
    return None if found is None else found[:12]


def unit(groups: tuple[str, ...]) -> str | None:
    """Return the systemd service, of the system or of a user; a login session is none."""
    return _deepest(_UNIT, tuple(path for path in groups if not _DESKTOP.search(path)))


def slurm_job(groups: tuple[str, ...]) -> str | None:
    """Return the number of the Slurm job."""
    return _deepest(_SLURM, groups)


def _deepest(pattern: re.Pattern[str], groups: tuple[str, ...]) -> str | None:
    """Return what fits farthest down: a container in a container is the inner one."""
    depth, found = -1, None
    for path in groups:
        for match in pattern.finditer(path):
            below_root = path.count("/", 0, match.start(1))
            if below_root > depth:
                depth, found = below_root, match[1]
    return found
