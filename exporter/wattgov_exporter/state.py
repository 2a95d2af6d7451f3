"""Totals that survive a restart, in a file of the user's choice.

The file is there only between a clean stop and the next start, which takes it away. After a crash
there is none, and counters start at zero. An older file would make them fall a little, and to
Prometheus a fall is a start from zero: `increase` would add the whole total a second time.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wattgov_exporter.reading import Component
from wattgov_web import regular

VERSION = 1

Table = dict[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Totals:
    """Every counter since the first start: joules and seconds, by the labels they are known by.

    *meters* by source, package, zone; *node* by component; *apps* by app, component, share;
    *cpu_seconds* by app; *own* holds the exporter's own joules.
    """

    meters: Table = field(default_factory=dict)
    node: Table = field(default_factory=dict)
    apps: Table = field(default_factory=dict)
    cpu_seconds: Table = field(default_factory=dict)
    own: Table = field(default_factory=dict)


NO_TOTALS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What reading text that holds no totals may raise; the last is from lists without end."""

FIELDS = {"meters": 3, "node": 1, "apps": 3, "cpu_seconds": 1, "own": 1}
"""Each table, and of how many parts its keys are."""


def load(path: Path, say: Callable[[str], object]) -> Totals:
    """Return the totals in a file, none if there is none.

    A file that cannot be understood is set aside under another name, and told: counters then start
    at zero, which Prometheus takes for a restart.
    """
    try:
        content = regular.read(path)
    except FileNotFoundError:
        return Totals()
    except OSError as error:
        say(f"{path}: cannot be read, counters start at zero: {error}")
        return Totals()
    try:
        return _totals(json.loads(content.decode()))
    except NO_TOTALS as error:
        aside = path.with_suffix(".bad")
        try:
            path.replace(aside)
        except OSError as refused:
            say(f"{path}: is no state file ({error}) and cannot be set aside: {refused}")
        else:
            say(f"{path}: is no state file ({error}); kept as {aside}, counters start at zero")
        return Totals()


def save(path: Path, totals: Totals) -> None:
    """Put the totals on disk, whole or not at all; OSError when that cannot be done."""
    body = {"version": VERSION} | {
        name: [[*key, value] for key, value in getattr(totals, name).items()] for name in FIELDS
    }
    aside = path.with_suffix(".new")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(body, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def take(path: Path, say: Callable[[str], object]) -> Totals:
    """Load a file and remove it; one that stays would be too old after a crash, so it is not used.

    What is wrong is told, and never raised.
    """
    totals = load(path, say)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        say(f"{path}: cannot be removed, counters start at zero: {error}")
        return Totals()
    return totals


def leave(path: Path, totals: Totals, say: Callable[[str], object]) -> None:
    """Save the totals at a clean stop; a disk that refuses is told."""
    try:
        save(path, totals)
    except OSError as error:
        say(f"{path}: the totals are not saved, counters will start at zero: {error}")


def _totals(body: Mapping[str, Any]) -> Totals:
    if body["version"] != VERSION:
        raise ValueError(f"version {body['version']}, this program knows {VERSION}")
    totals = Totals(**{name: _table(body[name], parts) for name, parts in FIELDS.items()})
    for component in [*(key[0] for key in totals.node), *(key[1] for key in totals.apps)]:
        Component(component)
    return totals


def _table(rows: Iterable[Sequence[Any]], parts: int) -> Table:
    table = {tuple(map(str, row[:-1])): float(row[-1]) for row in rows}
    if any(len(key) != parts for key in table):
        raise ValueError(f"a key is not of {parts} parts")
    if not all(math.isfinite(value) and value >= 0 for value in table.values()):
        raise ValueError("a counter is negative or not finite")
    return table
