"""TorchServe: how many workers a model has, by the management API.

Its token changes every hour, in a file of JSON that is read at each call. A wrong one is answered
with 400. `batch_size` in the same call is ignored, whatever the answer says (TorchServe 0.12).
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.count import counted
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.secrets import read, secret
from wattgov_actuator.knobs.web import Headers, Web
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

START_SECONDS = 600.0  # that starting workers may take
FIXES: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: "if it is about the token, give key_file: the key_file.json that "
    "TorchServe writes where it was started",
    HTTPStatus.INTERNAL_SERVER_ERROR: "why is in the log of TorchServe",
}


class TorchServe:
    """How many workers of one model run: the least, for nothing starts more by itself."""

    def __init__(self, way: Connection) -> None:
        self._way, self._web = way, Web(way, _token(way))
        self._path = f"/models/{quote(way.text('model'), safe='')}"
        self._met = Once(lambda: self.read(way.name))

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return counted(self._way, "workers")

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return how many workers the model is to have."""
        least, most = self._workers()
        return InForce(float(least), text=f"{least} {most}")

    def write(self, target: str, value: float) -> None:
        """Start or end workers, and wait for them; the most give way only to more."""
        least = round(value)
        self.restore(target, value, f"{least} {max(least, self._workers()[1])}")

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put back how many there were."""
        least, most = text.split()
        query = f"min_worker={least}&max_worker={most}&synchronous=true"
        reply = self._web.told(
            "PUT", f"{self._path}?{query}", wait_seconds=START_SECONDS, fixes=FIXES
        )
        if reply.status != HTTPStatus.OK:  # 206: not all of them are up
            raise KnobError(Fault.BUSY, f"{self._way.text('model')} is still starting workers")

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _workers(self) -> tuple[int, int]:
        found = self._web.get(self._path, FIXES)
        try:
            least, most = (int(found[0][key]) for key in ("minWorkers", "maxWorkers"))  # type: ignore[index]
        except (LookupError, TypeError, ValueError):
            raise KnobError(Fault.LOST, f"{self._way.text('url')} told of no workers") from None
        return least, most


def _token(way: Connection) -> Callable[[], Headers]:
    """Return what sends the management key, read anew each time."""

    def headers() -> Headers:
        path = way.text("key_file")
        if not path:
            key = secret(way, "key")
            return {"Authorization": f"Bearer {key}"} if key else {}
        try:
            key = str(json.loads(read(Path(path), "key_file"))["management"]["key"])
        except (ValueError, LookupError, TypeError):
            raise KnobError(Fault.REFUSED, f"key_file {path} has no management key") from None
        return {"Authorization": f"Bearer {key}"}

    return headers


def open_knob(machine: Machine, way: Connection) -> TorchServe:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return TorchServe(way)
