"""The management API of TorchServe 0.12 as it was seen to answer."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakes.api import Reply, Request


@dataclass
class TorchServe:
    """Models by name, each with its least and most workers."""

    models: dict[str, list[int]] = field(default_factory=lambda: {"chat": [2, 4]})
    token: str = ""
    broken: str = ""  # `slow`: not all workers are up; `dead`: none can be started
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer as the server does."""
        self.asked.append(f"{request.verb} {request.path}")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            words = "Token Authorization failed. Token either incorrect, expired, or not provided"
            return _error(400, "InvalidKeyException", words)
        url = urlsplit(request.path)
        name = url.path.removeprefix("/models/")
        if name not in self.models:
            return _error(404, "ModelNotFoundException", f"Model not found: {name}")
        if request.verb == "GET":
            least, most = self.models[name]
            shown: dict[str, Any] = {"modelName": name, "batchSize": 1, "workers": []}
            return Reply(200, [{**shown, "minWorkers": least, "maxWorkers": most}])
        return self._scale(name, {key: each[-1] for key, each in parse_qs(url.query).items()})

    def _scale(self, name: str, query: dict[str, str]) -> Reply:
        least = int(query.get("min_worker", 1))
        most = int(query.get("max_worker", least))
        if most < least:
            words = "max_worker cannot be less than min_worker."
            return _error(400, "BadRequestException", words)
        if query.get("synchronous") != "true":
            return Reply(202, {"status": "Processing worker updates..."})
        if self.broken == "dead":
            return _error(500, "InternalServerException", "Failed to start workers")
        self.models[name] = [least, most]
        if self.broken == "slow":
            return Reply(206, {"status": "Workers scaling in progress..."})
        return Reply(200, {"status": f"Workers scaled to {least} for model: {name}"})


def _error(status: int, kind: str, message: str) -> Reply:
    return Reply(status, {"code": status, "type": kind, "message": message})
