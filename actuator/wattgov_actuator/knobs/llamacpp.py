"""Sleep of a model behind the router of llama.cpp: its process ends, and is started again.

Only a router, which is started without a model, can. Both calls are answered before it is so, and
with 400 where it is so already. A model that sleeps by itself (`--sleep-idle-seconds`) wakes by
itself for a request, so it counts as awake (`tools/server/server-models.cpp`).
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, came, is_asleep, sleeper
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.web import Web, bearer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

LOAD_SECONDS = 600.0  # that a load may take
STATES = {
    "unloaded": InForce(ASLEEP),
    "loaded": InForce(AWAKE),
    "sleeping": InForce(AWAKE, ASLEEP),
}
FIXES: Mapping[int, str] = {HTTPStatus.UNAUTHORIZED: "give the --api-key of llama-server as token"}


class LlamaCpp:
    """One model."""

    def __init__(self, way: Connection, patience_seconds: float = LOAD_SECONDS) -> None:
        self._way, self._patience_seconds = way, patience_seconds
        self._web = Web(way, bearer(way))
        self._met = Once(self._state)

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether it runs; raises KnobError on the way."""
        state = self._state()["value"]
        if state not in STATES:
            raise KnobError(Fault.BUSY, f"{self._way.text('model')} is {state}")
        return STATES[state]

    def write(self, target: str, value: float) -> None:
        """End it or start it, and wait until it is so; nothing is asked for that is so already."""
        asleep = is_asleep(value)
        if is_asleep(self.read(target).value) == asleep:
            return
        what, model = "unload" if asleep else "load", self._way.text("model")
        wait = self._patience_seconds
        self._web.told(
            "POST", f"/models/{what}", {"model": model}, wait_seconds=LOAD_SECONDS, fixes=FIXES
        )
        if not came(lambda: self._ended(asleep=asleep), wait):
            raise KnobError(Fault.BUSY, f"{model} is not {what}ed after {wait:g} s")

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set what was read."""
        self.write(target, value)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _ended(self, *, asleep: bool) -> bool:
        """Tell whether it is there; raises KnobError when it has failed."""
        state = self._state()
        if state.get("failed") and not asleep:
            code = state.get("exit_code", "unknown")
            detail = (
                f"{self._way.text('model')} did not start: exit code {code}; see the router's log"
            )
            raise KnobError(Fault.REFUSED, detail)
        found = STATES.get(state["value"])
        return found is not None and is_asleep(found.value) == asleep

    def _state(self) -> dict[str, Any]:
        found = self._web.get("/models", FIXES)
        rows = found.get("data") if isinstance(found, dict) else None
        if not isinstance(rows, list):
            detail = f"{self._way.text('url')} names no models: is it llama-server?"
            raise KnobError(Fault.LOST, detail)
        name = self._way.text("model")
        mine = [each for each in rows if isinstance(each, dict) and each.get("id") == name]
        if not mine:
            raise KnobError(Fault.LOST, f"{self._way.text('url')} has no model {name}")
        state = mine[0].get("status")
        if not isinstance(state, dict) or not isinstance(state.get("value"), str):
            detail = "only a router loads and unloads; start llama-server without -m"
            raise KnobError(Fault.UNSUPPORTED, detail)
        return state


def open_knob(machine: Machine, way: Connection) -> LlamaCpp:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return LlamaCpp(way)
