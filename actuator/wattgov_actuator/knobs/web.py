"""HTTP as backends speak it: one try, strict times, bounded answers, errors in sentences.

No retry: whether a call that got no answer was carried out is for the read-back to tell. No
redirect: neither an order nor a secret goes to somebody else than the one who was named.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from wattgov_actuator.connection import Connection, is_loopback
from wattgov_actuator.knobs.secrets import secret
from wattgov_actuator.reading import Fault, KnobError

MAX_BYTES = 4 << 20
SHORT = 300  # characters of a server's own words that fit a sentence
CHUNK_BYTES = 1 << 16

Headers = Mapping[str, str]
PLAIN = {"Accept": "application/json", "Accept-Encoding": "identity"}

FAULTS: Mapping[int, Fault] = {
    HTTPStatus.NOT_FOUND: Fault.LOST,
    HTTPStatus.METHOD_NOT_ALLOWED: Fault.UNSUPPORTED,
    HTTPStatus.GONE: Fault.LOST,
    HTTPStatus.NOT_IMPLEMENTED: Fault.UNSUPPORTED,
    HTTPStatus.BAD_GATEWAY: Fault.LOST,
    HTTPStatus.SERVICE_UNAVAILABLE: Fault.LOST,
    HTTPStatus.GATEWAY_TIMEOUT: Fault.LOST,
}
"""What is wrong by the status; anything else is a refusal."""

FIXES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "give a token or a password that it knows",
    HTTPStatus.FORBIDDEN: "give a token or a password that may do this",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status."""

    url: str
    status: int
    headers: Headers  # of any case
    content: bytes
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what was sent, not to be repeated

    @property
    def good(self) -> bool:
        """Whether the server says that it is done; only a read tells whether it is."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def json(self) -> object:
        """Return the JSON in it; raises KnobError."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            kind = plain(self.headers.get("Content-Type", "something"))
            raise KnobError(Fault.LOST, f"{self.url} answered with {kind}, not JSON") from None

    def fault(self, fixes: Mapping[int, str] = FIXES, words: str = "") -> KnobError:
        """Return the error that this is: the server's *words*, and what to do by the status."""
        said = f"{self.url} answered {self.status}"
        goal = self.headers.get("Location", "")
        if HTTPStatus.MULTIPLE_CHOICES <= self.status < HTTPStatus.BAD_REQUEST and goal:
            said += f" and leads to {plain(goal)}; if that is meant, give it as url"
        words = plain(_without(self.secrets, words or _words(self.content)))
        said += f": {words}" if words else ""
        fix = fixes.get(self.status) or FIXES.get(self.status)
        fault = FAULTS.get(self.status, Fault.REFUSED)
        return KnobError(fault, f"{said}; {fix}" if fix else said)


