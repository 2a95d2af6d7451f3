"""The declarative API of Ray Serve 2.60 as it was seen to answer: what is not put is deleted."""

import json
from dataclasses import dataclass, field
from typing import Any

from fakes.api import Reply, Request

PATH = "/api/serve/applications/"
CODE: dict[str, Any] = {
    "max_ongoing_requests": 32,
    "user_config": {"max_batch_size": 16, "batch_wait_timeout_s": 0.1},
}
CONFIGS: dict[str, Any] = {
    "chat": {"name": "chat", "route_prefix": "/chat", "import_path": "chat:app"},
    "other": {
        "name": "other",
        "route_prefix": "/other",
        "import_path": "chat:app",
        "deployments": [{"name": "D", "num_replicas": 2}, {"name": "E"}],
    },
}


@dataclass
class Ray:
    """A cluster whose code says CODE of each deployment `D`."""

    configs: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(CONFIGS)))
    token: str = ""
    lag: int = 0  # how many looks a change takes
    keeps: bool = False  # an older one: what a config leaves out stays as it was
    programs: tuple[str, ...] = ()  # applications that `serve.run` has deployed
    bodies: list[dict[str, Any]] = field(default_factory=list)
    _old: dict[str, Any] = field(default_factory=dict)
    _left: int = 0

    def __call__(self, request: Request) -> Reply:
        """Answer as the dashboard does."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return Reply(401, b"Unauthorized: Missing authentication token", {})
        if request.path != PATH:
            return Reply(404, b"404: Not Found")
        if request.verb == "PUT":
            return self._put(json.loads(request.body))
        self._left = max(0, self._left - 1)
        return Reply(200, self._state())

    def _put(self, body: dict[str, Any]) -> Reply:
        if set(body) - {"applications", "target_capacity", "http_options"}:
            return Reply(400, b"Extra inputs are not permitted")
        self.bodies.append(body)
        self._old = {name: self._in_force(name) for name in self.configs}
        self._left = self.lag + 1
        self.configs = {each["name"]: each for each in body["applications"]}
        return Reply(200)

    def _state(self) -> dict[str, Any]:
        applications = {name: self._shown(name) for name in self.configs}
        applications |= {
            name: {"source": "imperative", **self._shown("")} for name in self.programs
        }
        return {
            "applications": applications,
            "target_capacity": 50.0,
            **({} if self.keeps else {"restores_unset_config_options": True}),
        }

    def _shown(self, name: str) -> dict[str, Any]:
        in_force = self._old.get(name, CODE) if self._left else self._in_force(name)
        return {
            "status": "DEPLOYING" if self._left else "RUNNING",
            "source": "declarative" if name else "imperative",
            "deployed_app_config": self.configs.get(name),
            "deployments": {"D": {"deployment_config": {"name": "D", **in_force}}},
        }

    def _in_force(self, name: str) -> dict[str, Any]:
        entries = (self.configs.get(name) or {}).get("deployments", [])
        said: dict[str, Any] = next((each for each in entries if each["name"] == "D"), {})
        unsaid = self._old.get(name, CODE) if self.keeps else CODE
        return {key: said.get(key, unsaid[key]) for key in CODE}
