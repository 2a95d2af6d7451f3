"""How many requests our own proxy lets through at once (`wattgov-actuator proxy`)."""

import json

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.count import counted
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.web import Web, bearer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe


class Limiter:
    """The limit of one proxy; none at all counts as the highest."""

    def __init__(self, way: Connection) -> None:
        self._way, self._web = way, Web(way, bearer(way))
        self._met = Once(lambda: self.read(way.name))

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return counted(self._way, "requests", low=1.0)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return the limit."""
        state = self._web.get("/api/v1/state")
        if not isinstance(state, dict) or "limit" not in state:
            raise KnobError(Fault.LOST, f"{self._way.text('url')} is no proxy of ours")
        limit = state["limit"]
        if limit is None:
            return InForce(self._way.number("high"), text="null")
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise KnobError(Fault.LOST, f"the proxy's limit is {json.dumps(limit)[:40]}")
        return InForce(float(limit), text=str(limit))

    def write(self, target: str, value: float) -> None:
        """Set the limit."""
        self.restore(target, value, str(round(value)))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put back the limit, or that there was none."""
        self._web.told("PUT", "/api/v1/limit", {"limit": json.loads(text)})

    def close(self) -> None:
        """Close the connection."""
        self._web.close()


def open_knob(machine: Machine, way: Connection) -> Limiter:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return Limiter(way)
