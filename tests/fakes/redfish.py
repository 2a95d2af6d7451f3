"""A strict Redfish service on loopback: sessions, Basic, ETags, and errors as DSP0266 has them."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fakes import https

ROOT = "/redfish/v1/"
SESSIONS = "/redfish/v1/SessionService/Sessions"
TASK = "/redfish/v1/TaskService/Tasks/1"
JSON = "application/json; charset=utf-8"

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer out of the ordinary; one that is *held* stops short of its end, or its start."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    held: bool = False


@dataclass
class Bmc:
    """The state of one controller; a test turns its knobs while it serves."""

    resources: dict[str, Resource]
    users: dict[str, str] = field(default_factory=lambda: {"meter": "correct horse"})
    has_sessions: bool = True
    full: bool = False
    canned: dict[str, Canned] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    refusals: int = 0
    opened: int = 0
    needs_match: bool = False  # a PATCH without If-Match answers 428
    capping: bool = True  # off: the old Power refuses a limit, as bmcweb does
    lies: bool = False  # says that it has changed something, and has not
    tasks: list[Resource] = field(default_factory=list)  # what a PATCH becomes, look by look
    changed: Callable[[], None] = lambda: None  # called after each change
    letting_go: threading.Event = field(default_factory=threading.Event)

    def expire(self) -> None:
        """Forget every session."""
        self.tokens.clear()

    def count(self, verb: str, path: str) -> int:
        """Return how often this was asked."""
        return self.requests.count((verb, path))


def error(key: str, message: str, resolution: str = "None") -> bytes:
    """Return an error body with one message of the Base registry."""
    info = {
        "@odata.type": "#Message.v1_1_2.Message",
        "MessageId": f"Base.1.15.{key}",
        "Message": message,
        "MessageArgs": [],
        "Severity": "Critical",
        "Resolution": resolution,
    }
    gist = {
        "code": f"Base.1.15.{key}",
        "message": "A general error has occurred. See ExtendedInfo for more information.",
        "@Message.ExtendedInfo": [info],
    }
    return json.dumps({"error": gist}).encode()


def chassis(name: str, /, kind: str = "RackMount", **links: Resource) -> dict[str, Resource]:
    """Return the resources of one chassis: itself, and what its properties point to."""
    path = f"/redfish/v1/Chassis/{name}"
    resources: dict[str, Resource] = {
        path: {"@odata.id": path, "Id": name, "ChassisType": kind},
    }
    for link, resource in links.items():
        resources[path][link] = {"@odata.id": f"{path}/{link}"}
        resources[f"{path}/{link}"] = {"@odata.id": f"{path}/{link}", **resource}
    return resources


def tree(*members: dict[str, Resource]) -> dict[str, Resource]:
    """Return a whole service of these chassis."""
    paths = [next(iter(one)) for one in members]
    root = {
        "@odata.id": ROOT,
        "RedfishVersion": "1.15.0",
        "Chassis": {"@odata.id": "/redfish/v1/Chassis"},
        "Links": {"Sessions": {"@odata.id": SESSIONS}},
    }
    resources: dict[str, Resource] = {ROOT: root, "/redfish/v1/Chassis": collection(paths)}
    for one in members:
        resources |= one
    return resources


def collection(paths: list[str]) -> Resource:
    """Return a collection of these."""
    return {
        "Members": [{"@odata.id": path} for path in paths],
        "Members@odata.count": len(paths),
    }


def tag(resource: Resource) -> str:
    """Return the ETag of what a resource is now."""
    return f'"{hashlib.sha256(json.dumps(resource).encode()).hexdigest()[:16]}"'


def refused(old: Resource, new: Resource, *, capping: bool) -> bytes | None:
    """Return what bmcweb has against a change, None when it takes it."""
    for key, value in new.items():
        if key not in old:
            return error("PropertyUnknown", f"The property {key} is not in the list.")
        if key == "ControlMode" and value not in {"Automatic", "Disabled"}:
            return error("PropertyValueNotInList", f"The value {value} is not in the list.")
        found = None
        if key in {"SetPoint", "LimitInWatts"}:
            found = _refused_watts(old, key, value, capping=capping)
        pairs = [(old[key], value)] if isinstance(value, dict) else []
        if isinstance(value, list):
            pairs = list(zip(old[key], value, strict=False))
        inside = (refused(*pair, capping=capping) for pair in pairs)
        found = found or next(filter(None, inside), None)
        if found is not None:
            return found
    return None


def _refused_watts(old: Resource, key: str, value: object, *, capping: bool) -> bytes | None:
    if key == "LimitInWatts" and not capping:
        words = "Setting LimitInWatts when PowerLimit feature is disabled is not supported."
        return error("ActionNotSupported", words)
    if value is None:
        return None
    if not isinstance(value, int):  # bmcweb keeps whole watts
        return error("PropertyValueTypeError", f"The value {value} is of another type.")
    if not old.get("AllowableMin", 0) <= value <= old.get("AllowableMax", 1 << 32):
        return error("PropertyValueOutOfRange", f"The value {value} is out of range.")
    return None


def merge(old: Resource, new: Resource) -> None:
    """Change *old* as a PATCH does: a member of an array that is missing in *new* ends."""
    for key, value in new.items():
        if isinstance(value, dict):
            merge(old[key], value)
        elif isinstance(value, list):
            del old[key][len(value) :]
            for one, other in zip(old[key], value, strict=True):
                merge(one, other)
        else:
            old[key] = value


def serving(bmc: Bmc, certificate: tuple[str, str] | None = None) -> AbstractContextManager[str]:
    """Serve while the context lasts; give the URL. *certificate* is the files of it and its key."""
    return https.serving(_Server(bmc), bmc.letting_go, certificate)


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if not self._admitted():
            return
        bmc = self.server.bmc
        if self.path == TASK and bmc.tasks:
            task = bmc.tasks.pop(0)
            state = 202 if task.get("TaskState") == "Running" else 200
            self._answer(state, json.dumps(task).encode(), Location=TASK, **{"Retry-After": "0"})
            return
        resource = bmc.resources.get(self.path)
        if resource is None:
            self._missing()
            return
        etag = tag(resource)
        if self.headers.get("If-None-Match") == etag:
            self._answer(304, b"", ETag=etag)
            return
        self._answer(200, json.dumps(resource).encode(), ETag=etag)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self._admitted():
            return
        if self.path != SESSIONS or not self.server.bmc.has_sessions:
            self._missing()
        elif self.headers.get_content_type() != "application/json":
            self._answer(415, error("UnsupportedMediaType", "The body is not JSON."))
        elif self.server.bmc.full:
            words = "The session establishment failed due to the number of sessions."
            self._answer(503, error("SessionLimitExceeded", words), **{"Retry-After": "30"})
        else:
            self._open(json.loads(body))

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self._admitted():
            return
        bmc = self.server.bmc
        resource, match = bmc.resources.get(self.path), self.headers.get("If-Match")
        if resource is None:
            self._missing()
        elif "Members" in resource:
            self._answer(405, error("ActionNotSupported", "A collection is not changed."))
        elif self.headers.get_content_type() != "application/json":
            self._answer(415, error("UnsupportedMediaType", "The body is not JSON."))
        elif match is None and bmc.needs_match:
            self._answer(428, error("PreconditionRequired", "If-Match is required."))
        elif match not in {None, "*", tag(resource)}:
            self._answer(412, error("PreconditionFailed", "The ETag is another one."))
        else:
            self._change(resource, json.loads(body))

    def _change(self, resource: Resource, body: Resource) -> None:
        bmc = self.server.bmc
        refusal = refused(resource, body, capping=bmc.capping)
        if refusal is not None:
            self._answer(400, refusal)
            return
        if not bmc.lies:
            merge(resource, body)
            bmc.changed()
        if bmc.tasks:
            bmc.resources[TASK] = {"@odata.id": TASK, "TaskState": "New"}
            self._answer(202, b"{}", Location=TASK, **{"Retry-After": "0"})
        else:
            self._answer(204, b"")

    def do_DELETE(self) -> None:
        if not self._admitted():
            return
        tokens = [token for token, path in self.server.bmc.tokens.items() if path == self.path]
        if not tokens:
            self._missing()
            return
        del self.server.bmc.tokens[tokens[0]]
        self._answer(204, b"")

    def _open(self, body: Resource) -> None:
        if {"UserName", "Password"} != set(body):
            self._answer(400, error("PropertyMissing", "UserName and Password are required."))
        elif self.server.bmc.users.get(body["UserName"]) != body["Password"]:
            self.server.bmc.refusals += 1
            # Some firmware repeats what it was given.
            words = f"The value {body['Password']} for the property Password is not valid."
            self._answer(401, error("PropertyValueError", words, "Use a valid one."))
        else:
            self.server.bmc.opened += 1
            token = hashlib.sha256(str(self.server.bmc.opened).encode()).hexdigest()
            path = f"{SESSIONS}/{self.server.bmc.opened}"
            self.server.bmc.tokens[token] = path
            headers = {"X-Auth-Token": token, "Location": path}
            self._answer(201, json.dumps({"@odata.id": path}).encode(), **headers)

    def _admitted(self) -> bool:
        """Note the request; answer it unless it may go on to a resource."""
        self.server.bmc.requests.append((self.command, self.path))
        canned = self.server.bmc.canned.get(self.path)
        opens = (self.command, self.path) == ("POST", SESSIONS)
        if self.headers.get("OData-Version", "4.0") != "4.0":
            self._answer(412, error("PreconditionFailed", "OData-Version 4.0 is spoken."))
        elif "application/json" not in self.headers.get("Accept", "application/json"):
            self._answer(406, error("NotAcceptable", "JSON is spoken."))
        elif not (opens or self.path == ROOT or self._is_known()):
            words = "There is no valid session established with the implementation."
            body = error("NoValidSession", words, "Establish a session.")
            self._answer(401, body, **{"WWW-Authenticate": 'Basic realm="BMC"'})
        elif canned is not None:
            self._out_of_the_ordinary(canned)
        else:
            return True
        return False

    def _out_of_the_ordinary(self, canned: Canned) -> None:
        if not canned.held:
            self._answer(canned.status, canned.body, canned.content_type, **canned.headers)
            return
        if canned.body:
            self.send_response(canned.status)
            self.send_header("Content-Length", str(len(canned.body) + 1))
            self.end_headers()
            self.wfile.write(canned.body)
            self.wfile.flush()
        self.server.bmc.letting_go.wait()
        self.close_connection = True

    def _is_known(self) -> bool:
        token = self.headers.get("X-Auth-Token")
        if token is not None:
            return token in self.server.bmc.tokens
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        username, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        known = self.server.bmc.users.get(username) == password
        self.server.bmc.refusals += not known
        return known

    def _missing(self) -> None:
        words = f"The resource at the URI '{self.path}' was not found."
        self._answer(404, error("ResourceMissingAtURI", words, "Give a valid URI."))

    def _answer(self, status: int, body: bytes, kind: str = JSON, **headers: str) -> None:
        self.send_response(status)
        self.send_header("OData-Version", "4.0")
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status not in {204, 304}:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: requests are noted, not logged."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, bmc: Bmc) -> None:
        self.bmc = bmc
        super().__init__(("127.0.0.1", 0), _Handler)
