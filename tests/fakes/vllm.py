"""The development calls of vLLM as 0.32 was seen to answer them, and older ones in their source."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fakes.api import Reply, Request

MODES = {"abort", "wait", "keep"}


@dataclass
class Vllm:
    """One server."""

    sleeping: bool = False
    dev: bool = True  # VLLM_SERVER_DEV_MODE
    empty: bool = False  # its answers up to 0.31
    running: int = 0  # requests
    waiting: int = 0
    counts: bool = True  # whether it shows those in its metrics
    stuck: bool = False  # it says 200, and sleeps on
    falling: bool = False  # a sleep with `mode=wait` waits for what runs
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer as the server does."""
        url = urlsplit(request.path)
        query = dict(parse_qsl(url.query))
        match request.verb, url.path:
            case "GET", "/metrics":
                return Reply(200, self._metrics(), {"Content-Type": "text/plain; version=0.0.4"})
            case _ if not self.dev:
                return Reply(404, {"detail": "Not Found"})
            case "GET", "/is_sleeping":
                return Reply(200, {"is_sleeping": self.sleeping})
            case "POST", "/sleep" | "/wake_up":
                self.asked.append(request.path)
                return self._sleep(query) if url.path == "/sleep" else self._wake()
            case _, "/is_sleeping" | "/sleep" | "/wake_up":
                return Reply(405, {"detail": "Method Not Allowed"})
            case _:
                return Reply(404, {"detail": "Not Found"})

    def _sleep(self, query: dict[str, str]) -> Reply:
        level, mode = query.get("level", "1"), query.get("mode", "abort")
        if level not in {"0", "1", "2"} or mode not in MODES:
            return Reply(400, {"error": {"message": "level must be 0, 1 or 2", "code": 400}})
        if mode == "abort":
            self.running = self.waiting = 0
        self.falling = mode == "wait" and self.running > 0  # its answer comes later, or never
        self.sleeping = True
        return self._said({"status": "sleeping", "level": int(level)})

    def _wake(self) -> Reply:
        self.sleeping = self.stuck
        return self._said({"status": "sleeping" if self.sleeping else "awake", "tags": None})

    def drained(self) -> None:
        """Let what runs come to its end; a sleep that waited for it comes, whatever came since."""
        self.running = 0
        self.sleeping, self.falling = self.sleeping or self.falling, False

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
        return "\n".join(["# HELP python_info 1", *(lines if self.counts else []), ""]).encode()
