"""The development calls of vLLM as 0.32 was seen to answer them, and older ones in their source."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fakes.api import Reply, Request

MODES = {"abort", "wait", "keep"}
TAGS = ("kv_cache", "weights")
NOISE = "whatever the memory holds"
DEAD = Reply(500, {"error": {"message": "EngineCore encountered an issue.", "code": 500}})


@dataclass
class Vllm:
    """One server."""

    paused: bool = False  # its scheduler is
    gone: list[str] = field(default_factory=list)  # the tags of memory that is given back
    state: str = "awake"  # what its metrics say of that
    weights: str = "those of chat"
    kept: str = ""  # weights in the memory of the CPU
    files: str = "those of chat"  # what a load finds
    config: dict[str, Any] = field(default_factory=dict)  # on top of what is usual
    version: str = "0.32.0+cpu"
    packed: bool = False  # a part of its weights lies where no sum finds it, as on a CPU
    dead: bool = False
    dev: bool = True  # VLLM_SERVER_DEV_MODE
    empty: bool = False  # its answers up to 0.31
    running: int = 0  # requests
    waiting: int = 0
    counts: bool = True  # whether it shows those in its metrics
    stuck: bool = False  # it says 200, and sleeps on
    falling: bool = False  # a sleep with `mode=wait` waits for what runs
    comes: int = 0  # requests that come while its weights are summed
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer as the server does."""
        url = urlsplit(request.path)
        if (request.verb, url.path) == ("GET", "/metrics"):
            return Reply(200, self._metrics(), {"Content-Type": "text/plain; version=0.0.4"})
        if not self.dev:
            return Reply(404, {"detail": "Not Found"})
        return DEAD if self.dead else self._told(request, url.path, parse_qsl(url.query))

    def _told(self, request: Request, path: str, query: list[tuple[str, str]]) -> Reply:
        match request.verb, path:
            case "GET", "/is_sleeping":
                return Reply(200, {"is_sleeping": self.sleeping})
            case "GET", "/server_info" | "/version":
                found = {"vllm_config": self._config()}
                return Reply(200, found if path == "/server_info" else {"version": self.version})
            case "POST", "/sleep" | "/wake_up":
                self.asked.append(request.path)
                tags = [value for key, value in query if key == "tags"]
                return self._sleep(dict(query)) if path == "/sleep" else self._wake(tags)
            case "POST", "/collective_rpc" | "/weight_checker":
                return self._on_weights(path, request.json())
            case _, "/is_sleeping" | "/sleep" | "/wake_up":
                return Reply(405, {"detail": "Method Not Allowed"})
            case _:
                return Reply(404, {"detail": "Not Found"})

    @property
    def sleeping(self) -> bool:
        """Whether it says so: one that somebody has paused does, too."""
        return self.paused or bool(self.gone)

    @property
    def serves(self) -> str:
        """What a client gets."""
        return "nothing" if self.sleeping or self.dead else self.weights

    def _sleep(self, query: dict[str, str]) -> Reply:
        level, mode = query.get("level", "1"), query.get("mode", "abort")
        if level not in {"0", "1", "2"} or mode not in MODES:
            return Reply(400, {"error": {"message": "level must be 0, 1 or 2", "code": 400}})
        if mode == "abort":
            self.running = self.waiting = 0
        self.falling = mode == "wait" and self.running > 0  # its answer comes later, or never
        self.paused = True
        if level != "0" and "weights" not in self.gone:
            self.kept = self.weights if level == "1" else ""
            self.weights, self.gone = NOISE, [*TAGS]
        self.state = {"1": "weights_offloaded", "2": "discard_all"}.get(level, self.state)
        return self._said({"status": "sleeping", "level": int(level)})

    def _wake(self, tags: list[str]) -> Reply:
        wanted = tags or [*self.gone]
        if not self.stuck and set(wanted) <= set(self.gone):
            if "weights" in wanted:
                self.weights, self.kept = self.kept or NOISE, ""
            self.gone = [each for each in self.gone if each not in wanted]
        if not self.gone and not self.stuck:
            self.paused, self.state = False, "awake"
        said = "sleeping" if self.sleeping else "awake"
        return self._said({"status": said, "tags": tags or None})

    def _on_weights(self, path: str, body: object) -> Reply:
        given = body if isinstance(body, dict) else {}
        what = given.get("method" if path == "/collective_rpc" else "action")
        self.asked.append(f"{path} {what}")
        if "weights" in self.gone:  # an illegal memory access
            self.dead = True
            return DEAD
        match what:
            case "reload_weights":
                self.weights = self.files
                return Reply(200, {"results": [None]})
            case "checksum":
                self.running += self.comes
                digest = sha256(self.weights.encode()).hexdigest()
                more = {"model.head.weight": sha256().hexdigest()} if self.packed else {}
                return Reply(200, {"checksums": {"model.norm.weight": digest, **more}})
            case "reset":
                self.weights = NOISE
                return Reply(200, {"status": "reset"})
            case None:
                return Reply(400, {"detail": "Missing 'method' in request body"})
            case _:
                return Reply(500, {"error": {"message": "Call failed", "code": 500}})

    def _config(self) -> dict[str, Any]:
        usual: dict[str, Any] = {
            "model_config": {"model": "chat", "quantization": None},
            "load_config": {"load_format": "auto"},
            "speculative_config": None,
            "lora_config": None,
        }
        return {**usual, **self.config}

    def drained(self) -> None:
        """Let what runs come to its end; a sleep that waited for it comes, whatever came since."""
        self.running = 0
        self.paused, self.falling = self.paused or self.falling, False

    def _said(self, body: dict[str, Any]) -> Reply:
        return Reply(200) if self.empty else Reply(200, body)

    def _metrics(self) -> bytes:
        engine = 'engine="0",model_name="a/{b} c"'
        shown = {"num_requests_running": self.running, "num_requests_waiting": self.waiting}
        lines = [f"vllm:{name}{{{engine}}} {value:.1f}" for name, value in shown.items()]
        lines += [f'vllm:num_requests_waiting_by_reason{{{engine},reason="capacity"}} 7.0']
        under_way = {"sleep": self.falling, "wake": 0}
        lines += [
            f'vllm:sleep_mode_operations_in_flight{{operation="{each}"}} {value:.1f}'
            for each, value in under_way.items()
        ]
        lines += [
            f'vllm:engine_sleep_state{{{engine},sleep_state="{each}"}} {each == self.state:.1f}'
            for each in ("awake", "weights_offloaded", "discard_all")
        ]
        return "\n".join(["# HELP python_info 1", *(lines if self.counts else []), ""]).encode()
