"""The small HTTP application and the driver that loads it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

import testbed
from testbed.httpapp import drive

SECONDS = 60


@pytest.fixture
def app() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the application; give the process and its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "testbed", "httpapp", "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(Path(testbed.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip().removesuffix("/metrics")
        process.kill()


def get(url: str) -> tuple[int, str]:
    """GET *url*; return status and body."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=SECONDS)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="").geturl())
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def samples(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of series *name* by their label values, `le` left out."""
    return {
        tuple(value for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_load_is_counted_and_burned(app: tuple[subprocess.Popen[str], str]) -> None:
    """Every request of a load is answered, counted once, timed, and costs its milliseconds."""
    process, url = app
    before = cpu_seconds(process.pid)
    load = drive(f"{url}/work?ms=5", requests=101, concurrency=4)
    burned = cpu_seconds(process.pid) - before
    status, text = get(f"{url}/metrics")

    assert 200 == status
    assert (101, 0, 101) == (load.answered, load.refused, len(load.latencies_seconds))
    assert list(load.latencies_seconds) == sorted(load.latencies_seconds)
    assert {("/work", "GET", "200"): 101.0} == samples(text, "http_requests_total")
    assert {("/work", "GET"): 101.0} == samples(text, "http_request_duration_seconds_count")
    assert samples(text, "http_request_duration_seconds_sum")["/work", "GET"] >= 101 * 0.005
    assert burned >= 0.9 * 101 * 0.005


def test_refusals_are_counted_apart(app: tuple[subprocess.Popen[str], str]) -> None:
    """A bad query is a 400, an unknown path a 404 under one handler, whatever the path."""
    _, url = app
    refusals = [get(f"{url}/work?ms=many"), get(f"{url}/work?ms=-1"), get(f"{url}/work?ms=nan")]
    unknown = [get(f"{url}/a"), get(f"{url}/b")]
    load = drive(f"{url}/nowhere", requests=3, concurrency=5)

    assert [(400, "ms is a number from 0 to 10000\n")] * 3 == refusals
    assert [(404, "not found\n")] * 2 == unknown
    assert (0, 3) == (load.answered, load.refused)
    assert {
        ("/work", "GET", "400"): 3.0,
        ("none", "GET", "404"): 5.0,
    } == samples(get(f"{url}/metrics")[1], "http_requests_total")


def test_its_metrics_are_clean_and_it_ends(
    app: tuple[subprocess.Popen[str], str], promtool: str
) -> None:
    """Nothing displeases promtool, /health is well, and SIGTERM ends it with 0."""
    process, url = app
    drive(f"{url}/work?ms=0", requests=2, concurrency=1)
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=get(f"{url}/metrics")[1],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "", "") == (checked.returncode, checked.stdout, checked.stderr)
    assert (200, "ok\n") == get(f"{url}/health")

    process.send_signal(signal.SIGTERM)

    assert 0 == process.wait(timeout=SECONDS)


def test_a_server_that_is_not_there_is_an_error() -> None:
    """A load on nobody says that nobody answers."""
    with pytest.raises(ConnectionRefusedError):
        drive("http://127.0.0.1:1/work", requests=1, concurrency=1)
