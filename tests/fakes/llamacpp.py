"""The router of llama.cpp, as its source has it; no real one was run."""

from dataclasses import dataclass, field
from typing import Any

from fakes.api import Reply, Request

RUNNING = {"loading", "loaded", "sleeping"}


@dataclass
class LlamaCpp:
    """Models by their id, each with its state."""

    models: dict[str, str] = field(default_factory=lambda: {"chat": "loaded"})
    router: bool = True
    key: str = ""  # --api-key
    broken: bool = False  # no process comes up
    looks: int = 2  # at the list, until a change is through
    changing: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer as the server does."""
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, "Invalid API Key", "authentication_error")
        match request.verb, request.path:
            case "GET", "/models":
                return Reply(200, {"data": [self._shown(each) for each in self.models]})
            case "POST", "/models/load" | "/models/unload" if self.router:
                given = request.json()
                name = given.get("model", "") if isinstance(given, dict) else ""
                return self._load(name) if request.path == "/models/load" else self._unload(name)
            case _:
                return _error(404, "File Not Found", "not_found_error")

    def _shown(self, name: str) -> dict[str, Any]:
        if not self.router:
            return {"id": name, "object": "model"}
        if name in self.changing:
            self.changing[name] -= 1
            if not self.changing[name]:
                self._through(name)
        status: dict[str, Any] = {"value": self.models[name], "args": []}
        if name in self.failed:
            status |= {"failed": True, "exit_code": 1}
        return {"id": name, "object": "model", "status": status}

    def _through(self, name: str) -> None:
        del self.changing[name]
        starts = self.models[name] == "loading"
        if starts and self.broken:
            self.failed.append(name)
        self.models[name] = "loaded" if starts and not self.broken else "unloaded"

    def _load(self, name: str) -> Reply:
        if name not in self.models:
            return _error(404, "model is not found", "not_found_error")
        if self.models[name] in RUNNING:
            return _error(400, "model is already running", "invalid_request_error")
        self.models[name], self.changing[name] = "loading", self.looks
        self.failed = [each for each in self.failed if each != name]
        return Reply(200, {"success": True})

    def _unload(self, name: str) -> Reply:
        if self.models.get(name) not in RUNNING:
            return _error(400, "model is not running", "invalid_request_error")
        self.changing[name] = self.looks  # until its process has ended it is shown as it was
        return Reply(200, {"success": True})


def _error(status: int, message: str, kind: str) -> Reply:
    return Reply(status, {"error": {"code": status, "message": message, "type": kind}})
