"""The control calls of SGLang as 0.5.23 was seen to answer them; what ends it, by its source."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fakes.api import Reply, Request

ALL = ["kv_cache", "weights", "cuda_graph"]
INFO: dict[str, Any] = {
    "version": "0.5.23",
    "enable_memory_saver": True,
    "enable_weights_cpu_backup": True,
    "pp_size": 1,
    "dp_size": 1,
    "tokenizer_worker_num": 1,
    "disaggregation_mode": "null",
    "speculative_algorithm": None,
    "enable_hierarchical_cache": False,
    "weight_cache_mode": "off",
}
OPEN = {"/metrics", "/ready", "/health", "/health_generate"}
ORDERS = {
    "/pause_generation",
    "/continue_generation",
    "/release_memory_occupation",
    "/resume_memory_occupation",
}


@dataclass
class Sglang:
    """One server."""

    gone: list[str] = field(default_factory=list)  # the tags of memory that is given back
    paused: bool = False
    dead: bool = False  # until somebody starts it anew
    counts: dict[str, int] = field(default_factory=dict)  # its requests and answers, by series
    waiting: int = 0  # requests that nobody has answered yet
    slips_in: int = 0  # requests that come as it is paused
    info: dict[str, Any] = field(default_factory=lambda: {**INFO})
    metrics: bool = True  # --enable-metrics
    healthy: bool = True
    silent: bool = False  # it carries orders out, and their answers do not come
    key: str = ""  # --api-key
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer as the server does."""
        path = urlsplit(request.path).path
        if self.dead:
            raise ConnectionError
        came = f'requests_total{{endpoint="{path}",method="{request.verb}"}}'
        self.counts[came] = self.counts.get(came, 0) + 1
        reply = self._told(request, path)
        if self.dead:
            raise ConnectionError
        if not (self.silent and path in ORDERS):
            labels = f'endpoint="{path}",method="{request.verb}",status_code="{reply.status}"'
            said = f"responses_total{{{labels}}}"
            self.counts[said] = self.counts.get(said, 0) + 1
        return reply

    @property
    def serves(self) -> bool:
        """Whether a client gets an answer."""
        return not (self.dead or self.gone or self.paused)

    def again(self) -> None:
        """Start anew, as whoever watches over it would."""
        self.gone, self.paused, self.dead, self.counts = [], False, False, {}

    def client(self) -> None:
        """Take a request of a client: it waits at the pause, or is computed."""
        if self.paused:
            self.waiting += 1
        self.dead = self.dead or (not self.paused and bool(self.gone))

    def _told(self, request: Request, path: str) -> Reply:
        known = f"Bearer {self.key}" in {request.headers.get("Authorization"), "Bearer "}
        if not known and path not in OPEN:
            return Reply(401, {"error": "Unauthorized"})
        if request.verb == "POST" and path in ORDERS:
            self.asked.append(path)
            return self._ordered(path, request.json())
        match request.verb, path:
            case "GET", "/metrics" if self.metrics:
                return Reply(200, self._metrics(), {"Content-Type": "text/plain; version=0.0.4"})
            case "GET", "/ready":
                return Reply(503 if self.paused or not self.healthy else 200)
            case "GET", "/health" | "/health_generate":
                return self._health()
            case _:
                known = (request.verb, path) == ("GET", "/server_info")
                return Reply(200, self.info) if known else Reply(404, {"detail": "Not Found"})

    def _ordered(self, path: str, body: object) -> Reply:
        given = body if isinstance(body, dict) else {}
        tags = given.get("tags") or ALL
        match path:
            case "/pause_generation" if given.get("mode") == "retract":
                self.paused, self.waiting = True, self.waiting + self.slips_in
            case "/pause_generation":
                self.dead = True  # `abort` waits, `in_place` leaves requests at work: not ours
            case "/continue_generation":
                self.paused, self.dead = False, bool(self.gone and self.waiting)
                self.waiting = 0
            case "/release_memory_occupation":
                self.dead = bool(not self.paused and self.waiting) or bool({*tags} & {*self.gone})
                self.gone += tags
            case _:
                self.dead = not {*tags} <= {*self.gone}  # KeyError
                self.gone = [each for each in self.gone if each not in tags]
        if path.endswith("_occupation"):
            return Reply(200, b"null")
        return Reply(200, {"message": "done", "status": "ok"})

    def _health(self) -> Reply:
        """Compute a token; one that is paused gives up after 20 s, and is not ready afterwards."""
        self.healthy = not self.paused
        self.dead = self.healthy and bool(self.gone)
        return Reply(200 if self.healthy else 503)

    def _metrics(self) -> bytes:
        active = Counter({"/v1/chat/completions": self.waiting, "/metrics": 1})
        lines = [f"sglang:http_{series} {value}.0" for series, value in self.counts.items()]
        lines += [
            f'sglang:http_requests_active{{endpoint="{path}",method="POST"}} {value}.0'
            for path, value in active.items()
        ]
        return "\n".join(["# TYPE sglang:http_requests_total counter", *lines, ""]).encode()
