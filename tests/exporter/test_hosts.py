"""By which names a listener on loopback may be asked, against DNS rebinding."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.serving import Served, serving
from wattgov_web.hosts import known


@pytest.fixture
def served() -> Iterator[Served]:
    """Return a server on loopback, as by default."""
    with serving() as one:
        yield one


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "LocalHost:9470",
        "localhost.:9470",
        "127.0.0.1",
        "127.9.9.9:80",
        "[::1]",
        "[::1]:9470",
        "192.0.2.7:9470",
        "meter.example",
        "Meter.Example:443",
    ],
)
def test_names_of_this_machine(host: str) -> None:
    """An address cannot be pointed elsewhere; a name that was given is trusted."""
    assert known(host, {"meter.example"})


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9470",
        "localhost.evil.example",
        "127.0.0.1.evil.example:9470",
        "evil.example:9470, localhost",
        "localhost, evil.example",
        "localhost@evil.example",
        "[::1].evil.example",
        "[evil]",
        "::1",
        ":9470",
        "2130706433",
        "0x7f.1",
    ],
)
def test_other_names(host: str) -> None:
    """Whatever they look like."""
    assert not known(host, {"meter.example"})


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/nothing"])
def test_a_listener_on_loopback_answers_to_no_other_name(served: Served, path: str) -> None:
    """Whatever is asked: 421, with what would help, and nothing of the page."""
    answer = served.ask(path, Host=f"evil.example:{served.port}")

    assert 421 == answer.status
    assert (
        b"the Host asked for is not this machine's: ask by an address or localhost, or give the "
        b"name with --web.allowed-host\n" == answer.body
    )


def test_it_answers_to_names_that_it_was_given() -> None:
    """And to the machine's own, by which a Prometheus here may know it."""
    with serving(names=("meter.example",)) as served:
        statuses = {
            name: served.ask("/-/healthy", Host=name).status
            for name in ("meter.example", os.uname().nodename, "localhost", "evil.example")
        }

    assert {"evil.example"} == {name for name, status in statuses.items() if status != 200}


def test_a_listener_for_others_answers_to_any_name() -> None:
    """What they call it is not for it to know."""
    with serving(listen="0.0.0.0") as served:  # noqa: S104 (it is what is tested)
        assert 200 == served.ask("/-/healthy", Host="node7.cluster.example:9470").status


def test_a_login_is_enough(tmp_path: Path) -> None:
    """A browser has no password for a name that it has been told of by somebody else."""
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users: {{ann: $2b$04${'.' * 53}}}\n")
    with serving(web_file=web) as served:
        assert 401 == served.ask("/", Host="evil.example").status
