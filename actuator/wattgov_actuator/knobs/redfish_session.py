"""A session with a Redfish service: log in, get, patch, and say in words what went wrong.

Source: DMTF DSP0266 1.20, on authentication, sessions, ETags, tasks and error bodies.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.secrets import secret
from wattgov_actuator.knobs.web import Headers, Reply, Web
from wattgov_actuator.reading import Fault, KnobError

ROOT = "/redfish/v1/"
SESSIONS = f"{ROOT}SessionService/Sessions"
MOST_MEMBERS = 64
RESTED_ASKS = 40  # BMCs lock an account after a few wrong passwords: ten minutes of ticks
MOST_LOOKS = 300  # at a task
LONGEST_REST_SECONDS = 5.0
RUNNING = {"New", "Starting", "Running", "Pending", "Suspended", "Service", "Stopping"}

FIXES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "check username and password",
    HTTPStatus.FORBIDDEN: "the account needs the privilege ConfigureComponents",
    HTTPStatus.PRECONDITION_FAILED: "somebody else is changing it at the same time",
}
DISABLED = "ActionNotSupported"
"""What a BMC says, among others, to a limit while its capping is switched off (bmcweb)."""

Resource = Mapping[str, Any]


class Service:
    """One BMC and our session with it."""

    def __init__(self, way: Connection) -> None:
        """Take the connection; nothing is asked yet."""
        self._way = way
        self._web = Web(way, lambda: self._login)
        self._login: Headers = {}
        self._session, self._password = "", ""
        self._known = not way.text("username")
        self._refused, self._rested = "", 0

    def get(self, path: str) -> Resource:
        """Return a resource; raises KnobError."""
        return self._resource(self._asked("GET", path))

    def members(self, path: str) -> Iterator[Resource]:
        """Yield the resources of a collection, over its pages."""
        page, count = path, 0
        while page and count < MOST_MEMBERS:
            collection = self.get(page)
            for member in _list(collection.get("Members"))[: MOST_MEMBERS - count]:
                count += 1
                if target(member):
                    yield self.get(target(member))
            following = collection.get("Members@odata.nextLink")
            page = following if isinstance(following, str) else ""

    def patch(self, path: str, body: Resource) -> None:
        """Change a resource, and wait until it is; raises KnobError.

        What was refused for its ETag was not carried out, and may be said again.
        """
        reply = self._asked("PATCH", path, body, self._match(path))
        if reply.status == HTTPStatus.PRECONDITION_FAILED:
            reply = self._asked("PATCH", path, body, self._match(path))
        elif reply.status == HTTPStatus.PRECONDITION_REQUIRED:
            reply = self._asked("PATCH", path, body, {"If-Match": "*"})
        if reply.status == HTTPStatus.ACCEPTED:
            self._follow(reply)
        elif not reply.good:
            raise self._fault(reply)

    def close(self) -> None:
        """Log out, as far as the BMC still answers: it holds few sessions."""
        session, self._session = self._session, ""
        if session:
            with suppress(KnobError):  # it forgets the session by itself, after its time
                self._web.ask("DELETE", session)
        self._login, self._known = {}, not self._way.text("username")
        self._web.close()

    def _match(self, path: str) -> Headers:
        """Return the condition that the resource is still what it was; none has no ETag."""
        reply = self._asked("GET", path)
        etag = reply.headers.get("ETag") or self._resource(reply).get("@odata.etag")
        return {"If-Match": etag} if isinstance(etag, str) else {}

    def _follow(self, reply: Reply) -> None:
        """Wait for the end of a task: of its monitor, or of the task itself."""
        place = urlsplit(reply.headers.get("Location", "")).path
        for _ in range(MOST_LOOKS):
            if not place.startswith("/"):
                break
            after = reply.headers.get("Retry-After", "1")
            rest = float(after) if after.isdecimal() else 1.0
            Event().wait(min(rest, LONGEST_REST_SECONDS))
            reply = self._asked("GET", place)
            if reply.status == HTTPStatus.ACCEPTED:
                continue
            if not reply.good:
                raise self._fault(reply)
            task = parsed(reply.content)
            state = task.get("TaskState", "Completed")
            if state in RUNNING:
                continue
            if state != "Completed":
                words = " ".join(_words(task.get("Messages"))) or "it does not say why"
                detail = f"{reply.url}: the task ended as {state}: {words}"
                raise KnobError(Fault.REFUSED, self._told(detail))
            return
        raise KnobError(Fault.LOST, f"{reply.url} took the order for later, and does not end")

    def _asked(
        self, verb: str, path: str, body: Resource | None = None, headers: Headers | None = None
    ) -> Reply:
        """Return the answer; a session that has ended is renewed once."""
        fresh = not self._known
        if fresh:
            self._log_in()
        reply = self._web.ask(verb, path, body, headers={**DIALECT, **(headers or {})})
        if reply.status != HTTPStatus.UNAUTHORIZED or not self._way.text("username"):
            return reply
        if not fresh:
            self._log_in()
            reply = self._web.ask(verb, path, body, headers={**DIALECT, **(headers or {})})
        if reply.status == HTTPStatus.UNAUTHORIZED:
            self._known, self._refused = False, self._password
        return reply

    def _log_in(self) -> None:
        """Open a session; where there are none to have, send the password with each request."""
        self._login, self._session, self._known = {}, "", False
        name, password = self._way.text("username"), secret(self._way, "password")
        if not password:
            detail = f"{self._way.text('url')}: a username needs password_file, or password_env"
            raise KnobError(Fault.REFUSED, detail)
        if password == self._refused and self._rested < RESTED_ASKS:
            self._rested += 1
            detail = "its password was refused, and rests so that the account is not locked"
            raise KnobError(Fault.REFUSED, f"{self._way.text('url')}: {detail}")
        self._password, self._refused, self._rested = password, "", 0
        body = {"UserName": name, "Password": password}
        reply = self._web.ask("POST", self._sessions(), body, headers=DIALECT)
        token = reply.headers.get("X-Auth-Token", "")
        if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._refused = password
            raise self._fault(reply)
        if reply.good and token:
            self._login = {"X-Auth-Token": token}
            self._session = urlsplit(reply.headers.get("Location", "")).path
        else:  # no session service, or all its sessions are taken (503 SessionLimitExceeded)
            pair = base64.b64encode(f"{name}:{password}".encode()).decode()
            self._login = {"Authorization": f"Basic {pair}"}
        self._known = True

    def _sessions(self) -> str:
        """Return where sessions are opened; the root tells without a login."""
        reply = self._web.ask("GET", ROOT, headers=DIALECT)
        links = parsed(reply.content).get("Links") if reply.good else None
        return (target(links.get("Sessions")) if isinstance(links, dict) else "") or SESSIONS

    def _resource(self, reply: Reply) -> Resource:
        if reply.status != HTTPStatus.OK:
            raise self._fault(reply)
        found = reply.json()
        if not isinstance(found, dict):
            raise KnobError(Fault.LOST, f"{reply.url} answered no JSON object: is it a BMC?")
        return found

    def _fault(self, reply: Reply) -> KnobError:
        """Return what the BMC says; some repeat the password that they were given."""
        error = parsed(reply.content).get("error")
        infos = error.get("@Message.ExtendedInfo") if isinstance(error, dict) else None
        gist = str(error.get("message", "")) if isinstance(error, dict) else ""
        words = " ".join(_words(infos)) or gist
        hidden = replace(reply, secrets=(*reply.secrets, self._password))
        fault = hidden.fault(FIXES, words)
        if any(str(each.get("MessageId", "")).endswith(f".{DISABLED}") for each in _list(infos)):
            detail = f"{fault.detail}; if its power capping is off, switch it on in the BMC"
            return KnobError(Fault.UNSUPPORTED, detail)
        return fault

    def _told(self, text: str) -> str:
        return text.replace(self._password, "***") if self._password else text


DIALECT: Headers = {"OData-Version": "4.0"}


def parsed(content: bytes) -> Resource:
    """Return the object that a body holds; an empty one where it is anything else."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def target(reference: object) -> str:
    """Return the path in `{"@odata.id": path}`, empty where it leads elsewhere."""
    path = reference.get("@odata.id") if isinstance(reference, dict) else None
    return path if isinstance(path, str) and path.startswith("/") else ""


def _words(infos: object) -> Iterator[str]:
    """Yield what messages of a registry say, and what to do."""
    for info in _list(infos):
        for key in ("Message", "Resolution"):
            text = info.get(key)
            if isinstance(text, str) and text not in {"", "None", "None."}:
                yield text


def _list(found: object) -> list[Resource]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
