"""Sleep of a node: it takes no new pods, and those that it has move elsewhere.

It reads as asleep from the cordon on, so that an undo stands while it is emptied; the note of the
knob says how far that is. **What was evicted does not come back**: waking uncordons the node, and
the scheduler fills it again.
"""

import os
from dataclasses import replace

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.kubernetes.api import Api, Thing
from wattgov_actuator.knobs.kubernetes.cordon import MARK, Cordon, Standing
from wattgov_actuator.knobs.kubernetes.drain import LOOK_SECONDS, Drain
from wattgov_actuator.knobs.kubernetes.pods import Terms
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, is_asleep, sleeper
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
HOST = "kubernetes.io/hostname"
NODE_NAME = "NODE_NAME"  # of the environment; a manifest sets it by fieldRef
CLOSE_SECONDS = 2.0  # that whoever closes waits for a drain to end


class Node:
    """One node."""

    def __init__(
        self, machine: Machine, way: Connection, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._way, self._steady, self._look_seconds = way, machine.steady, look_seconds
        self._api = Api(way)
        self._cordon = Cordon(self._api, way)
        self._allowed = False
        self._drain: Drain | None = None

    def probe(self) -> Probe:
        """Return the one target, and how far it is emptied.

        A node that runs the cluster, or us, is none. Whether we may turn it is tried once, dry.
        """
        node = self._cordon.node()
        if self._cordon.standing(node) is not Standing.OURS:  # else it can be put back anyway
            self._check(node)
            self._try()
        at_work = self._drain is not None and self._drain.at_work()
        note = self._drain.word if self._drain is not None and at_work else ""
        return replace(sleeper(self._way), note=note)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether it takes pods."""
        standing = self._cordon.standing(self._cordon.node())
        return InForce(ASLEEP if standing in {Standing.OURS, Standing.THEIRS} else AWAKE)

    def write(self, target: str, value: float) -> None:
        """Cordon it and begin to empty it, or uncordon it."""
        if not is_asleep(value):
            self.restore(target, value, "")
            return
        standing = self._cordon.standing(self._cordon.node())
        if standing is Standing.THEIRS:
            return
        self._refuse(standing)
        if self._drain is not None and self._drain.at_work():
            return
        drain = self._draining()
        drain.left()  # what must not be evicted is found before anything is changed
        self._cordon.put()
        self._drain = drain
        drain.begin()

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Uncordon it, if we have cordoned it; a drain ends first."""
        if is_asleep(value):
            return
        if self._drain is not None:
            self._drain.end(self._way.timeout_seconds)
        self._cordon.lift()

    def close(self) -> None:
        """Close the connection; a node that is not empty yet is uncordoned."""
        if self._drain is not None:
            self._drain.end(CLOSE_SECONDS)
        self._api.close()

    def _check(self, node: Thing) -> None:
        """Raise KnobError for a node that nobody should empty by a rule."""
        labels = node["metadata"].get("labels") or {}
        name = self._cordon.name
        if any(each in labels for each in CONTROL_PLANE):
            raise KnobError(Fault.UNSUPPORTED, f"node {name} runs the cluster: it never sleeps")
        here = {os.environ.get(NODE_NAME, ""), os.uname().nodename}
        if not self._way.settings.get("own_node") and here & {name, labels.get(HOST)}:
            detail = f"node {name} is the one that this actuator runs on; if that is meant, say"
            raise KnobError(Fault.UNSUPPORTED, f"{detail} own_node: true")

    def _try(self) -> None:
        """Raise KnobError where a right is missing; changes nothing."""
        if not self._allowed:
            self._cordon.trial()
            self._draining().trial()
            self._allowed = True

    def _refuse(self, standing: Standing) -> None:
        """Raise KnobError where a person, or the last drain, says no."""
        name = self._cordon.name
        if standing is Standing.REOPENED:
            detail = f"somebody has uncordoned node {name} after us; it is left alone until its"
            told = f"`kubectl annotate node {name} {MARK}-`"
            raise KnobError(Fault.REFUSED, f"{detail} mark is taken off: {told}")
        drain = self._drain
        if drain is None or not drain.failed:
            return
        left = drain.ended + self._way.number("retry") - self._steady()
        if left > 0:
            detail = f"the drain of node {name} was given up: {drain.failed}"
            raise KnobError(Fault.REFUSED, f"{detail}; it is tried again in {left:.0f} s")

    def _draining(self) -> Drain:
        terms = Terms(bool(self._way.settings.get("delete_emptydir_data")), os.uname().nodename)
        return Drain(self._way, terms, self._steady, self._look_seconds)


def open_knob(machine: Machine, way: Connection) -> Node:
    """Return the knob."""
    return Node(machine, way)
