"""The repository API of Triton 2.51 as it was seen to answer, its traps included."""

import json
from dataclasses import dataclass, field
from typing import Any

from fakes.api import Reply, Request

Config = dict[str, Any]

DEFAULTS: Config = {
    "platform": "",
    "backend": "python",
    "max_batch_size": 0,
    "input": [],
    "output": [],
    "instance_group": [{"name": "", "kind": "KIND_CPU", "count": 1, "gpus": []}],
    "parameters": {},
}


def config(name: str, **parts: object) -> Config:
    """Return a whole config as the server shows it."""
    whole: Config = {"name": name, **DEFAULTS, **parts}
    batching = whole.get("dynamic_batching")
    if batching is not None and not batching.get("preferred_batch_size"):
        whole["dynamic_batching"] = {**batching, "preferred_batch_size": [whole["max_batch_size"]]}
    return whole


CHAT = config(
    "chat",
    max_batch_size=32,
    input=[{"name": "IN", "data_type": "TYPE_FP32", "dims": [1]}],
    dynamic_batching={"preferred_batch_size": [8, 32], "max_queue_delay_microseconds": 1000},
    instance_group=[{"name": "chat_0", "kind": "KIND_CPU", "count": 4, "gpus": []}],
)


@dataclass
class Triton:
    """One server with the models that it has loaded, and those that its repository has."""

    models: dict[str, Config] = field(default_factory=lambda: {"chat": CHAT})
    mode: str = "explicit"
    header: tuple[str, str] | None = None  # of --http-restricted-api
    broken: str = ""  # why a model cannot be loaded, late
    loads: list[Config] = field(default_factory=list)
    files: dict[str, Config] = field(default_factory=dict)  # each `config.pbtxt`, if it differs
    leaving: dict[str, int] = field(default_factory=dict)  # looks at the index until it is gone
    looks: int = 2  # that it takes to unload one

    def __post_init__(self) -> None:
        """Put what runs into the repository."""
        self.files = {**self.models, **self.files}

    def __call__(self, request: Request) -> Reply:
        """Answer as the server does."""
        if self.header and request.headers.get(self.header[0]) != self.header[1]:
            return _error(403, f"This API is restricted, expecting header '{self.header[0]}'")
        match request.path.strip("/").split("/"):
            case ["v2", "models", name, "config"] if request.verb == "GET":
                return self._config(name)
            case ["v2", "repository", "models", name, "load" | "unload" as what]:
                if request.verb != "POST":
                    return _not_allowed()
                return self._load(name, request) if what == "load" else self._unload(name)
            case ["v2", "repository", "index"]:
                return self._index() if request.verb == "POST" else _not_allowed()
            case _:
                return _error(400, "Bad Request")

    def _config(self, name: str) -> Reply:
        if name not in self.models:
            return _error(404, f"Request for unknown model: '{name}' is not found")
        return Reply(200, self.models[name])

    def _load(self, name: str, request: Request) -> Reply:
        if self.mode != "explicit":
            return _error(503, "explicit model load / unload is not allowed if polling is enabled")
        parameters = json.loads(request.body or b"{}").get("parameters", {})
        wrong = set(parameters) - {"config"}
        if wrong or not isinstance(parameters.get("config", ""), str):
            words = "unexpected error on creating Triton parameter"
            return _error(500, words if wrong else "attempt to access JSON non-string as string")
        if "config" not in parameters and name in self.models:
            return Reply(200)  # and what was overridden stays
        given = json.loads(parameters.get("config", json.dumps(self.files.get(name, {}))))
        if name not in self.files or not _can_be(given):
            return _error(500, f"failed to load '{name}', failed to poll from model repository")
        if self.broken:
            return _error(400, f"load failed for model '{name}': version 1 is at {self.broken}")
        self.models[name] = config(**given)  # the whole of it: nothing is merged
        self.loads.append(self.models[name])
        return Reply(200)

    def _unload(self, name: str) -> Reply:
        if self.mode != "explicit":
            return _error(503, "explicit model load / unload is not allowed if polling is enabled")
        if self.models.pop(name, None) is not None:
            self.leaving[name] = self.looks
        return Reply(200)  # at once, and for any name

    def _index(self) -> Reply:
        rows: list[dict[str, str]] = []
        for name in self.files:
            if name in self.models:
                rows.append({"name": name, "version": "1", "state": "READY"})
            elif self.leaving.get(name):
                self.leaving[name] -= 1
                rows.append({"name": name, "version": "1", "state": "UNLOADING"})
            elif self.leaving.pop(name, None) is None:
                rows.append({"name": name})  # never loaded
            else:
                why = {"state": "UNAVAILABLE", "reason": "unloaded"}
                rows.append({"name": name, "version": "1", **why})
        return Reply(200, rows)


def _can_be(given: Config) -> bool:
    size = given.get("max_batch_size", 0)
    batching = given.get("dynamic_batching")
    preferred = batching.get("preferred_batch_size", []) if batching else []
    return size >= (1 if batching is not None else 0) and all(
        0 < each <= size for each in preferred
    )


def _not_allowed() -> Reply:
    return _error(405, "Method Not Allowed")


def _error(status: int, words: str) -> Reply:
    return Reply(status, {"error": words})
