"""The proxy in front of `search`: a bounded number at the server, and a door that wakes it."""

from bisect import bisect_left
from dataclasses import dataclass

from story.tape import Tape
from wattgov_actuator.proxy.exposition import Exposition
from wattgov_actuator.proxy.failure import Failure
from wattgov_actuator.proxy.gate import Gate
from wattgov_actuator.proxy.tally import DURATION_BOUNDS, WAIT_BOUNDS, Tally, Wake
from wattgov_actuator.reading import Moment

WHO = {"job": "doors", "instance": "gpu-2:9472", "app": "search"}
LIMIT = 6
SERVED_SECONDS, WAITED_SECONDS, WOKEN_SECONDS = 0.12, 0.002, 6.0


@dataclass(slots=True)
class Door:
    """What the proxy remembers between two scrapes."""

    idle_seconds: float = 0.0

    def tick(self, tape: Tape, per_second: float, seconds: float) -> None:
        """Store what the proxy would tell; the first request after a rest finds a shut door."""
        asleep = per_second == 0.0
        waking = not asleep and self.idle_seconds > 0.0
        self.idle_seconds = self.idle_seconds + seconds if asleep else 0.0
        here = per_second * SERVED_SECONDS
        queued = 11.0 if waking else max(0.0, 4.0 * round(here - LIMIT + 0.4))
        tape.gauge("app_requests_in_flight", 0.0 if waking else min(LIMIT, round(here)), **WHO)
        tape.gauge("app_queue_length", queued, **WHO)
        tape.gauge("app_admission_limit", LIMIT, **WHO)
        tape.gauge("app_requests_held", float(asleep or waking), **WHO)
        tape.gauge("app_idle_seconds", self.idle_seconds, **WHO)
        tape.gauge("app_last_request_timestamp_seconds", tape.now - self.idle_seconds, **WHO)
        done = per_second * seconds
        late = queued if waking else 0.0
        usual = WAITED_SECONDS + (0.0 if waking else queued / max(per_second, 1.0))
        for wait, events in ((WOKEN_SECONDS, late), (usual, done - late)):
            _observe(tape, "app_queue_wait_seconds", WAIT_BOUNDS, wait, events)
            took = wait + SERVED_SECONDS
            _observe(tape, "app_request_duration_seconds", DURATION_BOUNDS, took, events)
        for code, part in (("200", 0.996), ("499", 0.003), ("503", 0.001)):
            tape.count("app_requests_total", done * part, code=code, **WHO)
        lost = {Failure.CLIENT_GONE: 0.003, Failure.QUEUE_FULL: 0.001}
        for reason in Failure:
            more = done * lost.get(reason, 0.0)
            tape.count("app_requests_failed_total", more, reason=reason.value, **WHO)
        for result in Wake:
            tape.count("app_wakes_total", waking and result is Wake.WOKEN, result=result, **WHO)
        tape.gauge("up", 1.0, **WHO)


def published() -> set[str]:
    """Return the names that a real proxy publishes; one only after its first request."""
    gate = Gate(lambda: Moment(0.0, 0.0), limit=LIMIT)
    families = Exposition("search", gate, Tally()).collect()
    found = {sample.name for family in families for sample in family.samples}
    return found | {"app_requests_total", "app_last_request_timestamp_seconds"}


def _observe(tape: Tape, name: str, bounds: tuple[float, ...], value: float, events: float) -> None:
    """Add so many events of one size to a histogram."""
    first = bisect_left(bounds, value)
    for number, bound in enumerate(bounds):
        tape.count(f"{name}_bucket", events * (number >= first), le=f"{bound:g}", **WHO)
    tape.count(f"{name}_bucket", events, le="+Inf", **WHO)
    tape.count(f"{name}_count", events, **WHO)
    tape.count(f"{name}_sum", events * value, **WHO)
