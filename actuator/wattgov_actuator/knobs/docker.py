"""Sleep of a container, by the Docker API on its socket: paused, or stopped.

Paused it keeps its memory and that of a GPU; stopped it loses both, and has to load anew. What the
daemon answers is not what is in force: it refuses to pause what is paused (409), fails to unpause
what runs (500), and has not stopped what has ended (304). Only a look at the container tells.
Sources: daemon/pause.go, unpause.go, stop.go and the API reference of moby/moby. Podman's
compatible API, which has paths without a version, too, is asked in the same way.
"""

from urllib.parse import quote

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, has_come, is_asleep, sleeper
from wattgov_actuator.knobs.unix_socket import UnixSocket
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

ORDERS = {"pause": ("pause", "unpause"), "stop": ("stop", "start")}  # to sleep, and to wake
ENDED = InForce(AWAKE, ASLEEP)  # nothing of ours holds a container that somebody has stopped
LEVELS = {
    "pause": {
        "paused": InForce(ASLEEP),
        "running": InForce(AWAKE),
        **dict.fromkeys(("exited", "created", "dead"), ENDED),
    },
    "stop": {
        "running": InForce(AWAKE),
        **dict.fromkeys(("exited", "created"), InForce(ASLEEP)),
    },
}
LONGEST_SECONDS = 300.0  # for a server that ends what it does before it stops
OPEN = "whoever may ask Docker may become root; run as root, or in its group"


class Docker:
    """One container."""

    def __init__(self, way: Connection) -> None:
        self._way, self._how, self._name = way, way.text("how"), way.text("container")
        self._socket = UnixSocket("Docker", way.text("socket"), way.timeout_seconds, OPEN)

    def probe(self) -> Probe:
        """Return the one target; the note says why a container is none."""
        found = self._found()
        host = found.get("HostConfig")
        if self._how == "stop" and isinstance(host, dict) and host.get("AutoRemove"):
            detail = f"{self._name} was started with --rm: stopped, it would be gone"
            raise KnobError(Fault.UNSUPPORTED, detail)
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return its level; busy while it starts, until its health check passes, if it has one."""
        found = self._found()
        state = found.get("State")
        status = str(state.get("Status")) if isinstance(state, dict) else "something else"
        health = state.get("Health") if isinstance(state, dict) else None
        starting = isinstance(health, dict) and health.get("Status") == "starting"
        if status == "restarting" or (status == "running" and self._how == "stop" and starting):
            raise KnobError(Fault.BUSY, f"{self._name} is starting")
        level = LEVELS[self._how].get(status)
        if level is None:
            detail = f"{self._name} is {status}, which neither {' nor '.join(ORDERS[self._how])} is"
            raise KnobError(Fault.REFUSED, detail)
        return level

    def write(self, target: str, value: float) -> None:
        """Give the order; raises KnobError unless it is carried out, or was before."""
        to_sleep, to_wake = ORDERS[self._how]
        order = to_sleep if is_asleep(value) else to_wake
        path = f"{self._path}/{order}"
        reply = self._socket.ask("POST", path, wait_seconds=LONGEST_SECONDS)
        if not reply.good and not has_come(self, target, value):
            raise reply.fault()

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set what was read."""
        self.write(target, value)

    def close(self) -> None:
        """Nothing is open."""

    @property
    def _path(self) -> str:
        return f"/containers/{quote(self._name, safe='')}"

    def _found(self) -> dict[str, object]:
        """Return what the daemon knows of the container; raises KnobError."""
        reply = self._socket.ask("GET", f"{self._path}/json")
        if not reply.good:
            raise reply.fault()
        found = reply.json()
        if not isinstance(found, dict):
            raise KnobError(Fault.LOST, f"{reply.url} describes no container: is it Docker?")
        return found


def open_knob(machine: Machine, way: Connection) -> Docker:  # noqa: ARG001 (a backend)
    """Return the knob; nobody is asked yet."""
    return Docker(way)
