"""Whether a node takes new pods, and who has said that it shall not.

Where we say so, the node is marked in the same request: it is uncordoned by us only then. A mark
on a node that takes pods again tells that somebody has uncordoned it after us, and is left alone.
"""

from enum import StrEnum
from http import HTTPStatus

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.kubernetes.api import CORE, Api, Thing, path_of
from wattgov_actuator.reading import Fault, KnobError

MARK = "wattgov.io/cordoned-by"  # with the name of the connection
TRIES = 3  # somebody else may change it at the same time


class Standing(StrEnum):
    """Where a node stands."""

    OPEN = "open"
    OURS = "ours"  # cordoned by us
    THEIRS = "theirs"  # cordoned by somebody else
    REOPENED = "reopened"  # cordoned by us, uncordoned by somebody else


class Cordon:
    """One node."""

    def __init__(self, api: Api, way: Connection) -> None:
        self._api, self._me, self.name = api, way.name, way.text("node")
        self._path = path_of(CORE, "", "nodes", self.name)

    def node(self) -> Thing:
        """Return the node; raises KnobError."""
        return self._api.get(self._path)

    def standing(self, node: Thing) -> Standing:
        """Return where it stands."""
        marks = node["metadata"].get("annotations") or {}
        ours = marks.get(MARK) == self._me
        if node["spec"].get("unschedulable"):
            return Standing.OURS if ours else Standing.THEIRS
        return Standing.REOPENED if ours else Standing.OPEN

    def trial(self) -> None:
        """Ask whether we might, and change nothing; raises KnobError."""
        spec = {"unschedulable": self.node()["spec"].get("unschedulable")}
        self._api.patch(self._path, {"spec": spec}, dry=True)

    def put(self) -> None:
        """Cordon it, unless it is cordoned; raises KnobError where somebody has reopened it."""
        self._turn(Standing.OPEN, unschedulable=True, mark=self._me)

    def lift(self) -> None:
        """Uncordon it, if it was us who have cordoned it."""
        self._turn(Standing.OURS, unschedulable=None, mark=None)

    def _turn(self, frm: Standing, *, unschedulable: bool | None, mark: str | None) -> None:
        """Change it while it stands *frm*; nobody else's change is lost."""
        for _ in range(TRIES):
            node = self.node()
            if self.standing(node) is not frm:
                return
            version = node["metadata"]["resourceVersion"]
            meta = {"resourceVersion": version, "annotations": {MARK: mark}}
            change = {"metadata": meta, "spec": {"unschedulable": unschedulable}}
            reply = self._api.ask("PATCH", self._path, change)
            if reply.status != HTTPStatus.CONFLICT:
                self._api.told("PATCH", self._path, reply)
                return
        detail = f"node {self.name} was changed by others, {TRIES} times in a row"
        raise KnobError(Fault.REFUSED, detail)
