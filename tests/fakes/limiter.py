"""The control API of our own proxy, as docs/proxy.md promises it."""

import json
from dataclasses import dataclass, field
from typing import Any

from fakes.api import Reply, Request


@dataclass
class Limiter:
    """One proxy."""

    state: dict[str, Any] = field(default_factory=lambda: {"app": "chat", "limit": None})
    token: str = ""

    def __call__(self, request: Request) -> Reply:
        """Answer as the proxy does."""
        if (request.verb, request.path) == ("GET", "/api/v1/state"):
            return Reply(200, self.state)
        if request.path != "/api/v1/limit":
            return _error(404, "not_found", "there is no such page")
        if request.verb != "PUT":
            return _error(405, "method_not_allowed", "use PUT")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "unauthorized", "send the token")
        given = json.loads(request.body)
        limit = given.get("limit", False) if isinstance(given, dict) else False
        whole = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
        if set(given) != {"limit"} or not (limit is None or whole):
            return _error(400, "bad_request", "limit must be a whole number from 1, or null")
        self.state["limit"] = limit
        return Reply(200, self.state)


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"error": {"message": message, "code": code}})
