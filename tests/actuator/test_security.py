"""Who may look, who may change anything, and what a hostile client gets."""

import base64
import json
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import bcrypt
import pytest

from actuator.builders import NOW, ruleset
from actuator.serving import Client, serving
from another import another_user
from conftest import find
from exporter.certificates import certificate, trusting
from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.pause import PauseFile
from wattgov_actuator.serving.service import LIMITS, web_of
from wattgov_web.client import Client as Who
from wattgov_web.request import Request, Response
from wattgov_web.server import Server
from wattgov_web.web import WatchedWeb
from wattgov_web.wire import Limits, Seats

SNAPSHOT = Snapshot(enforcing=True, rules=ruleset())
PASSWORD = "correct horse"  # noqa: S105 (of a test)
HASHED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
LOGIN = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
ORDERS = ["/-/reload", "/api/v1/pause", "/api/v1/resume", "/api/v1/restore"]
REQUESTS = ["/api/v1/alerts", "/api/v1/wake/GPU-a"]
CHANGES = [*ORDERS, *REQUESTS]
READS = ["/", "/rules", "/api/v1/status", "/metrics", "/-/healthy", "/nothing"]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Return a client of a service without logins."""
    with serving(lambda: SNAPSHOT, tmp_path) as client:
        yield client


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Client]:
    """Return a client of a service with a login."""
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users:\n  ann: {HASHED}\n")
    with serving(lambda: SNAPSHOT, tmp_path, web_file=web) as client:
        yield client


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"X_Forwarded_For": "192.0.2.7"},
        {"Forwarded": "for=192.0.2.7"},
        {"Via": "1.1 p"},
    ],
)
def test_a_web_page_or_a_proxy_here_changes_nothing(
    client: Client, tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    """The connection comes from this host; the wish does not."""
    status, said = client.post(path, {}, **headers)

    assert 403 == status
    assert said["error"].startswith(
        ("no web page may ask for that", "log in, or be a program on this host (logins are in")
    )
    assert PauseFile(tmp_path).read(NOW.unix) is None


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.7", False),
        ("fe80::1%eth0", False),
    ],
)
def test_without_logins_only_this_host_asks_for_anything(host: str, here: bool) -> None:
    """Whatever address the service is bound to, and whoever is said to ask."""
    root = Who(host, owner=lambda: 0)

    assert here is (not root.against_asking({}))
    assert here is (not root.against_changing({}))
    known = Who(host, "ann", proven=True)
    assert "" == known.against_asking({"via": "1.1 p"}) == known.against_changing({"via": "1.1 p"})
    assert known.against_asking({"origin": "https://evil.example"})
    assert known.against_changing({"origin": "https://evil.example"})


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        (0, ""),
        (990, ""),
        (1000, "user 1000 asks: be root"),
        (None, "whose program asks cannot be told: be root"),
    ],
)
def test_without_logins_an_order_is_given_by_who_may_send_signals(
    owner: int | None, said: str
) -> None:
    """Where it cannot be told who it is, it is nobody; asking is for all on this host."""
    client = Who("127.0.0.1", owner=lambda: owner, owners={0, 990})

    assert client.against_changing({}).startswith(said)
    assert bool(said) is bool(client.against_changing({}))
    assert "" == client.against_asking({})


@pytest.mark.parametrize("path", ORDERS)
def test_another_user_of_this_host_gives_no_orders(
    client: Client, tmp_path: Path, path: str
) -> None:
    """He is told the ways that there are, and nothing is done."""
    with another_user():
        status, said = client.post(path, {})

    assert 403 == status
    assert (
        "user 4321 asks: be root or the user that this runs as, or log in (logins are in "
        "--web.config.file; `wattgov-actuator pause` and `resume`, and `kill -HUP`, do the same)"
    ) == said["error"]
    assert PauseFile(tmp_path).read(NOW.unix) is None


@pytest.mark.parametrize("path", REQUESTS)
def test_another_user_of_this_host_may_ask(client: Client, path: str) -> None:
    """Alertmanager and the proxy are often other users, and neither can tighten anything."""
    with another_user():
        status, _ = client.post(path, {})

    assert status != 403


def test_it_answers_to_no_name_that_a_web_page_may_have(client: Client) -> None:
    """A page can point its own name at this machine; it reads nothing all the same."""
    status, said = client.ask("/api/v1/status", Host="evil.example:9471")

    assert 421 == status
    assert said.startswith("the Host asked for is not this machine's: ask by an address")
    assert 200 == client.ask("/api/v1/status", Host="localhost:9471")[0]


@pytest.mark.parametrize("path", CHANGES)
def test_looking_is_no_way_to_change(client: Client, path: str) -> None:
    """A link, an image or a crawler only gets."""
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert 405 == client.ask(path, method)[0]
        assert "POST" == client.headers["Allow"]


@pytest.mark.parametrize("path", READS[:5])
def test_what_is_read_takes_no_post(client: Client, path: str) -> None:
    """Everything but the changes only reads."""
    assert 405 == client.ask(path, "POST")[0]


@pytest.mark.parametrize("path", [*READS, *CHANGES])
def test_a_login_guards_every_path(guarded: Client, tmp_path: Path, path: str) -> None:
    """Without the password nothing is shown, and nothing is changed."""
    for header in ({}, {"Authorization": LOGIN[:-4]}, {"Authorization": "Bearer ann"}):
        assert 401 == guarded.ask(path, "POST" if path in CHANGES else "GET", None, **header)[0]
        assert (
            'Basic realm="wattgov-actuator", charset="UTF-8"' == guarded.headers["WWW-Authenticate"]
        )
    assert PauseFile(tmp_path).read(NOW.unix) is None


def test_who_has_logged_in_may_change_and_is_named(guarded: Client, tmp_path: Path) -> None:
    """From anywhere, through a proxy too; but not as a page in his browser."""
    body = json.dumps({"why": "x"}).encode()
    headers = {"Authorization": LOGIN, "Content_Type": "application/json"}

    assert 403 == guarded.ask("/api/v1/pause", "POST", body, Origin="http://a", **headers)[0]
    assert PauseFile(tmp_path).read(NOW.unix) is None
    # No loop is there to answer: the pause is on disk, and that it waits is told.
    assert 202 == guarded.ask("/api/v1/pause", "POST", body, Via="1.1 p", **headers)[0]
    paused = PauseFile(tmp_path).read(NOW.unix)
    assert paused is not None
    assert "ann at 127.0.0.1" == paused.by


def test_no_secret_is_shown(guarded: Client) -> None:
    """Neither the password nor its hash, on no page."""
    for path in (*READS, "/targets", "/decisions", "/api/v1/rules", "/api/v1/targets"):
        text = guarded.ask(path, Authorization=LOGIN)[1]
        assert PASSWORD not in text
        assert HASHED not in text


def test_a_bad_web_file_is_told_with_its_place(tmp_path: Path) -> None:
    """And nothing is served by it."""
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_user: {}\n")

    assert (
        f"{file}:1:1: unknown key 'basic_auth_user'; did you mean 'basic_auth_users'?",
        None,
    ) == web_of(file, lambda: 0.0)
    assert (f"{tmp_path}/none: cannot be read: No such file or directory", None) == web_of(
        tmp_path / "none", lambda: 0.0
    )


def test_it_speaks_tls(tmp_path: Path) -> None:
    """By the same file as Prometheus' own exporters."""
    server = certificate(find("openssl", "openssl"), tmp_path, "server")
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    with (
        serving(lambda: SNAPSHOT, tmp_path, web_file=web) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=20) as plain,
        trusting(server).wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(b"GET /-/healthy HTTP/1.1\r\nConnection: close\r\n\r\n")
        with secured.makefile("rb") as answer:
            assert answer.read().endswith(b"healthy\n")


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/templates/base.html",
        "/api/v1/pause/",
        "/api/v1/../v1/status",
        "/rules/",
        "/style.css",
        "*",
        "http://127.0.0.1/etc/passwd",
        "/<script>",
    ],
)
def test_a_path_is_what_is_in_the_table_or_nothing(client: Client, path: str) -> None:
    """No file is served, nothing is decoded, and what was asked is not repeated."""
    status, text = client.ask(path)

    assert (404, True) == (status, text.startswith("no such page; there are:\n/\n"))
    assert "script" not in text
    assert "text/plain; charset=utf-8" == client.headers["Content-Type"]


