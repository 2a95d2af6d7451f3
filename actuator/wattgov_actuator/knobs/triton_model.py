"""Sleep of a model of Triton: unloaded, and loaded again as it was.

An unload is answered with 200 before anything is unloaded, and whatever the name; only the index of
the repository tells. A load of what is not loaded takes `config.pbtxt`: a config that was given to
an earlier load is lost with the unload, and is given again (server 2.51).
"""

import json
from urllib.parse import quote

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, came, is_asleep, sleeper
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.triton import FIXES, LOAD_SECONDS, refusal, restricted
from wattgov_actuator.knobs.web import Reply, Web
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

READY, MOVING = "READY", {"LOADING", "UNLOADING"}


class TritonModel:
    """One model, which may be loaded or not."""

    def __init__(self, way: Connection, patience_seconds: float = LOAD_SECONDS) -> None:
        self._way, self._patience_seconds = way, patience_seconds
        self._model = quote(way.text("model"), safe="")
        self._web = Web(way, restricted(way))
        self._met = Once(self._states)

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether a version is ready, with its whole config; raises KnobError on the way."""
        states = self._states()
        if READY in states:
            return InForce(AWAKE, text=json.dumps(self._config()))
        if states & MOVING:
            words = " and ".join(sorted(states & MOVING)).lower()
            raise KnobError(Fault.BUSY, f"{self._way.text('model')} is {words}")
        return InForce(ASLEEP)

    def write(self, target: str, value: float) -> None:
        """Unload it, or load it as its file says where it is not loaded."""
        if is_asleep(value) != is_asleep(self.read(target).value):
            self.restore(target, value, "")

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put it back, with the config that it had; raises KnobError when it does not come."""
        if is_asleep(value):
            self._unload()
            return
        reply = self._ask("load", {})
        if text and not (reply.good and self._config() == json.loads(text)):
            reply = self._ask("load", {"parameters": {"config": text}})
        if not reply.good:
            raise refusal(reply)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _unload(self) -> None:
        reply = self._ask("unload", {})
        if not reply.good:
            raise refusal(reply)
        if not came(lambda: not self._states() & {READY, *MOVING}, self._patience_seconds):
            waited = f"after {self._patience_seconds:g} s"
            raise KnobError(Fault.BUSY, f"{self._way.text('model')} is not unloaded {waited}")

    def _states(self) -> set[str]:
        """Return the states of its versions; none of what was never loaded."""
        found = self._web.told("POST", "/v2/repository/index", {}, fixes=FIXES).json()
        rows = found if isinstance(found, list) else []
        name = self._way.text("model")
        mine = [each for each in rows if isinstance(each, dict) and each.get("name") == name]
        if not mine:
            raise KnobError(Fault.LOST, f"{self._way.text('url')} has no model {name}")
        return {str(each.get("state", "")) for each in mine}

    def _config(self) -> object:
        return self._web.get(f"/v2/models/{self._model}/config", FIXES)

    def _ask(self, what: str, body: object) -> Reply:
        path = f"/v2/repository/models/{self._model}/{what}"
        return self._web.ask("POST", path, body, wait_seconds=LOAD_SECONDS)


def open_knob(machine: Machine, way: Connection) -> TritonModel:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return TritonModel(way)
