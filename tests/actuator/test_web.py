"""HTTP as backends speak it: what a server may do wrong ends in one sentence, in bounded time."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.api import Reply, Request, serving
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs.web import MAX_BYTES, Web
from wattgov_actuator.reading import Fault, KnobError


class Server:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[Request] = []
        self.letting_go = threading.Event()

    def __call__(self, request: Request) -> Reply:
        """Answer by the path; `/hangs` has no answer until the end."""
        self.asked.append(request)
        if request.path == "/hangs":
            self.letting_go.wait()
        return self.replies.get(request.path, Reply(404, {"error": "no such thing"}))


@pytest.fixture
def server() -> Server:
    """Return what answers."""
    return Server()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """Return where it listens."""
    with ExitStack() as stack:
        yield stack.enter_context(serving(server, server.letting_go))


def web(url: str, secret: Mapping[str, str] | None = None, **more: Setting) -> Web:
    """Return the client of a connection that waits 0.2 s."""
    way = Connection("batch_size", "http", "chat", {}, {"url": url, **more}, timeout_seconds=0.2)
    return Web(way, lambda: secret or {})


def failure(web: Web, path: str) -> KnobError:
    """Return what a call fails with."""
    with pytest.raises(KnobError) as raised:
        web.get(path)
    return raised.value


def test_json_goes_both_ways_with_the_secret(server: Server, url: str) -> None:
    """Headers of a secret are sent with each call; nothing else is in the way of them."""
    server.replies["/a"] = Reply(200, {"limit": 8})
    client = web(url, {"Authorization": "Bearer letmein"})

    assert {"limit": 8} == client.get("/a")
    assert client.ask("PUT", "/a", {"limit": 4}).good
    assert [None, b'{"limit": 4}'] == [each.body or None for each in server.asked]
    assert {"Bearer letmein"} == {each.headers["Authorization"] for each in server.asked}
    client.close()


def test_no_password_of_the_environment_takes_the_place_of_ours(
    server: Server, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests would look into ~/.netrc, and go through a proxy."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.replies["/a"] = Reply(200, {})
    web(url).get("/a")
    web(url, {"Authorization": "Bearer ours"}).get("/a")

    assert [None, "Bearer ours"] == [each.headers.get("Authorization") for each in server.asked]


@pytest.mark.parametrize(
    ("reply", "fault", "words"),
    [
        (Reply(404, {"error": "no such model"}), Fault.LOST, "404: .*no such model"),
        (Reply(405), Fault.UNSUPPORTED, "answered 405$"),
        (Reply(401, b"who are you?"), Fault.REFUSED, "401: who are you.; give a token"),
        (Reply(400, b"x" * 5000), Fault.REFUSED, "400: x{300}[.]{3}$"),
        (Reply(500, b"a\x1b[31m\r\nb"), Fault.REFUSED, r"500: a \[31m b$"),
        (Reply(302, headers={"Location": "http://else"}), Fault.REFUSED, "leads to http://else"),
        (Reply(200, b"<p>"), Fault.LOST, "answered with application/json, not JSON"),
        (Reply(200, b"[" * 100_000), Fault.LOST, "not JSON"),
        (Reply(200, b" " * (MAX_BYTES + 1)), Fault.LOST, "answered more than 4 MiB"),
    ],
)
def test_what_a_server_does_wrong_is_a_sentence(
    server: Server, url: str, reply: Reply, fault: Fault, words: str
) -> None:
    """With its own words, made printable and short; a redirect is not followed."""
    server.replies["/a"] = reply
    with pytest.raises(KnobError, match=words) as raised:
        web(url).get("/a")

    assert (fault, 1) == (raised.value.fault, len(server.asked))


def test_a_server_that_repeats_a_secret_is_not_quoted_with_it(server: Server, url: str) -> None:
    """Errors end in logs and journals."""
    server.replies["/a"] = Reply(403, b"the token letmein may not do this")
    said = failure(web(url, {"Authorization": "Bearer letmein"}), "/a").detail

    assert "the token *** may not do this; give a token" in said


def test_nobody_there_and_nobody_who_answers(server: Server, url: str, tmp_path: Path) -> None:
    """Each is said once, without a retry."""
    assert "did not answer within 0.2 s" in failure(web(url), "/hangs").detail
    assert 1 == len(server.asked)
    assert "Connection refused" in failure(web("http://127.0.0.1:9"), "/a").detail
    missing = web("https://127.0.0.1:9", ca_file=str(tmp_path / "missing"))
    assert "missing" in failure(missing, "/a").detail
    assert "cannot be reached" in failure(web(url, {"Authorization": "a\nb"}), "/a").detail
