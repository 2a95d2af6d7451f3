"""A strict zeusd on a Unix socket: its routes, checks and errors, over NVML as root has it.

After zeusd/src/routes/gpu.rs, auth.rs and error.rs of ml-energy/zeus at 75a8b93.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from urllib.parse import parse_qsl, urlsplit

import pynvml

WRITES = {
    "set_power_limit": {"power_limit_mw"},
    "set_gpu_locked_clocks": {"min_clock_mhz", "max_clock_mhz"},
    "reset_gpu_locked_clocks": set(),
}
STATUSES = {
    pynvml.NVML_ERROR_NO_PERMISSION: 403,
    pynvml.NVML_ERROR_INVALID_ARGUMENT: 400,
    pynvml.NVML_ERROR_NOT_SUPPORTED: 400,
}
Answer = tuple[int, object]


@dataclass
class Zeusd:
    """The state of one daemon; a test turns its knobs while it serves."""

    groups: tuple[str, ...] = ("gpu-control", "gpu-read")
    scopes: dict[str, tuple[str, ...]] | None = None  # by token; None: no token is asked for
    addresses: bool = True  # older ones do not tell where a card is
    reverse: bool = False  # counts the cards the other way round
    canned: Answer | None = None
    hangs: bool = False
    asked: list[str] = field(default_factory=list)
    letting_go: threading.Event = field(default_factory=threading.Event)

    def cards(self) -> list[object]:
        """Return the handles in the daemon's own order."""
        order = range(pynvml.nvmlDeviceGetCount())
        found = [pynvml.nvmlDeviceGetHandleByIndex(each) for each in order]
        return found[::-1] if self.reverse else found

    def answer(self, verb: str, path: str, token: str) -> Answer:
        """Return the status and the body."""
        parts = urlsplit(path)
        self.asked.append(f"{verb} {parts.path}")
        if (verb, parts.path) == ("GET", "/discover"):
            return 200, self._discovered()
        name = parts.path.removeprefix("/gpu/")
        if verb != "POST" or name not in WRITES:
            return 404, b""
        if "gpu-control" not in self.groups:
            return 404, {"error": "API group 'gpu-control' is not enabled on this server."}
        if self.scopes is not None and token not in self.scopes:
            return 401, {"error": "Invalid token: InvalidSignature"}
        if self.scopes is not None and "gpu-control" not in self.scopes[token]:
            return 403, {"error": "Token for user 'a' lacks required scope 'gpu-control'."}
        return self.canned or self._write(name, dict(parse_qsl(parts.query)))

    def _discovered(self) -> object:
        gpus = []
        for number, handle in enumerate(self.cards()):
            domain, rest = pynvml.nvmlDeviceGetPciInfo(handle).busId.split(":", 1)
            place = {"pci_address": f"{domain[-4:]}:{rest.lower()}"} if self.addresses else {}
            gpus.append({"id": number, "name": "NVIDIA A40", **place})
        return {
            "gpus": gpus,
            "cpus": [],
            "enabled_api_groups": self.groups,
            "auth_required": self.scopes is not None,
        }

    def _write(self, name: str, given: dict[str, str]) -> Answer:
        fields = WRITES[name]
        numbers = all(given.get(each, "").isdecimal() for each in (*fields, "gpu_ids"))
        if set(given) != fields | {"gpu_ids", "block"} or not numbers or given["block"] != "true":
            return 400, b"Query deserialize error"
        number, cards = int(given["gpu_ids"]), self.cards()
        if number >= len(cards):
            return 400, f"GPU index {number} does not exist.".encode()
        values = [int(given[each]) for each in sorted(fields, reverse=True)]
        calls = {
            "set_power_limit": pynvml.nvmlDeviceSetPowerManagementLimit,
            "set_gpu_locked_clocks": pynvml.nvmlDeviceSetGpuLockedClocks,
            "reset_gpu_locked_clocks": pynvml.nvmlDeviceResetGpuLockedClocks,
        }
        try:
            calls[name](cards[number], *values)
        except pynvml.NVMLError as error:
            words = {"errors": {str(number): f"NVML error: {error}"}}
            return STATUSES.get(error.value, 500), words
        return 200, b""


@contextmanager
def serving(zeusd: Zeusd, path: Path) -> Iterator[str]:
    """Serve at *path* while the context lasts; give the path."""
    pynvml.nvmlInit()
    server = _Server(str(path), zeusd)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield str(path)
    finally:
        zeusd.letting_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
        path.unlink()
        pynvml.nvmlShutdown()


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._any()

    def do_POST(self) -> None:
        self._any()

    def _any(self) -> None:
        zeusd = self.server.zeusd
        if zeusd.hangs:
            zeusd.letting_go.wait()
            self.close_connection = True
            return
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, body = zeusd.answer(self.command, self.path, token)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: tests look at what was asked."""


class _Server(ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, zeusd: Zeusd) -> None:
        self.zeusd = zeusd
        super().__init__(path, _Handler)

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that does not wait for the answer."""
