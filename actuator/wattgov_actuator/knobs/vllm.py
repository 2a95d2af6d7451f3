"""Sleep of vLLM at level 1: its weights go to the memory of the CPU, its KV cache is dropped.

Only with VLLM_SERVER_DEV_MODE=1, which opens calls that ask for no key. By default `/sleep` aborts
what is in flight, and up to 0.16 there is no `mode`, so it is left awake while a request runs or
waits. A request that slips in between is kept (`mode=keep`), and is answered after the wake. Not
`mode=wait`: it goes on when nobody waits for it any more, and a wake meanwhile says 200, "awake";
then the last request ends, and the memory goes to sleep under a scheduler that is awake (0.32, run
and read: `v1/engine/core.py`). Up to 0.31 its answers are empty; what they say later is not
believed either: a wake of a part answers 200. Level 2 is left out: its weights would have to be
read again by another call, of which we have not seen that it brings them back (0.8 to 0.32).
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, is_asleep, sleeper
from wattgov_actuator.knobs.web import Reply, Web, bearer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

MOVE_SECONDS = 600.0  # that gigabytes may take between the memories
UNFINISHED = re.compile(rb"^vllm:num_requests_(?:running|waiting)(?:\{.*\})? (\S+)", re.MULTILINE)
FALLING = re.compile(
    rb"^vllm:sleep_mode_operations_in_flight\{(?:.*,)?operation=\"sleep\"(?:,.*)?\} (\S+)",
    re.MULTILINE,
)  # from 0.32 on
FIXES: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "start vLLM with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1, where "
    "nobody but the actuator and the proxy reaches it",
}


class Vllm:
    """One server."""

    def __init__(self, way: Connection) -> None:
        self._way, self._web = way, Web(way, bearer(way))
        self._known = False

    def probe(self) -> Probe:
        """Return the one target."""
        if not self._known:
            self._sleeping()
            self._known = True
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return what it says; one that somebody has paused says that it sleeps."""
        return InForce(ASLEEP if self._sleeping() else AWAKE)

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Send it to sleep when nothing is in flight, or wake it; nothing is asked of it twice."""
        asleep = is_asleep(value)
        if asleep == self._sleeping():
            return
        if asleep:
            self._free()
        else:
            self._settled()
        path = "/sleep?level=1&mode=keep" if asleep else "/wake_up"
        self._told("POST", path, MOVE_SECONDS)

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set what was read."""
        self.write(target, value)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _sleeping(self) -> bool:
        found = self._told("GET", "/is_sleeping").json()
        sleeping = found.get("is_sleeping") if isinstance(found, dict) else None
        if not isinstance(sleeping, bool):
            detail = f"{self._way.text('url')} does not say whether it sleeps: is it vLLM?"
            raise KnobError(Fault.LOST, detail)
        return sleeping

    def _free(self) -> None:
        """Raise KnobError unless nothing is in flight, as far as it counts that."""
        counts = self._counts(UNFINISHED)
        if not counts:
            detail = "its /metrics tell of no requests; start vLLM without --disable-log-stats"
            raise KnobError(Fault.UNSUPPORTED, detail)
        if sum(counts):
            raise KnobError(Fault.BUSY, f"{sum(counts):g} requests run or wait")

    def _settled(self) -> None:
        """Raise KnobError while a sleep that somebody ordered waits for requests to end."""
        if sum(self._counts(FALLING)):
            detail = "a sleep of it waits for requests to end, and would undo a wake until then"
            raise KnobError(Fault.BUSY, detail)

    def _counts(self, series: re.Pattern[bytes]) -> list[float]:
        """Return what its metrics count; nothing where that is no number."""
        try:
            return [float(each) for each in series.findall(self._told("GET", "/metrics").content)]
        except ValueError:
            return []

    def _told(self, verb: str, path: str, wait_seconds: float | None = None) -> Reply:
        reply = self._web.ask(verb, path, wait_seconds=wait_seconds)
        if reply.status == HTTPStatus.NOT_FOUND:
            raise KnobError(Fault.UNSUPPORTED, reply.fault(FIXES).detail)
        if not reply.good:
            raise reply.fault(FIXES)
        return reply


def open_knob(machine: Machine, way: Connection) -> Vllm:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return Vllm(way)
