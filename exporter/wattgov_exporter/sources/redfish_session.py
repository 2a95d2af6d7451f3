"""A session with a Redfish service: log in, get a resource, say in words what went wrong.

Source: DMTF DSP0266, on authentication, sessions and status codes.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth

from wattgov_exporter.config import Redfish as Settings
from wattgov_exporter.endpoint import is_clear_text, plain
from wattgov_exporter.reading import Clock, NoMeter, Reason
from wattgov_exporter.secret import Password
from wattgov_exporter.sources.redfish_json import Resource, link, parse, sentence

ROOT = "/redfish/v1/"
SESSIONS = f"{ROOT}SessionService/Sessions"
MAX_BYTES = 4 << 20
MAX_REDIRECTS = 3
_CHUNK_BYTES = 65536

REASONS: Mapping[int, Reason] = {
    HTTPStatus.UNAUTHORIZED: Reason.PERMISSION,
    HTTPStatus.FORBIDDEN: Reason.PERMISSION,
    HTTPStatus.NOT_FOUND: Reason.UNSUPPORTED,
    HTTPStatus.METHOD_NOT_ALLOWED: Reason.UNSUPPORTED,
    HTTPStatus.NOT_IMPLEMENTED: Reason.UNSUPPORTED,
    HTTPStatus.GATEWAY_TIMEOUT: Reason.TIMEOUT,
}

FIXES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "check username and password_file",
    HTTPStatus.FORBIDDEN: "the account needs the Login privilege",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes


class Service:
    """One management controller and our session with it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._base = settings.url
        self._seconds = settings.timeout_seconds
        self._clock = clock
        self._username = settings.username
        self._password = Password(settings.password_file, clock)
        self._clear_text = is_clear_text(settings.url) and not settings.insecure
        self._session: str | None = None
        self._known = settings.username is None
        self._http = requests.Session()
        # Neither a proxy nor ~/.netrc of the environment may come between.
        self._http.trust_env = False
        self._http.verify = str(settings.ca_file) if settings.ca_file else not settings.insecure
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._http.headers.update({"Accept": "application/json", "OData-Version": "4.0"})

    def get(self, path: str) -> Resource:
        """Return a resource; NoMeter with the reason when there is none to have.

        A session that has ended is renewed once.
        """
        if not path.startswith("/"):
            raise NoMeter(Reason.INVALID, f"{self._base} points to {plain(path)}, not to a path")
        fresh = not self._known
        if fresh:
            self._log_in()
        answer = self._follow(self._base + path)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._username and not fresh:
            self._log_in()
            answer = self._follow(self._base + path)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._username:
            self._known = False
            self._password.refused()
        return self._resource(answer)

    def close(self) -> None:
        """Log out, as far as the service still answers; it holds few sessions."""
        session, self._session = self._session, None
        if session is not None:
            # A service that does not answer forgets the session by itself, after its time.
            with suppress(NoMeter):
                self._send("DELETE", self._base + session)
        self._http.close()

    def _log_in(self) -> None:
        """Open a session; where there are none to have, send the password with each request."""
        self._known, self._session = False, None
        self._http.auth = None
        self._http.headers.pop("X-Auth-Token", None)
        if self._clear_text:
            raise NoMeter(
                Reason.INVALID,
                f"{self._base} would carry the password in clear text: give an https:// url, "
                "or say `insecure: true`",
            )
        password = self._password.read()
        answer = self._send(
            "POST",
            self._base + self._sessions(),
            {"UserName": self._username, "Password": password},
        )
        if REASONS.get(answer.status) is Reason.PERMISSION:
            self._password.refused()
            raise self._fault(answer)
        token = answer.headers.get("X-Auth-Token")
        if answer.status < HTTPStatus.MULTIPLE_CHOICES and token:
            self._http.headers["X-Auth-Token"] = token
            path = urlsplit(answer.headers.get("Location", "")).path
            self._session = path if path.startswith("/") else None
        else:
            # No session service, or all its sessions are taken (503 SessionLimitExceeded).
            self._http.auth = HTTPBasicAuth((self._username or "").encode(), password.encode())
        self._known = True

    def _sessions(self) -> str:
        """Return where sessions are opened; the root should tell without a login."""
        answer = self._follow(self._base + ROOT)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return SESSIONS
        links = self._resource(answer).get("Links")
        return (link(links, "Sessions") if isinstance(links, dict) else None) or SESSIONS

    def _follow(self, url: str) -> Answer:
        """Get *url*; a redirect is followed on the same host only, a token goes to no other."""
        for _ in range(MAX_REDIRECTS):
            answer = self._send("GET", url)
            goal = urljoin(url, answer.headers.get("Location", ""))
            if not HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
                return answer
            if urlsplit(goal)[:2] != urlsplit(self._base)[:2]:
                raise NoMeter(
                    Reason.INVALID,
                    f"{url} redirects to {plain(goal)}: if that is the BMC, give it as url",
                )
            url = goal
        raise NoMeter(Reason.INVALID, f"{url} redirects in a circle")

    def _send(self, verb: str, url: str, body: Mapping[str, str | None] | None = None) -> Answer:
        began = self._clock()
        try:
            with self._http.request(
                verb, url, json=body, timeout=self._seconds, allow_redirects=False, stream=True
            ) as response:
                return Answer(url, response.status_code, response.headers, _content(response))
        except requests.exceptions.SSLError as error:
            raise NoMeter(
                Reason.INVALID,
                f"{self._base}: its certificate is not trusted ({plain(_root_cause(error))}): "
                "give the CA that signed it as `ca_file:`, or say `insecure: true`",
            ) from error
        except requests.RequestException as error:
            slow = isinstance(error, requests.Timeout) or self._clock() - began >= self._seconds
            if slow:
                raise NoMeter(
                    Reason.TIMEOUT, f"{url} did not answer within {self._seconds:g} s"
                ) from error
            absent = isinstance(error, requests.ConnectionError)
            raise NoMeter(
                Reason.ABSENT if absent else Reason.INVALID,
                f"{url}: {plain(_root_cause(error))}",
            ) from error
        except OSError as error:
            # requests: no file at `verify`.
            raise NoMeter(Reason.INVALID, f"ca_file: {plain(str(error))}") from error

    def _resource(self, answer: Answer) -> Resource:
        if answer.status != HTTPStatus.OK:
            raise self._fault(answer)
        resource = parse(answer.content)
        if resource is None:
            kind = plain(answer.headers.get("Content-Type", "something"))
            raise NoMeter(
                Reason.INVALID, f"{answer.url} answered {kind} and no JSON object: is it a BMC?"
            )
        return resource

    def _fault(self, answer: Answer) -> NoMeter:
        words = plain(self._password.redact(sentence(answer.content)))
        said = f"{answer.url} answered {answer.status}" + (f": {words}" if words else "")
        fix = FIXES.get(answer.status)
        return NoMeter(
            REASONS.get(answer.status, Reason.INVALID),
            f"{said}; {fix}" if fix else said,
        )


def _content(response: requests.Response) -> bytes:
    content = b""
    for chunk in response.iter_content(_CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_BYTES:
            raise NoMeter(Reason.INVALID, f"{response.url} answered more than {MAX_BYTES} bytes")
    return content


def _root_cause(error: BaseException) -> str:
    """Return what the innermost library said: the outer ones only wrap it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
