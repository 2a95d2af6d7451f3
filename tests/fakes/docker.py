"""The containers of a Docker daemon, with what it has against an order.

After daemon/pause.go, unpause.go, stop.go and start.go of moby/moby, and the statuses of its API.
"""

from dataclasses import dataclass, field
from typing import Any

from fakes.api import Reply, Request


def container(status: str = "running", **more: object) -> dict[str, Any]:
    """Return what an inspection shows of one, with what is in there of its state or host."""
    state = {"Status": status, **{key: value for key, value in more.items() if key == "Health"}}
    return {"State": state, "HostConfig": {"AutoRemove": bool(more.get("AutoRemove"))}}


@dataclass
class Docker:
    """One daemon."""

    containers: dict[str, dict[str, Any]] = field(default_factory=lambda: {"chat": container()})
    broken: str = ""  # it has this against every order
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer as the daemon does."""
        self.asked.append(f"{request.verb} {request.path}")
        _, kind, name, order = request.path.split("/")
        found = self.containers.get(name) if kind == "containers" else None
        if found is None:
            return _error(404, f"No such container: {name}")
        if (request.verb, order) == ("GET", "json"):
            return Reply(200, found)
        if request.verb != "POST" or order not in ORDERS:
            return _error(404, "page not found")
        if self.broken:
            return _error(500, self.broken)
        return ORDERS[order](found["State"], name)


def _pause(state: dict[str, Any], name: str) -> Reply:
    if state["Status"] == "paused":
        return _error(409, f"Container {name} is already paused")
    if state["Status"] != "running":
        return _error(409, f"Container {name} is not running")
    state["Status"] = "paused"
    return Reply(204)


def _unpause(state: dict[str, Any], name: str) -> Reply:
    if state["Status"] != "paused":
        return _error(500, f"Container {name} is not paused")
    state["Status"] = "running"
    return Reply(204)


def _stop(state: dict[str, Any], _: str) -> Reply:
    if state["Status"] not in {"running", "paused"}:
        return Reply(304)
    state["Status"] = "exited"
    return Reply(204)


def _start(state: dict[str, Any], _: str) -> Reply:
    if state["Status"] == "paused":
        return _error(409, "cannot start a paused container, try unpause instead")
    if state["Status"] == "running":
        return Reply(304)
    state["Status"] = "running"
    if "Health" in state:
        state["Health"] = {"Status": "starting"}
    return Reply(204)


ORDERS = {"pause": _pause, "unpause": _unpause, "stop": _stop, "start": _start}


def _error(status: int, message: str) -> Reply:
    return Reply(status, {"message": message})
