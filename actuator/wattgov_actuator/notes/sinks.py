"""Where notes go: Grafana's annotations, and a webhook as Slack and its kin take it."""

from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import requests

from wattgov_actuator.notes.note import Note

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
TOO_MANY, SERVER_ERROR = 429, 500
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})  # else a name could call @channel
Secret = Callable[[], str]
"""Gives a secret, read anew each time; raises Unsent when it cannot."""


class Unsent(Exception):
    """A note did not arrive; says why in words that hold no secret."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again  # it may go better a moment later


class Sink(Protocol):
    """Somewhere for notes to go."""

    @property
    def name(self) -> str:
        """What the metrics call it."""

    def send(self, note: Note) -> None:
        """Send one; raises Unsent."""


class Grafana:
    """Annotations, which every dashboard can show by their tags."""

    name = "grafana"

    def __init__(self, url: str, token: Secret) -> None:
        self._url, self._token = f"{url.rstrip('/')}/api/annotations", token

    def send(self, note: Note) -> None:
        """Send one; raises Unsent."""
        body = {"time": round(note.at * 1000), "tags": note.tags, "text": note.text}
        _post(self._url, body, {"Authorization": f"Bearer {self._token()}"})


class Webhook:
    """A URL that takes `{"text": ...}`; the URL itself is the secret."""

    name = "webhook"

    def __init__(self, url: Secret) -> None:
        self._url = url

    def send(self, note: Note) -> None:
        """Send one; raises Unsent."""
        _post(self._url(), {"text": note.text.translate(ESCAPED)}, {})


def _post(url: str, body: Mapping[str, object], headers: Mapping[str, str]) -> None:
    """Post; raises Unsent, in whose words there is no more of the URL than its host."""
    host = urlsplit(url).hostname or "?"
    with requests.Session() as session:
        session.trust_env = False  # nor a .netrc, whose login would take the token's place
        if host not in LOOPBACK:
            session.proxies.update(requests.utils.get_environ_proxies(url))
        try:
            answer = session.post(
                url,
                json=body,
                headers=dict(headers),
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,  # to where nobody meant a secret to go
                stream=True,  # what it says is not read
            )
        except requests.Timeout:
            raise Unsent(f"{host} does not answer", again=True) from None
        except (requests.RequestException, ValueError) as error:
            # From None, and not in its own words: those hold the URL.
            again = isinstance(error, requests.ConnectionError)
            raise Unsent(f"{host} cannot be reached: {_words(error)}", again=again) from None
        status = answer.status_code
        answer.close()
    if status >= requests.codes.multiple_choices:
        again = status == TOO_MANY or status >= SERVER_ERROR
        raise Unsent(f"{host} answered {status}", again=again)


def _words(error: BaseException) -> str:
    """Return what the system said, or else what kind of error it is."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
