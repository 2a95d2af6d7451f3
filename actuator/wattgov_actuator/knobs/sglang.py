"""Sleep of SGLang: it is paused, then its KV cache is dropped and its weights go to the CPU.

A release of what is released, a resume of what is not, and a release while a request is at work end
the server: an assertion or a KeyError in its scheduler. A request that meets memory that is gone
does, too, and so does a probe of `/health`, unless it is paused. No call tells which it is. But its
own metrics count each order that came and each that was carried out, also when whoever gave it is
dead by then, and begin anew with it; so whoever comes later knows, and else leaves it alone.
(0.5.23: read, and its server run on a CPU, with a stand-in for what moves memory; older ones were
not looked at.)
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, is_asleep, sleeper
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.version import at_least
from wattgov_actuator.knobs.web import Web, bearer, plain
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

MOVE_SECONDS = 600.0  # that gigabytes may take between the memories
ANSWER_SECONDS = 30.0  # that a token of it takes; it gives up after 20 by itself
OLDEST = (0, 5, 23)
RELEASE, RESUME = "/release_memory_occupation", "/resume_memory_occupation"
TAGS = {"tags": ["kv_cache", "weights"]}
REFUSED = {  # with these nothing was done
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
NEEDED: Mapping[str, tuple[object, str]] = {
    "enable_memory_saver": (True, "start it with --enable-memory-saver, or nothing is freed"),
    "enable_weights_cpu_backup": (
        True,
        "start it with --enable-weights-cpu-backup, or its weights are lost",
    ),
    "pp_size": (1, "a pause does not reach the stages of a pipeline"),
    "dp_size": (1, "its metrics tell nothing of each replica"),
    "tokenizer_worker_num": (1, "a pause has to reach all of its requests at once"),
    "disaggregation_mode": ("null", "requests of another server may be at work in it"),
    "speculative_algorithm": (None, "its draft model was not looked at"),
    "enable_hierarchical_cache": (False, "its cache may be at work while no request is"),
    "weight_cache_mode": ("off", "its weights are shared with others"),
}  # what it must be started with, and why
SERIES = re.compile(r"^sglang:http_(requests|responses)_(total|active)\{(.*)\} (\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
FIXES: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "is it SGLang 0.5.23 or later, with --enable-metrics?",
    HTTPStatus.UNAUTHORIZED: "give its --api-key as token; of two keys no single one opens all",
}


class Sglang:
    """One server."""

    def __init__(self, way: Connection) -> None:
        self._way, self._web = way, Web(way, bearer(way))
        self._met = Once(self._meet)

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether it serves; one that somebody has paused sleeps."""
        serves = not self._released() and self._ready()
        return InForce(AWAKE if serves else ASLEEP)

    def write(self, target: str, value: float) -> None:
        """Send it to sleep when nothing is in flight, or wake it; raises KnobError on the way."""
        if not is_asleep(value):
            self.restore(target, value, "")
            return
        if self._released():
            return
        self._fit()
        self._free()
        self._order("/pause_generation", {"mode": "retract"})
        try:
            self._free()  # from here on nothing new gets in
            self._order(RELEASE, TAGS)
        except KnobError:
            if not self._released():
                self._order("/continue_generation", {})
            raise

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set what was read: its memory first, and the pause ends when it is there."""
        if is_asleep(value):
            self.write(target, value)
            return
        if self._released():
            self._order(RESUME, TAGS)
            if self._released():
                raise KnobError(Fault.LOST, "it was resumed, and does not count that")
        if not self._ready():
            self._order("/continue_generation", {})
            self._web.told("GET", "/health_generate", wait_seconds=ANSWER_SECONDS, fixes=FIXES)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _fit(self) -> None:
        """Raise KnobError unless it is one whose every step is known."""
        info = self._web.get("/server_info", FIXES)
        if not isinstance(info, dict) or "version" not in info:
            raise KnobError(Fault.LOST, f"{self._way.text('url')} tells no version: is it SGLang?")
        at_least(OLDEST, info["version"], "SGLang")
        for key, (needed, why) in NEEDED.items():
            if info.get(key) != needed:
                detail = f"its {key} is {plain(str(info.get(key)))}, not {needed}: {why}"
                raise KnobError(Fault.UNSUPPORTED, detail)

    def _free(self) -> None:
        """Raise KnobError while somebody waits for an answer."""
        busy = sum(
            value
            for what, labels, value in self._series()
            if what == "requests active" and labels.get("endpoint") != "/metrics"
        )
        if busy:
            raise KnobError(Fault.BUSY, f"{busy:g} requests are in flight")

    def _meet(self) -> None:
        """Raise KnobError unless it can sleep, and tells whether it does."""
        self._fit()
        self._released()

    def _released(self) -> bool:
        """Tell whether its memory is gone; raises KnobError where that is not certain."""
        orders = dict.fromkeys((RELEASE, RESUME), 0.0)
        under_way, unknown = 0.0, 0.0
        for what, labels, value in self._series():
            endpoint, status = labels.get("endpoint", ""), labels.get("status_code", "0")
            if endpoint not in orders or what == "requests active":
                continue
            if what == "requests total":
                under_way += value
                continue
            under_way -= value
            if status == "200":
                orders[endpoint] += value
            elif int(status) not in REFUSED:
                unknown += value
        if unknown:
            detail = f"{unknown:g} releases or resumes have failed, so what it holds is not known"
            raise KnobError(Fault.REFUSED, f"{detail}; start it anew")
        if under_way:
            raise KnobError(Fault.BUSY, "a release or a resume of its memory is under way")
        balance = orders[RELEASE] - orders[RESUME]
        if balance not in {0.0, 1.0}:
            counts = f"{orders[RELEASE]:g} releases and {orders[RESUME]:g} resumes"
            detail = f"it counts {counts}: somebody else turns it, too; start it anew"
            raise KnobError(Fault.REFUSED, detail)
        return balance == 1.0

    def _ready(self) -> bool:
        return self._web.ask("GET", "/ready").status == HTTPStatus.OK

    def _series(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Give what its metrics count of requests; raises KnobError where they do not."""
        text = self._web.told("GET", "/metrics", fixes=FIXES).content.decode(errors="replace")
        found = SERIES.findall(text)
        if not found:
            detail = "its /metrics count no HTTP requests; start it with --enable-metrics"
            raise KnobError(Fault.UNSUPPORTED, detail)
        for what, kind, labels, value in found:
            yield f"{what} {kind}", dict(LABEL.findall(labels)), float(value)

    def _order(self, path: str, body: object) -> None:
        self._web.told("POST", path, body, wait_seconds=MOVE_SECONDS, fixes=FIXES)


def open_knob(machine: Machine, way: Connection) -> Sglang:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return Sglang(way)
