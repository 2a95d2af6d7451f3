"""The pages: strict content type, same bytes for all, health that tells the truth."""

import contextlib
import gzip
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from another import another_user
from exporter.serving import Reloads, Served, ask, serving
from exporter.views import publish_when_waited_for, stale_pages, view
from wattgov_exporter.exposition import SERIES
from wattgov_exporter.reading import Clock
from wattgov_web.request import BadRequest, parse
from wattgov_web.wire import Limits, Seats, TooLong, Wire


@pytest.fixture
def served() -> Iterator[Served]:
    """Return a server without a sample."""
    with serving() as one:
        yield one


@pytest.fixture
def sampled(served: Served, tmp_path: Path) -> Served:
    """Return a server with a sample."""
    served.pages.publish(view(tmp_path))
    return served


def test_before_the_first_sample(served: Served) -> None:
    """No sample is 503 and not an empty page that looks like a node without power."""
    assert 503 == served.ask("/metrics").status
    assert 503 == served.ask("/-/ready").status
    assert 200 == served.ask("/-/healthy").status


@pytest.mark.parametrize("timeout", ["0.4", "0", "-3", "nan", "soon", ""])
def test_a_scraper_without_patience(served: Served, timeout: str) -> None:
    """Who could not wait, or says no time, has his 503 at once."""
    answer = served.ask("/metrics", X_Prometheus_Scrape_Timeout_Seconds=timeout)

    assert (503, b"no fresh sample\n") == (answer.status, answer.body)


def test_a_scraper_waits_for_a_sample(tmp_path: Path) -> None:
    """A scrape with the time for it is answered by the next sample; one without it is not."""
    looked = threading.Event()
    sample = view(tmp_path)
    with serving(stale_pages(sample, looked)) as served:
        assert 503 == served.ask("/metrics").status
        looked.clear()
        publish_when_waited_for(served.pages, looked, sample)

        answer = served.ask("/metrics", X_Prometheus_Scrape_Timeout_Seconds="10")

    assert 200 == answer.status


def test_metrics(sampled: Served) -> None:
    """Prometheus's text by default, OpenMetrics when asked, the same bytes for two scrapers."""
    answer = sampled.ask("/metrics")

    assert 200 == answer.status
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
    assert "Accept, Accept-Encoding" == answer.headers["Vary"]
    assert answer.body == sampled.ask("/metrics").body
    assert b'node_cpu_energy_joules_total{package="0",source="rapl",zone="package"}' in answer.body
    assert b'app_target_joules_per_request{app="chat"} 150.0' in answer.body
    assert b'wattgov_exporter_config_hash{sha256="c0ffeec0ffee"} 1.0' in answer.body
    opened = sampled.ask("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert opened.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert opened.body.endswith(b"# EOF\n")


def test_packed(sampled: Served) -> None:
    """Gzip when asked, and the same text in it."""
    packed = sampled.ask("/metrics", Accept_Encoding="gzip")

    assert "gzip" == packed.headers["Content-Encoding"]
    assert sampled.ask("/metrics").body == gzip.decompress(packed.body)


def test_head(sampled: Served) -> None:
    """HEAD has the headers of GET and no body."""
    head, get = (sampled.ask("/metrics", method) for method in ("HEAD", "GET"))

    assert (200, b"") == (head.status, head.body)
    for name in ("Content-Type", "Content-Length", "Vary"):
        assert get.headers[name] == head.headers[name]


def test_promtool_finds_no_fault(sampled: Served, promtool: str) -> None:
    """The exposition of a whole machine passes promtool's lint."""
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=sampled.ask("/metrics").body,
        capture_output=True,
        check=False,
    )

    assert (0, b"") == (done.returncode, done.stderr)


def test_many_scrapes_on_one_connection(sampled: Served) -> None:
    """The connection stays open from scrape to scrape."""
    connection = sampled.connect()
    connection.connect()
    local = connection.sock.getsockname()
    for _ in range(3):
        assert b"energy_source_up" in ask(connection, "/metrics").body
        assert local == connection.sock.getsockname()
    connection.close()


def test_landing_page_and_unknown_path(sampled: Served) -> None:
    """The first page names each source and why it is off; any other path is told where to look."""
    answer = sampled.ask("/")

    assert 200 == answer.status
    assert "text/html; charset=utf-8" == answer.headers["Content-Type"]
    assert b"<td>nvml<td>absent<td>" in answer.body
    assert 404 == sampled.ask("/etc/passwd").status


