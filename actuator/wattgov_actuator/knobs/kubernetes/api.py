"""The API server: where it is, what we are to it, and what it needs to let us.

A patch is always a merge patch: a strategic one, which clients send unless told otherwise, is
refused by custom resources. A busy server (429) has done nothing, and is asked again when it says.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from time import sleep
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.web import Headers, Reply, Web, bearer, plain
from wattgov_actuator.reading import Fault, KnobError

Thing = dict[str, Any]  # as the server gives it

MERGE = {"Content-Type": "application/merge-patch+json"}
DRY = "?dryRun=All"
TRIES = 4
LONGEST_SECONDS = 10.0  # that one answer of a busy server makes us wait
PAGE = 100  # objects of a list in one answer, which is bounded
CORE = "v1"  # the group of nodes and pods, which has no name
VERBS = {"GET": "get", "PATCH": "patch", "PUT": "update", "POST": "create", "WATCH": "watch"}


class Expired(Exception):
    """A version is too old: what is there has to be listed anew."""


class Api:
    """The server that a connection leads to: at `url`, or that of the cluster we run in."""

    def __init__(self, way: Connection, tries: int = TRIES) -> None:
        self._way, self._tries = way, tries
        self._opened: Web | None = None

    def get(self, path: str) -> Thing:
        """Return the object at *path*; raises KnobError."""
        return self._good("GET", path)

    def items(self, path: str, query: Mapping[str, str] = MappingProxyType({})) -> list[Thing]:
        """Return the objects of a list, page by page; raises KnobError."""
        return self.listed(path, query)[0]

    def listed(
        self, path: str, query: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[list[Thing], str]:
        """Return the objects of a list, and its version; raises KnobError."""
        things: list[Thing] = []
        asked = {**query, "limit": str(PAGE)}
        while True:
            page = self._good("GET", f"{path}?{urlencode(asked)}")
            found, meta = page.get("items") or [], page.get("metadata") or {}
            if not isinstance(found, list) or not isinstance(meta, dict):
                raise KnobError(Fault.LOST, f"{path} is no list of an API server")
            things += found
            if not meta.get("continue"):
                return things, str(meta.get("resourceVersion", ""))
            asked["continue"] = str(meta["continue"])

    @contextmanager
    def watch(self, path: str, version: str, seconds: float) -> Iterator[Iterator[Thing]]:
        """Give what changes after *version*, as events, for so long at most.

        Raises KnobError, and Expired where the server does not remember that version any more.
        """
        query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        asked = f"{path}?{urlencode({**query, 'timeoutSeconds': f'{seconds:.0f}'})}"
        with self._web.stream(asked, seconds + self._way.timeout_seconds) as found:
            if not isinstance(found, Reply):
                yield (_event(path, text) for text in found)
            elif found.status == HTTPStatus.GONE:
                raise Expired
            else:
                raise found.fault({HTTPStatus.FORBIDDEN: right("WATCH", path)})

    def patch(self, path: str, change: Mapping[str, object], *, dry: bool = False) -> Thing:
        """Merge *change* into what is there; where it is *dry*, only ask whether we might."""
        return self._good("PATCH", path + DRY * dry, change)

    def ask(self, verb: str, path: str, body: object = None) -> Reply:
        """Return the answer of whatever status but 429; raises KnobError."""
        for left in reversed(range(self._tries)):
            reply = self.once(verb, path, body)
            if reply.status != HTTPStatus.TOO_MANY_REQUESTS:
                return reply
            if left:
                sleep(wait_seconds(reply))
        raise KnobError(Fault.BUSY, f"the API server is too busy; asked {self._tries} times")

    def once(self, verb: str, path: str, body: object = None) -> Reply:
        """Return the answer of whatever status to one request; raises KnobError."""
        return self._web.ask(verb, path, body, headers=MERGE if verb == "PATCH" else None)

    def told(self, verb: str, path: str, reply: Reply) -> Thing:
        """Return the object of a good answer; raises KnobError, with the right that it takes."""
        if not reply.good:
            raise reply.fault({HTTPStatus.FORBIDDEN: right(verb, path)})
        found = reply.json()
        if not isinstance(found, dict):
            raise KnobError(Fault.LOST, f"{reply.url} is no API server of Kubernetes")
        return found

    def close(self) -> None:
        """Close the connection."""
        if self._opened is not None:
            self._opened.close()

    def _good(self, verb: str, path: str, body: object = None) -> Thing:
        return self.told(verb, path, self.ask(verb, path, body))

    @property
    def _web(self) -> Web:
        if self._opened is None:
            way = self._way
            self._opened = Web(way, bearer(way)) if way.text("url") else _of_the_cluster(way)
        return self._opened


def path_of(group: str, namespace: str, resource: str, name: str = "", part: str = "") -> str:
    """Return the path of an object, of a part of it, or of all; *group* is group and version.

    Without a *namespace* it is one of the cluster, or all of all namespaces.
    """
    root = "/api" if group == CORE else "/apis"
    parts = (*(("namespaces", namespace) if namespace else ()), resource, name, part)
    return "/".join((root, group, *(quote(each, safe="") for each in parts if each)))


def right(verb: str, path: str) -> str:
    """Return what to do where a request is forbidden: the rule of RBAC that allows it."""
    _, root, group, *rest = urlsplit(path).path.split("/")
    if root == "api":
        group = ""
    else:
        rest = rest[1:]  # without the version
    role = "ClusterRole"
    if rest[0] == "namespaces" and len(rest) > 2:  # noqa: PLR2004 (its name, and what is in it)
        role, rest = f"Role in {rest[1]}", rest[2:]
    resource, *name = rest
    what = "/".join([resource, *name[1:]])
    does = VERBS[verb] if name or verb != "GET" else "list"
    rule = f'{{apiGroups: ["{group}"], resources: ["{what}"], verbs: ["{does}"]}}'
    return f"give its account a {role} with the rule {rule}"


def _event(path: str, text: bytes) -> Thing:
    """Return an event of a watch; raises KnobError, and Expired."""
    try:
        event = json.loads(text)
        kind, thing = event["type"], event["object"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KnobError(Fault.LOST, f"{path} is no watch of an API server") from None
    if kind == "ERROR":
        if thing.get("code") == HTTPStatus.GONE:
            raise Expired
        raise KnobError(Fault.LOST, f"the watch of {path} ends: {plain(str(thing['message']))}")
    return {"type": kind, "object": thing}


def _of_the_cluster(way: Connection) -> Web:
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        detail = "this process runs in no cluster: give url, such as that of `kubectl proxy`"
        raise KnobError(Fault.LOST, detail)
    account = Path(way.text("account"))

    def headers() -> Headers:
        """Read the token each time: a new one is put there every hour or so."""
        try:
            return {"Authorization": f"Bearer {(account / 'token').read_text().strip()}"}
        except (OSError, UnicodeDecodeError) as error:
            detail = f"the token of the service account in {account} cannot be read: {error}"
            raise KnobError(Fault.REFUSED, detail) from None

    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    settings = {**way.settings, "url": url, "ca_file": str(account / "ca.crt")}
    return Web(replace(way, settings=settings), headers)


def wait_seconds(reply: Reply, usual: float = 1.0) -> float:
    """Return how long a busy server asks us to wait; *usual* where it does not say."""
    said = reply.headers.get("Retry-After", "")
    return min(float(said), LONGEST_SECONDS) if said.isdecimal() else usual
