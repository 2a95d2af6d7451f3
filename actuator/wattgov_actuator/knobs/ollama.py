"""Sleep of a model of Ollama: out of memory, and loaded again before somebody asks.

Both are an empty request with a `keep_alive`. It is answered at once, while a model that is at work
leaves only after its requests. Any later request loads it again (0.33).
"""

from collections.abc import Mapping
from http import HTTPStatus

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, came, is_asleep, sleeper
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.web import Web, bearer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

LOAD_SECONDS = 600.0  # that a load may take, and a request that is answered
FOR_EVER = -1
FIXES: Mapping[int, str] = {HTTPStatus.NOT_FOUND: "run: ollama pull, or correct the model's name"}


class Ollama:
    """One model."""

    def __init__(self, way: Connection, patience_seconds: float = LOAD_SECONDS) -> None:
        self._way, self._patience_seconds = way, patience_seconds
        self._web = Web(way, bearer(way))
        model = way.text("model")
        self._model = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
        self._met = Once(self._meet)

    def probe(self) -> Probe:
        """Return the one target; a model that is not there would always seem to sleep."""
        self._met()
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether it is in memory."""
        return InForce(AWAKE if self._loaded() else ASLEEP)

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Unload it and wait until it has gone, or load it, where that is not so already."""
        asleep = is_asleep(value)
        if asleep != self._loaded():
            return
        keep = 0 if asleep else _kept(self._way.text("keep_alive"))
        body = {"model": self._model, "keep_alive": keep, "stream": False}
        self._web.told("POST", "/api/generate", body, wait_seconds=LOAD_SECONDS, fixes=FIXES)
        if asleep and not came(lambda: not self._loaded(), self._patience_seconds):
            detail = f"{self._model} still answers; it leaves when it is done"
            raise KnobError(Fault.BUSY, detail)

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set what was read."""
        self.write(target, value)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _meet(self) -> None:
        if self._model not in self._names("/api/tags"):
            raise KnobError(Fault.LOST, f"{self._way.text('url')} has no model {self._model}")

    def _loaded(self) -> bool:
        return self._model in self._names("/api/ps")

    def _names(self, path: str) -> set[str]:
        found = self._web.get(path)
        models = found.get("models") if isinstance(found, dict) else None
        if not isinstance(models, list):
            raise KnobError(Fault.LOST, f"{self._way.text('url')} names no models: is it Ollama?")
        return {str(each.get("name")) for each in models if isinstance(each, dict)}


def _kept(text: str) -> str | int:
    """Return how long it stays: a duration as Go writes it; a bare number is one of seconds."""
    return int(text or FOR_EVER) if text.lstrip("-").isdecimal() or not text else text


def open_knob(machine: Machine, way: Connection) -> Ollama:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return Ollama(way)
