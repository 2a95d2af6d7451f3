"""Sleep of vLLM: it drops its KV cache, and moves its weights to the CPU or drops them, too.

Only with VLLM_SERVER_DEV_MODE=1, which opens calls that ask for no key. By default `/sleep` aborts
what is in flight, and up to 0.16 there is no `mode`, so it is left awake while a request runs or
waits. A request that slips in between is kept (`mode=keep`), and is answered after the wake. Not
`mode=wait`: it goes on when nobody waits for it any more, and a wake meanwhile says 200, "awake";
then the last request ends, and the memory goes to sleep under a scheduler that is awake (0.32, run
and read: `v1/engine/core.py`). Up to 0.31 its answers are empty; what they say later is not
believed either: a wake of a part answers 200. At level 2 the sum of its weights is the text of
what was read, so that it is in the journal before they are dropped.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, is_asleep, sleeper
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.vllm_weights import MOVE_SECONDS, Weights
from wattgov_actuator.knobs.web import Reply, Web, bearer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

UNFINISHED = re.compile(rb"^vllm:num_requests_(?:running|waiting)(?:\{.*\})? (\S+)", re.MULTILINE)
FALLING = re.compile(
    rb"^vllm:sleep_mode_operations_in_flight\{(?:.*,)?operation=\"sleep\"(?:,.*)?\} (\S+)",
    re.MULTILINE,
)  # from 0.32 on
DROPPED = re.compile(
    rb"^vllm:engine_sleep_state\{(?:.*,)?sleep_state=\"discard_all\"(?:,.*)?\} (\S+)",
    re.MULTILINE,
)
FIXES: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "start vLLM with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1, where "
    "nobody but the actuator and the proxy reaches it",
}


class Vllm:
    """One server."""

    def __init__(self, way: Connection) -> None:
        self._way, self._web = way, Web(way, bearer(way))
        self._drops, self._weights = way.settings.get("level") == "2", Weights(self._told)
        self._total: str | None = None  # of its weights, where they are dropped
        self._met = Once(self._fit)

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return what it says; one that somebody has paused says that it sleeps."""
        if self._sleeping():
            return InForce(ASLEEP)
        if self._drops and self._total is None and not self._unfinished():
            self._total = self._weights.total()
        return InForce(AWAKE, text=self._total or "")

    def write(self, target: str, value: float) -> None:
        """Send it to sleep when nothing is in flight, or wake it; nothing is asked of it twice."""
        if not is_asleep(value):
            self.restore(target, value, "")
        elif not self._sleeping():
            self._free()
            if self._drops:
                self._kept()
            self._told("POST", f"/sleep?level={2 if self._drops else 1}&mode=keep", MOVE_SECONDS)

    def restore(self, target: str, value: float, text: str) -> None:
        """Set what was read: awake with the weights of that sum, if there is one."""
        if is_asleep(value):
            self.write(target, value)
            return
        if not self._sleeping():
            return
        self._settled()
        total = text or self._total
        if total:
            self._weights.load(total)
        elif sum(self._counts(DROPPED)):
            detail = "somebody else had its weights dropped: load them, and wake it by hand"
            raise KnobError(Fault.REFUSED, detail)
        else:
            self._told("POST", "/wake_up", MOVE_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _fit(self) -> None:
        """Raise KnobError unless it can sleep as it is to."""
        self._sleeping()
        if self._drops:
            self._weights.fit()

    def _sleeping(self) -> bool:
        found = self._told("GET", "/is_sleeping").json()
        sleeping = found.get("is_sleeping") if isinstance(found, dict) else None
        if not isinstance(sleeping, bool):
            detail = f"{self._way.text('url')} does not say whether it sleeps: is it vLLM?"
            raise KnobError(Fault.LOST, detail)
        return sleeping

    def _free(self) -> None:
        """Raise KnobError unless nothing is in flight, as far as it counts that."""
        unfinished = self._unfinished()
        if unfinished is None:
            detail = "its /metrics tell of no requests; start vLLM without --disable-log-stats"
            raise KnobError(Fault.UNSUPPORTED, detail)
        if unfinished:
            raise KnobError(Fault.BUSY, f"{unfinished:g} requests run or wait")

    def _unfinished(self) -> float | None:
        """Return how many requests are in flight; None where it does not count them."""
        counts = self._counts(UNFINISHED)
        return sum(counts) if counts else None

    def _kept(self) -> None:
        """Raise KnobError unless its weights are those whose sum is in the journal."""
        self._weights.fit()
        before, self._total = self._total, self._weights.total()
        if not self._total:
            detail = "some of its weights lie where they are not summed; use level 1"
            raise KnobError(Fault.UNSUPPORTED, detail)
        if self._total != before:
            detail = "its weights were summed only now, or have changed; it sleeps the next time"
            raise KnobError(Fault.BUSY, detail)
        self._free()  # a sum takes its time

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

    def _told(
        self, verb: str, path: str, wait_seconds: float | None = None, body: object = None
    ) -> Reply:
        reply = self._web.ask(verb, path, body, wait_seconds=wait_seconds)
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._web.close()  # it drops the connection after that, and does not say so
        if reply.status == HTTPStatus.NOT_FOUND:
            raise KnobError(Fault.UNSUPPORTED, reply.fault(FIXES).detail)
        if not reply.good:
            raise reply.fault(FIXES)
        return reply


def open_knob(machine: Machine, way: Connection) -> Vllm:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return Vllm(way)
