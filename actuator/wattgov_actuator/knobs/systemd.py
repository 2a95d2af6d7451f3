"""Sleep of a systemd unit, over D-Bus: frozen, or stopped.

Frozen it keeps its memory and that of a GPU; stopped it loses both, and has to load anew. Any job
of the unit, a restart by somebody for one, thaws it. Sources: org.freedesktop.systemd1(5) and
src/core/dbus-unit.c of systemd, which answers a freeze only when it is done.
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, has_come, is_asleep, sleeper
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

if TYPE_CHECKING:
    from wattgov_actuator.knobs.systemd_bus import Manager

ORDERS = {"freeze": ("FreezeUnit", "ThawUnit"), "stop": ("StopUnit", "StartUnit")}
FROZEN = {
    "running": InForce(AWAKE),
    "frozen": InForce(ASLEEP),
    "frozen-by-parent": InForce(AWAKE, ASLEEP),
}
UP = {
    "active": InForce(AWAKE),
    "reloading": InForce(AWAKE),
    "inactive": InForce(ASLEEP),
    "failed": InForce(ASLEEP),
}


class Systemd:
    """One unit."""

    def __init__(self, way: Connection) -> None:
        self._way, self._how, self._unit = way, way.text("how"), way.text("unit")

    def probe(self) -> Probe:
        """Return the one target."""
        with self._asking() as manager:
            loaded = manager.properties().get("LoadState")
        if loaded != "loaded":
            raise KnobError(Fault.LOST, f"the unit {self._unit} is {loaded}")
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return its level; busy while it changes."""
        with self._asking() as manager:
            found = manager.properties()
        word = str(found.get("ActiveState"))
        levels = UP
        if self._how == "freeze":
            if UP.get(word) == InForce(ASLEEP):  # its end has thawed it: that is none of ours
                return InForce(AWAKE, ASLEEP)
            if "FreezerState" not in found:
                raise KnobError(Fault.UNSUPPORTED, "freezing needs systemd 246 or later")
            word, levels = str(found["FreezerState"]), FROZEN
        if word not in levels:
            raise KnobError(Fault.BUSY, f"{self._unit} is {word}")
        return levels[word]

    def write(self, target: str, value: float) -> None:
        """Give the order, and wait until it is carried out; raises KnobError unless it is."""
        to_sleep, to_wake = ORDERS[self._how]
        order = to_sleep if is_asleep(value) else to_wake
        try:
            with self._asking() as manager:
                if self._how == "stop":
                    manager.job(order)
                else:
                    manager.order(order)
        except KnobError:
            if not has_come(self, target, value):
                raise

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set what was read."""
        self.write(target, value)

    def close(self) -> None:
        """Nothing is open."""

    def _asking(self) -> "AbstractContextManager[Manager]":
        try:
            from wattgov_actuator.knobs.systemd_bus import asking  # noqa: PLC0415 (an extra)
        except ModuleNotFoundError:
            detail = "systemd over D-Bus needs: pip install 'wattgov[systemd]'"
            raise KnobError(Fault.UNSUPPORTED, detail) from None
        return asking(self._way.text("socket"), self._unit, self._way.timeout_seconds)


def open_knob(machine: Machine, way: Connection) -> Systemd:  # noqa: ARG001 (a backend)
    """Return the knob; nobody is asked yet."""
    return Systemd(way)
