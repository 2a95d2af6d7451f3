"""Apps by their control groups (cgroup v2), called as the exporter calls them.

An app is the group of a systemd unit, `NAME.service`, or of a container, by the first 12 digits of
its id.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from wattgov_actuator.machine import Machine

DEEPEST = 8  # levels of folders; a pod's container is on the fifth
UNIT = re.compile(r"(?!user@)[^/]+\.service")
CONTAINER = re.compile(r"(?:[a-z-]+-)?([0-9a-f]{64})(?:\.scope)?")
SHOWN_DIGITS = 12


def root(machine: Machine) -> Path:
    """Return the folder of the hierarchy."""
    return machine.sysfs / "fs" / "cgroup"


def is_unified(folder: Path) -> bool:
    """Tell whether it is cgroup v2."""
    return (folder / "cgroup.controllers").exists()


def apps(folder: Path, attribute: str, levels: int = DEEPEST) -> Iterator[tuple[Path, str]]:
    """Yield the groups below *folder* that are an app and have *attribute*, with the app's name.

    What is inside of one belongs to it.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:  # it ended while we looked
        return
    for path in inside:
        app = _app(path.name)
        if app and (path / attribute).exists():
            yield path, app
        elif levels > 1:
            yield from apps(path, attribute, levels - 1)


def _app(name: str) -> str:
    """Return what the exporter calls the app of a group, empty where it is none."""
    if UNIT.fullmatch(name):
        return name
    match = CONTAINER.fullmatch(name)
    return match[1][:SHOWN_DIGITS] if match and "conmon" not in name else ""