def raw(client: Client, sent: bytes) -> bytes:
    """Send bytes, and return all that comes until the server hangs up."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as wire:
        wire.sendall(sent)
        with wire.makefile("rb") as answer:
            return answer.read()


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (f"Content-Length: {LIMITS.body_bytes + 1}", b"413"),
        ("Content-Length: " + "9" * 400, b"411"),
        ("Content-Length: -1", b"411"),
        ("Content-Length: 1, 2", b"411"),
        ("Transfer-Encoding: chunked", b"411"),
    ],
)
def test_a_body_that_is_too_long_is_not_taken(client: Client, length: str, status: bytes) -> None:
    """Nor one that does not say how long it is; the connection ends, since more may come."""
    answer = raw(client, f"POST /api/v1/pause HTTP/1.1\r\n{length}\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer


def test_who_may_not_look_is_not_listened_to(guarded: Client) -> None:
    """A body of nobody is not waited for."""
    head = b"POST /api/v1/alerts HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"

    assert raw(guarded, head).startswith(b"HTTP/1.1 401")


def test_a_client_may_ask_before_it_sends(client: Client) -> None:
    """As curl does with a longer body."""
    head = b"POST /api/v1/alerts HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    answer = raw(client, head + b"{}")

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 415")


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """Its time is that of a head; the thread goes, and nothing is answered."""
    asked: list[Request] = []

    def answer(request: Request, _: Who) -> Response:
        asked.append(request)
        return Response(HTTPStatus.OK, b"")

    limits = Limits(body_bytes=100, header_seconds=0.05)
    web = WatchedWeb(None, lambda _: pytest.fail("no file"), time.monotonic, print)
    with (
        Server(
            ("127.0.0.1", 0),
            answer,
            Seats(limits, time.monotonic),
            web,
            "test",
        ) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire,
    ):
        wire.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nslow")
        server.handle_request()
        assert b"" == wire.recv(100)

    assert [] == asked


def test_it_is_on_loopback_unless_told_otherwise() -> None:
    """What can change the machine is nobody else's by default."""
    from wattgov_actuator.cli import run  # noqa: PLC0415 (the command's own default)

    (listen,) = (each for each in run.params if each.name == "listen")
    assert "127.0.0.1:9471" == listen.default