class Web:
    """The server that a connection leads to, as its `url` says; `ca_file` vouches for it."""

    def __init__(self, way: Connection, secrets: Callable[[], Headers] = dict) -> None:
        """Take the connection, and what gives the headers that hold a secret; asked each time."""
        self._base, self._wait_seconds = way.text("url"), way.timeout_seconds
        self._ca_file = way.text("ca_file")
        self._secrets = secrets
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(max_retries=0))
        self._session.mount("https://", HTTPAdapter(max_retries=0))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def get(self, path: str, fixes: Mapping[int, str] = FIXES) -> object:
        """Return the JSON at *path*; raises KnobError."""
        return self.told("GET", path, fixes=fixes).json()

    def told(
        self,
        verb: str,
        path: str,
        body: object = None,
        *,
        wait_seconds: float | None = None,
        fixes: Mapping[int, str] = FIXES,
    ) -> Reply:
        """Return the good answer to one request; raises KnobError, with what to do by *fixes*."""
        reply = self.ask(verb, path, body, wait_seconds=wait_seconds)
        if not reply.good:
            raise reply.fault(fixes)
        return reply

    def ask(
        self,
        verb: str,
        path: str,
        body: object = None,
        *,
        headers: Headers | None = None,
        wait_seconds: float | None = None,
    ) -> Reply:
        """Return the answer of whatever status to one request; raises KnobError.

        *path* may be a whole URL. *body* is sent as JSON, bytes as they are; None is no body.
        *wait_seconds* is for what takes long, and else that of the connection.
        """
        url = path if "://" in path else self._base + path
        wait = self._wait_seconds if wait_seconds is None else wait_seconds
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        with self._response(verb, url, data, {**kind, **(headers or {})}, wait) as (found, hidden):
            return Reply(url, found.status_code, found.headers, _bounded(found), hidden)

    @contextmanager
    def stream(self, path: str, wait_seconds: float) -> Iterator[Reply | Iterator[bytes]]:
        """Give the lines of an answer that goes on, as they come; a whole reply if it is not good.

        Either may raise KnobError; *wait_seconds* is for the next piece, not for the end.
        """
        url = self._base + path
        with self._response("GET", url, None, {}, wait_seconds) as (found, hidden):
            if found.status_code == HTTPStatus.OK:
                yield _lines(found)
            else:
                yield Reply(url, found.status_code, found.headers, _bounded(found), hidden)

    @contextmanager
    def _response(
        self, verb: str, url: str, data: bytes | None, headers: Headers, wait: float
    ) -> Iterator[tuple[requests.Response, tuple[str, ...]]]:
        """Give a response, with the secrets that it may repeat; raises KnobError."""
        # A proxy of the environment does not lead back to this machine.
        self._session.trust_env = not is_loopback(urlsplit(url).hostname or "")
        secrets = self._secrets()
        hidden = tuple(value.rpartition(" ")[2] for value in secrets.values())
        try:
            with self._session.request(
                verb,
                url,
                data=data,
                headers={**PLAIN, **headers, **secrets},
                auth=_as_it_is,
                timeout=(min(wait, self._wait_seconds), wait),
                allow_redirects=False,
                stream=True,
                verify=self._ca_file or True,
            ) as response:
                yield response, hidden
        except requests.exceptions.SSLError as error:
            detail = f"{url}: its certificate is not trusted ({_cause(error)}); give the CA's file"
            raise KnobError(Fault.LOST, detail) from None
        except requests.Timeout:
            raise KnobError(Fault.LOST, f"{url} did not answer within {wait:g} s") from None
        except (requests.RequestException, OSError, ValueError) as error:
            # OSError: no file at `ca_file`. ValueError: a secret that is no header.
            detail = f"{url} cannot be reached: {_without(hidden, _cause(error))}"
            raise KnobError(Fault.LOST, detail) from None

    def close(self) -> None:
        """Close what is open."""
        self._session.close()


def plain(text: str) -> str:
    """Return text from outside as one printable, short line."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= SHORT else f"{line[:SHORT]}..."


def bearer(way: Connection) -> Callable[[], Headers]:
    """Return what sends the `token` of a connection, read anew each time, if it has one."""

    def headers() -> Headers:
        token = secret(way, "token")
        return {"Authorization": f"Bearer {token}"} if token else {}

    return headers


def _words(content: bytes) -> str:
    """Return the sentence in an error: most APIs have it in one of these places."""
    text = content.decode(errors="replace")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return text
    for key in ("error", "message"):
        found = found.get(key, found) if isinstance(found, dict) else found
    return found if isinstance(found, str) else text


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from looking for a password in ~/.netrc, which would win over ours."""
    return request


def _bounded(response: requests.Response) -> bytes:
    content = b""
    for chunk in response.iter_content(CHUNK_BYTES):
        content += chunk
        if len(content) > MAX_BYTES:
            detail = f"{response.url} answered more than {MAX_BYTES >> 20} MiB"
            raise KnobError(Fault.LOST, detail)
    return content


def _lines(response: requests.Response) -> Iterator[bytes]:
    rest = b""
    for chunk in response.iter_content(None):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from filter(None, whole)
        if len(rest) > MAX_BYTES:
            detail = f"{response.url} sent a line of more than {MAX_BYTES >> 20} MiB"
            raise KnobError(Fault.LOST, detail)


def _without(secrets: tuple[str, ...], text: str) -> str:
    """Return *text* without what whoever was given it may repeat."""
    for each in filter(None, secrets):
        text = text.replace(each, "***")
    return text


def _cause(error: BaseException) -> str:
    """Return what the innermost library said: the outer ones only wrap it."""
    while error.__context__ is not None:
        error = error.__context__
    return plain(getattr(error, "strerror", None) or str(error) or type(error).__name__)
