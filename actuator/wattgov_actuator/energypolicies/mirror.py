"""What a cluster has of EnergyPolicy objects, by what it tells of them; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from wattgov_actuator.language.energypolicy import KIND, VERSION
from wattgov_actuator.rules import Document

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Mirror:
    """The objects of a namespace, as of a version."""

    version: str  # from which on a watch tells what changes
    documents: Mapping[str, Document] = field(default_factory=dict)  # by name


def listed(things: Iterable[Mapping[str, Any]], version: str) -> Mirror:
    """Return what a list says: who is not in it is gone."""
    return Mirror(version, {each["metadata"]["name"]: document(each) for each in things})


def after(mirror: Mirror, event: Mapping[str, Any]) -> Mirror:
    """Return it after an event of a watch; one of an unknown kind tells the version only."""
    thing = event["object"]
    mirror = replace(mirror, version=str(thing["metadata"]["resourceVersion"]))
    if event["type"] in {"ADDED", "MODIFIED"}:
        new = {thing["metadata"]["name"]: document(thing)}
        return replace(mirror, documents={**mirror.documents, **new})
    if event["type"] == "DELETED":
        gone = thing["metadata"]["name"]
        left = {name: each for name, each in mirror.documents.items() if name != gone}
        return replace(mirror, documents=left)
    return mirror


def document(thing: Mapping[str, Any]) -> Document:
    """Return an object as a rule document: without what changes by itself, such as its status."""
    meta = thing["metadata"]
    said = {"apiVersion": VERSION, "kind": KIND, "metadata": {"name": meta["name"]}}
    if "spec" in thing:
        said["spec"] = thing["spec"]
    return Document(f"{KIND} {meta['namespace']}/{meta['name']}", yaml.safe_dump(said))


def back_off_seconds(failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row; *chance* (0 to 1) keeps many apart.

    Without a failure it is a moment, too: a server that ends each watch at once is not hammered.
    """
    longest = min(FIRST_SECONDS * 2.0 ** min(failures, 10), LONGEST_SECONDS)
    return longest * (0.5 + chance / 2)
