"""Receive what Alertmanager sends, so that on the first day an alert arrives somewhere."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

LARGEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert of a notification."""

    name: str
    status: str
    summary: str


class Receiver(ThreadingHTTPServer):
    """A webhook receiver on loopback; keeps the notices in the order they came."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self.notices: list[Notice] = []
        self.arrived = threading.Condition()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True, name="webhook").start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def take(self, body: dict[str, Any]) -> None:
        """Keep the alerts of one notification (webhook format version 4)."""
        with self.arrived:
            self.notices += [
                Notice(
                    alert["labels"].get("alertname", ""),
                    alert["status"],
                    alert.get("annotations", {}).get("summary", ""),
                )
                for alert in body["alerts"]
            ]
            self.arrived.notify_all()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    timeout = 10

    def do_POST(self) -> None:
        """Take a notification; what is not one is refused with 400."""
        try:
            length = min(int(self.headers.get("Content-Length", "0")), LARGEST_BYTES)
            self.server.take(json.loads(self.rfile.read(length)))
            status = 200
        except (ValueError, KeyError, TypeError, AttributeError):
            status = 400
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  the base's names
        """Keep quiet: the table shows what arrived."""
