"""The API of Ollama 0.33, as docs/api.md describes it; no real one was run."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from fakes.api import Reply, Request

DURATION = re.compile(r"-?(\d+(\.\d+)?(ns|us|ms|s|m|h))+")


@dataclass
class Ollama:
    """Models by their whole name, and how long each of those in memory stays there."""

    models: list[str] = field(default_factory=lambda: ["chat:latest"])
    loaded: dict[str, Any] = field(default_factory=lambda: {"chat:latest": "5m"})
    requests: int = 0  # looks for which a model that shall leave is still at work
    token: str = ""  # of somebody's gate before it
    leaving: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer as the server does."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "unauthorized")
        match request.verb, request.path:
            case "GET", "/api/tags":
                return Reply(200, {"models": [{"name": each, "size": 1} for each in self.models]})
            case "GET", "/api/ps":
                return Reply(200, {"models": self._shown()})
            case "POST", "/api/generate":
                return self._generate(json.loads(request.body))
            case _:
                return Reply(404, b"404 page not found")

    def _shown(self) -> list[dict[str, object]]:
        self.requests = max(self.requests - 1, 0)
        if not self.requests:
            for name in self.leaving:
                self.loaded.pop(name, None)
            self.leaving.clear()
        return [{"name": each, "size_vram": 1} for each in self.loaded]

    def _generate(self, given: dict[str, Any]) -> Reply:
        name, keep = given["model"], given.get("keep_alive", "5m")
        name = name if ":" in name else f"{name}:latest"
        if name not in self.models:
            return _error(404, f"model '{given['model']}' not found")
        if isinstance(keep, str) and not DURATION.fullmatch(keep):
            return _error(400, f'time: invalid duration "{keep}"')
        if keep == 0:
            self.leaving.append(name)
            return Reply(200, {"model": name, "done": True, "done_reason": "unload"})
        self.leaving = [each for each in self.leaving if each != name]
        self.loaded[name] = keep
        return Reply(200, {"model": name, "done": True, "done_reason": "load"})


def _error(status: int, words: str) -> Reply:
    return Reply(status, {"error": words})
