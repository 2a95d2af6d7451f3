"""A strict kubelet, and API server, on loopback: one list of pods, a token, nothing else."""

import json
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakes import https

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ3YXR0Z292In0.c2ln"  # noqa: S105  the fake's own
NODE = "node-1"
JSON = "application/json"

Pod = dict[str, Any]


@dataclass
class Kubelet:
    """What it knows and how it behaves; a test turns its knobs while it serves.

    *canned* is an answer out of the ordinary: status, content type, body. One that is *held* stops
    short of its end.
    """

    pods: list[Pod]
    token: str | None = TOKEN
    allowed: bool = True
    api: bool = False
    canned: tuple[int, str, bytes] | None = None
    held: bool = False
    requests: list[str] = field(default_factory=list)
    letting_go: threading.Event = field(default_factory=threading.Event)


def pod(
    name: str,
    uid: str,
    containers: dict[str, str] | None = None,
    *,
    namespace: str = "default",
    annotations: dict[str, str] | None = None,
    init: dict[str, str] | None = None,
    phase: str = "Running",
    ballast: int = 0,
) -> Pod:
    """Return a pod as a kubelet shows it; *ballast* is bytes of managed fields."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "annotations": annotations or {},
            "managedFields": [
                {"manager": "kubelet", "fieldsV1": {"f:items": {}, "x": "y" * ballast}}
            ],
        },
        "spec": {"containers": [{"name": key, "env": []} for key in containers or {}]},
        "status": {
            "phase": phase,
            "containerStatuses": _statuses(containers or {}),
            "initContainerStatuses": _statuses(init or {}),
        },
    }


def static(name: str, digest: str, containers: dict[str, str]) -> Pod:
    """Return a pod of a file on the node: its uid there is the hash of its text."""
    return pod(
        f"{name}-{NODE}",
        digest,
        containers,
        namespace="kube-system",
        annotations={"kubernetes.io/config.hash": digest, "kubernetes.io/config.source": "file"},
    )


def mirror(name: str, uid: str, digest: str, containers: dict[str, str]) -> Pod:
    """Return what the API server shows of such a pod: a mirror with a uid of its own."""
    return pod(
        f"{name}-{NODE}",
        uid,
        containers,
        namespace="kube-system",
        annotations={"kubernetes.io/config.hash": digest, "kubernetes.io/config.mirror": digest},
    )


def listing(pods: list[Pod]) -> bytes:
    """Return the list as Go writes it: the kind first, then the items, `null` without any."""
    head: dict[str, Any] = {
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": {},
        "items": pods or None,
    }
    return json.dumps(head, separators=(",", ":")).encode()


def serving(
    kubelet: Kubelet, certificate: tuple[str, str] | None = None
) -> AbstractContextManager[str]:
    """Serve while the context lasts; give the URL. *certificate* is the files of it and its key."""
    return https.serving(_Server(kubelet), kubelet.letting_go, certificate)


def _statuses(containers: dict[str, str]) -> list[dict[str, Any]]:
    """Return statuses; a container that was not created yet has no id."""
    return [
        {"name": name, "ready": bool(number)}
        | ({"containerID": f"containerd://{number}"} if number else {})
        for name, number in containers.items()
    ]


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kubelet = self.server.kubelet
        kubelet.requests.append(self.path)
        given = self.headers.get("Authorization")
        if kubelet.token is not None and given != f"Bearer {kubelet.token}":
            self._answer(401, "text/plain; charset=utf-8", b"Unauthorized")
        elif not kubelet.allowed:
            words = b"Forbidden (user=wattgov, verb=get, resource=nodes, subresource=proxy)"
            self._answer(403, "text/plain; charset=utf-8", words)
        elif not self._asks_for_the_list():
            self._answer(404, "text/plain; charset=utf-8", b"404 page not found")
        elif kubelet.canned is not None:
            self._answer(*kubelet.canned)
        else:
            self._answer(200, JSON, listing(kubelet.pods))

    def _asks_for_the_list(self) -> bool:
        parts = urlsplit(self.path)
        if not self.server.kubelet.api:
            return self.path == "/pods"
        wanted = {"fieldSelector": [f"spec.nodeName={NODE}"], "resourceVersion": ["0"]}
        return parts.path == "/api/v1/pods" and parse_qs(parts.query) == wanted

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        held = self.server.kubelet.held
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + held))
        self.end_headers()
        self.wfile.write(body)
        if held:
            self.wfile.flush()
            self.server.kubelet.letting_go.wait()
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing: requests are noted, not logged."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that hangs up: one that does not trust the certificate does."""