def test_methods(sampled: Served) -> None:
    """What a path does not do is refused, with what it does."""
    get, post, put = (
        sampled.ask("/-/reload"),
        sampled.ask("/metrics", "POST"),
        sampled.ask("/metrics", "PUT"),
    )

    assert (405, "POST") == (get.status, get.headers["Allow"])
    assert (405, "GET, HEAD") == (post.status, post.headers["Allow"])
    assert (405, "GET, HEAD") == (put.status, put.headers["Allow"])


@pytest.mark.parametrize(
    ("mistakes", "status", "body"),
    [
        ([], 200, b"reloaded\n"),
        (["x.yml:1:1: no"], 500, b"x.yml:1:1: no\nthe old configuration stays in force\n"),
        (None, 504, b"not reloaded yet; see the log\n"),
    ],
)
def test_reload(mistakes: list[str] | None, status: int, body: bytes) -> None:
    """A program on this host may reload, and reads what is wrong with the file."""
    with serving(reload=lambda: mistakes) as served:
        answer = served.ask("/-/reload", "POST")

    assert (status, body) == (answer.status, answer.body)


@pytest.mark.parametrize("header", ["Origin", "X_Forwarded_For", "Forwarded", "Via"])
def test_reload_for_others(header: str) -> None:
    """A web page in a browser on this host, or a proxy on it, is not a program of this host."""
    reloads = Reloads()
    with serving(reload=reloads) as served:
        answer = served.ask("/-/reload", "POST", context=None, **{header: "http://other.example"})

    assert (403, 0) == (answer.status, reloads.count)


def test_reload_by_another_user() -> None:
    """Who could not send SIGHUP may not reload so either, and is told what would help."""
    reloads = Reloads()
    with serving(reload=reloads) as served, another_user():
        answer = served.ask("/-/reload", "POST")

    assert (403, 0) == (answer.status, reloads.count)
    assert (
        "not reloaded: user 4321 asks: be root or the user that this runs as, or log in "
        "(logins are in --web.config.file; `kill -HUP` reloads, too)\n"
    ) == answer.body.decode()


def test_bytes_that_are_no_request(served: Served) -> None:
    """Garbage is told in one line, a header without an end is 431, and both end the connection."""
    for sent, status in (
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, b"HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 9_000, b"HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 33_000 + b"\r\n\r\n", b"HTTP/1.1 431 "),
    ):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
            client.sendall(sent)
            assert client.recv(65536).startswith(status)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET / HTTP/2",
        b" / HTTP/1.1",
        b"GE\tT / HTTP/1.1",
        b"GET / HTTP/1.1\r\nno colon",
        b"GET / HTTP/1.1\r\nA: b\r\n folded: c",
        b"GET / HTTP/1.1\r\nspace : c",
    ],
)
def test_heads_that_are_none(head: bytes) -> None:
    """What is not a request line and headers is refused, not guessed at."""
    with pytest.raises(BadRequest):
        parse(head)


@given(st.binary(max_size=200))
def test_any_bytes(head: bytes) -> None:
    """Whatever is sent is a request or is refused."""
    with contextlib.suppress(BadRequest):
        assert parse(b"GET / HTTP/1.1\r\n" + head).method == "GET"


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"GET /metrics?x=1 HTTP/1.1\r\nHOST: a\r\naccept:  b \r\nAccept: c", True),
        (b"GET /metrics HTTP/1.1\r\nAccept: b, c\r\nConnection: Close", False),
        (b"GET /metrics HTTP/1.0\r\nAccept: b, c", False),
        (b"GET /metrics HTTP/1.1\r\nAccept: b, c\r\nContent-Length: 3", False),
        (b"GET /metrics HTTP/1.1\r\nAccept: b, c\r\nContent-Length: 0", True),
        (b"GET HTTP://a:9470/metrics?x=http://b/ HTTP/1.1\r\nAccept: b, c", True),
        (b"GET /metrics HTTP/1.1\r\nAccept: b, c\r\nTransfer-Encoding: chunked", False),
    ],
)
def test_heads(head: bytes, keeps: bool) -> None:
    """Names in any case, values joined; who leaves, or sends a body, is let go."""
    request = parse(head)

    assert ("GET", "/metrics", "b, c", keeps) == (
        request.method,
        request.path,
        request.headers["accept"],
        request.keeps,
    )


@pytest.mark.parametrize("target", ["/", "http://a", "http://a?x=1"])
def test_the_first_page(target: str) -> None:
    """A host alone, as a proxy is asked, means its first page."""
    assert "/" == parse(f"GET {target} HTTP/1.1\r\nHost: a".encode()).path


