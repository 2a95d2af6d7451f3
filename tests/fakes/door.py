"""The door of our own proxy, as docs/proxy.md promises it: hold, open, and the state."""

import json
from dataclasses import dataclass, field

from fakes.api import Reply, Request

FIELDS = {"wait_seconds", "only_if_idle_seconds"}
MOST_WAIT_SECONDS = 600


@dataclass
class Door:
    """One proxy; what is in flight stays so."""

    held_by: str | None = None
    in_flight: int = 0
    idle_seconds: float = 3600.0
    token: str = ""
    orders: list[str] = field(default_factory=list)  # those that were carried out

    def __call__(self, request: Request) -> Reply:
        """Answer as the proxy does."""
        if (request.verb, request.path) == ("GET", "/api/v1/state"):
            return Reply(200, self.state())
        if request.path not in {"/api/v1/hold", "/api/v1/open"} or request.verb != "POST":
            return _error(404, "there is no such page")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "send the token")
        given = json.loads(request.body or b"{}")
        if request.path == "/api/v1/open":
            return self._open() if given == {} else _error(400, f"{given} is not asked for")
        wait = given.get("wait_seconds", 0)
        if set(given) <= FIELDS and 0 <= wait <= MOST_WAIT_SECONDS:
            return self._hold(given.get("only_if_idle_seconds", 0))
        return _error(400, f"{given} is not as promised")

    def state(self, **more: object) -> dict[str, object]:
        """Return what it says of itself."""
        held = {"held": self.held_by is not None, "held_by": self.held_by}
        seen = {"in_flight": self.in_flight, "queued": 0, "idle_seconds": self.idle_seconds}
        return {"app": "chat", "limit": None, "last_request": None, **seen, **held, **more}

    def _open(self) -> Reply:
        self.held_by = None
        self.orders.append("open")
        return Reply(200, self.state())

    def _hold(self, idle_seconds: float) -> Reply:
        if self.held_by == "hold":
            return Reply(200, self.state())
        if self.idle_seconds < idle_seconds:
            return Reply(409, self.state(why=f"idle for {self.idle_seconds:.1f} s only"))
        if self.in_flight:
            return Reply(409, self.state(why=f"{self.in_flight} still in flight after 0 s"))
        self.held_by = "hold"
        self.orders.append("hold")
        return Reply(200, self.state())


def _error(status: int, message: str) -> Reply:
    return Reply(status, {"error": {"message": message, "code": "no"}})
