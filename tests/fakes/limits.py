"""Somebody's API with a number in it, for `http`."""

import json
from dataclasses import dataclass, field
from typing import Any

from fakes.api import Reply, Request


@dataclass
class Limits:
    """Reads at one place, and takes whole numbers at another."""

    state: dict[str, Any] = field(
        default_factory=lambda: {"limits": [{"name": "chat", "batch": 32}], "a/b~c": "32"}
    )
    token: str = ""
    lies: bool = False  # says 200 and does nothing
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer."""
        self.asked.append((request.verb, request.path, request.body))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return Reply(401, {"error": {"message": "no token", "code": "unauthorized"}})
        path = request.path.partition("?")[0]
        if path == "/v1/limits" and request.verb == "GET":
            return Reply(200, self.state)
        if path != "/v1/limits/chat":
            return Reply(404, {"error": "no such path"})
        given = json.loads(request.body)
        if set(given) != {"batch"} or not isinstance(given["batch"], int):
            return Reply(422, {"message": "batch must be a whole number"})
        if not self.lies:
            self.state["limits"][0] |= given
        return Reply(200, b"done", {"Content-Type": "text/plain"})
