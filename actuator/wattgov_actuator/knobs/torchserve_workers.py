"""Sleep of a model of TorchServe: without workers. Requests get 503 until it has some again."""

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, is_asleep, sleeper
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.torchserve import TorchServe
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import InForce, Probe

NONE, ONE = "0 0", "1 1"  # the least workers, and the most


class TorchServeWorkers:
    """One model, with or without workers."""

    def __init__(self, way: Connection) -> None:
        self._way, self._workers = way, TorchServe(way)
        self._met = Once(lambda: self._workers.read(way.name))

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return sleeper(self._way)

    def read(self, target: str) -> InForce:
        """Return whether it is to have workers, and how many."""
        found = self._workers.read(target)
        return InForce(AWAKE if found.value else ASLEEP, text=found.text)

    def write(self, target: str, value: float) -> None:
        """End all workers, or start one where there is none, and wait for it."""
        asleep = is_asleep(value)
        if asleep != is_asleep(self.read(target).value):
            self._workers.restore(target, value, NONE if asleep else ONE)

    def restore(self, target: str, value: float, text: str) -> None:
        """Start as many as there were."""
        self._workers.restore(target, value, text)

    def close(self) -> None:
        """Close the connection."""
        self._workers.close()


def open_knob(machine: Machine, way: Connection) -> TorchServeWorkers:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return TorchServeWorkers(way)