def test_scrapers_among_slow_clients(sampled: Served) -> None:
    """Fifty scrapers all get their answers beside twenty clients that never finish a header.

    There are more of them than connections allowed. When they are gone, so are their threads.
    """
    before = set(threading.enumerate())
    slow = [socket.create_connection(("127.0.0.1", sampled.port)) for _ in range(20)]
    for client in slow:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    body = sampled.ask("/metrics").body

    def scrape(_: int) -> list[tuple[int, bytes]]:
        connection = sampled.connect()
        try:
            answers = [ask(connection, "/metrics") for _ in range(10)]
        finally:
            connection.close()
        return [(answer.status, answer.body) for answer in answers]

    with ThreadPoolExecutor(50) as pool:
        answers = [answer for answers in pool.map(scrape, range(50)) for answer in answers]

    assert [(200, body)] * 500 == answers
    for client in slow:
        client.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive()


def test_the_longest_idle_makes_room(tmp_path: Path) -> None:
    """With all connections taken, a new client takes the place of the one idle for longest."""
    with serving(limits=Limits(connections=2)) as served:
        served.pages.publish(view(tmp_path))
        first, second, third = (served.connect() for _ in range(3))
        for client in (first, second, third):
            assert 200 == ask(client, "/metrics").status

        assert b"" == first.sock.recv(1)
        assert 200 == ask(second, "/metrics").status
        for client in (first, second, third):
            client.close()


def test_no_room() -> None:
    """With everybody being answered, one more is told 503, and nobody is cut."""
    began, go_on = threading.Semaphore(0), threading.Event()

    def reload() -> list[str]:
        began.release()
        go_on.wait()
        return []

    with serving(limits=Limits(connections=2), reload=reload) as served:
        with ThreadPoolExecutor() as pool:
            busy = []
            for _ in range(2):
                busy.append(pool.submit(served.ask, "/-/reload", "POST"))
                began.acquire()
            refused = served.ask("/metrics")
            go_on.set()

        assert (503, "1") == (refused.status, refused.headers["Retry-After"])
        assert [200, 200] == [one.result().status for one in busy]


def test_a_client_that_says_nothing_is_cut() -> None:
    """A connection without a request ends by itself, as does one whose request does not end."""
    with serving(limits=Limits(header_seconds=0.05, idle_seconds=0.05)) as served:
        for sent in (b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n"):
            with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
                client.sendall(sent)
                assert b"" == client.recv(1)


def wire(limits: Limits, clock: Clock = lambda: 0.0) -> tuple[Wire, socket.socket]:
    """Return a wire and the client at its other end."""
    ours, theirs = socket.socketpair()
    return Wire(ours, Seats(limits, clock)), theirs


def test_one_byte_at_a_time() -> None:
    """A client that sends a byte now and then has as long for the header as any other."""
    seconds = 0.0

    def clock() -> float:
        nonlocal seconds
        seconds += 3.0
        theirs.send(b"x")
        return seconds

    ours, theirs = socket.socketpair()
    slow = Wire(ours, Seats(Limits(header_seconds=10, idle_seconds=1000), clock))
    slow.rest()

    with pytest.raises(TimeoutError):
        slow.head()
    assert seconds < 30
    slow.close()
    theirs.close()


def test_a_reader_that_does_not_read() -> None:
    """An answer that the client does not take is given up."""
    ours, theirs = wire(Limits(write_seconds=0.05))

    with pytest.raises(TimeoutError):
        ours.send(b"x" * 10_000_000)
    ours.close()
    theirs.close()


def test_the_header_limit_is_for_each_request() -> None:
    """Many requests, here sent at once and in pieces, may have more bytes than one may."""
    ours, theirs = wire(Limits(header_bytes=10))
    theirs.send(b"12345678\r\n\r\n" * 3 + b"1234\r\n\r")
    for _ in range(3):
        assert b"12345678" == ours.head()
        ours.rest()
    theirs.send(b"\n123456789012")
    assert b"1234" == ours.head()
    with pytest.raises(TooLong):
        ours.head()
    ours.close()
    theirs.close()


def test_every_series_is_named_once() -> None:
    """The table of metrics holds no name twice, and counters alone end in _total."""
    names = [series.name for series in SERIES]

    assert len(names) == len(set(names))
    assert all(series.meaning.endswith(".") for series in SERIES)
