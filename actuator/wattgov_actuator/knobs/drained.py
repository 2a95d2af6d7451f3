"""Sleep behind our own proxy (`wattgov-actuator proxy`): drained first, opened when it is awake.

From the hold on the proxy forwards nothing, so no request falls between the last look and the
sleep; what comes then waits there, and has the server woken. A server that is awake behind a door
that we hold reads as asleep: nobody is served, so an undo stands until the door is open, too.
"""

from dataclasses import replace
from http import HTTPStatus

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, has_come, is_asleep
from wattgov_actuator.knobs.web import Web, bearer, plain
from wattgov_actuator.reading import Fault, Hidden, InForce, Knob, KnobError, Probe


class Drained:
    """A server that sleeps, and the proxy in front of it."""

    def __init__(self, knob: Knob, way: Connection) -> None:
        """Take the server's knob, and its connection, which says where the proxy is."""
        self._knob, self._way = knob, way
        self._url = way.text("proxy")
        token = {f"token_{where}": way.text(f"proxy_token_{where}") for where in ("file", "env")}
        trust = {"ca_file": way.text("proxy_ca_file")}  # the server's own vouches for no proxy
        door = replace(way, settings={"url": self._url, **token, **trust})
        self._web = Web(door, bearer(door))

    def probe(self) -> Probe:
        """Return the server's."""
        return self._knob.probe()

    def read(self, target: str) -> InForce | Hidden:
        """Return whether somebody is served: asleep, too, while we hold the door of one awake."""
        found = self._knob.read(target)
        if isinstance(found, InForce) and not is_asleep(found.value) and self._held():
            return replace(found, value=ASLEEP)
        return found

    def write(self, target: str, value: float) -> None:
        """Hold and sleep, or wake and open; raises KnobError when somebody is in there."""
        if not is_asleep(value):
            self._knob.write(target, value)
            self._open(target)
            return
        self._hold()
        try:
            self._knob.write(target, value)
        except KnobError:
            # Nobody is held for a server that stayed awake, nor for one that does not answer.
            if not has_come(self._knob, target, ASLEEP):
                self._opened()
            raise

    def restore(self, target: str, value: float, text: str) -> None:
        """Put the server back to what was read, and the door."""
        if is_asleep(value):
            self._hold()
        self._knob.restore(target, value, text)
        if not is_asleep(value):
            self._open(target)

    def close(self) -> None:
        """Let go of both."""
        self._knob.close()
        self._web.close()

    def _held(self) -> bool:
        """Tell whether somebody called hold; a proxy that has just started asks by itself."""
        state = self._web.get("/api/v1/state")
        if not isinstance(state, dict) or "held_by" not in state:
            raise KnobError(Fault.LOST, f"{self._url} is no proxy of ours")
        return bool(state["held_by"] == "hold")

    def _hold(self) -> None:
        """Have the proxy forward nothing more; raises KnobError when it cannot."""
        wait, idle = self._way.number("proxy_wait"), self._way.number("proxy_idle")
        reply = self._web.ask(
            "POST",
            "/api/v1/hold",
            {"wait_seconds": wait, "only_if_idle_seconds": idle},
            wait_seconds=wait + self._way.timeout_seconds,
        )
        if reply.status == HTTPStatus.CONFLICT:
            state = reply.json()
            why = state.get("why") if isinstance(state, dict) else None
            detail = f"in use: {plain(str(why or 'the proxy cannot be held'))}; it stays awake"
            raise KnobError(Fault.IN_USE, detail)
        if not reply.good:
            raise reply.fault()

    def _open(self, target: str) -> None:
        """Have it forward again, once the server reads as awake; raises KnobError until then."""
        found = self._knob.read(target)
        if not (isinstance(found, InForce) and is_asleep(found.value)):
            self._opened()

    def _opened(self) -> None:
        self._web.told("POST", "/api/v1/open")
