"""Sleep of a container, whatever the daemon says to an order."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.bench import Bench
from fakes.api import serving_at
from fakes.docker import Docker, container
from wattgov_actuator.connection import Connection
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError

ASLEEP, AWAKE = 0.0, 1.0


@pytest.fixture
def docker() -> Docker:
    """Return the daemon."""
    return Docker()


@pytest.fixture
def socket(docker: Docker, tmp_path: Path) -> Iterator[str]:
    """Return where it listens."""
    with serving_at(tmp_path / "docker.sock", docker) as socket:
        yield socket


def knob(socket: str, how: str = "pause", name: str = "chat") -> Knob:
    """Return the knob."""
    settings = {"container": name, "how": how, "socket": socket}
    opened = open_knob(
        "hibernate", [Connection("hibernate", "docker", "chat", {"app": "chat"}, settings)]
    )
    opened.probe()
    return opened


@pytest.mark.parametrize(("how", "status"), [("pause", "paused"), ("stop", "exited")])
def test_a_container_sleeps_and_wakes(docker: Docker, socket: str, how: str, status: str) -> None:
    """By its one way or the other; each is read back."""
    opened, state = knob(socket, how), docker.containers["chat"]["State"]
    before = opened.read("chat")
    opened.write("chat", ASLEEP)
    asleep = (state["Status"], opened.read("chat"))
    opened.restore("chat", AWAKE, "")

    assert (InForce(AWAKE), (status, InForce(ASLEEP))) == (before, asleep)
    assert ("running", InForce(AWAKE)) == (state["Status"], opened.read("chat"))


@pytest.mark.parametrize(
    ("how", "status", "value"),
    [
        ("pause", "paused", ASLEEP),  # 409
        ("pause", "running", AWAKE),  # 500
        ("stop", "exited", ASLEEP),  # 304
        ("stop", "running", AWAKE),  # 304
    ],
)
def test_what_is_so_already_is_no_error(
    docker: Docker, socket: str, how: str, status: str, value: float
) -> None:
    """Whatever status the daemon has for it."""
    docker.containers["chat"] = container(status)
    opened = knob(socket, how)
    opened.write("chat", value)

    assert (InForce(value), status) == (
        opened.read("chat"),
        docker.containers["chat"]["State"]["Status"],
    )


@pytest.mark.parametrize("status", ["exited", "dead"])
def test_a_paused_container_that_somebody_stops_is_ours_no_more(
    docker: Docker, socket: str, tmp_path: Path, status: str
) -> None:
    """Started again it runs: nothing is left to be put back."""
    bench = Bench(tmp_path, "hibernate", lambda: knob(socket))
    assert Reason.APPLIED is bench.act(ASLEEP).reason
    docker.containers["chat"] = container(status)

    assert (AWAKE, None) == (bench.observe().current, bench.observe().prior)
    assert () == bench.journal.undos()
    bench.close()


def test_a_daemon_that_fails_is_told_in_its_own_words(docker: Docker, socket: str) -> None:
    """500 is not always harmless."""
    docker.broken = "cgroups: cannot freeze"
    with pytest.raises(KnobError, match="pause answered 500: cgroups: cannot freeze") as raised:
        knob(socket).write("chat", ASLEEP)

    assert raised.value.fault is Fault.REFUSED
    assert "running" == docker.containers["chat"]["State"]["Status"]


def test_it_is_awake_only_when_its_health_check_passes(docker: Docker, socket: str) -> None:
    """Loading a model takes minutes; a container that runs does not serve yet."""
    docker.containers["chat"] = container("exited", Health={"Status": "unhealthy"})
    opened = knob(socket, "stop")
    opened.write("chat", AWAKE)
    with pytest.raises(KnobError, match="chat is starting") as raised:
        opened.read("chat")
    docker.containers["chat"]["State"]["Health"] = {"Status": "healthy"}

    assert (Fault.BUSY, InForce(AWAKE)) == (raised.value.fault, opened.read("chat"))


@pytest.mark.parametrize(
    ("how", "status", "why"),
    [
        ("pause", "removing", "chat is removing, which neither pause nor unpause is"),
        ("stop", "paused", "chat is paused, which neither stop nor start is"),
        ("stop", "dead", "chat is dead, which neither stop nor start is"),
    ],
)
def test_what_somebody_else_did_is_no_level_of_ours(
    docker: Docker, socket: str, how: str, status: str, why: str
) -> None:
    """Nothing is told to a container that is neither asleep nor awake."""
    docker.containers["chat"] = container(status)
    with pytest.raises(KnobError, match=why):
        knob(socket, how).read("chat")


def test_a_container_that_would_be_gone_is_never_stopped(docker: Docker, socket: str) -> None:
    """`--rm`: the daemon removes it when it ends. To pause it is harmless."""
    docker.containers["chat"] = container(AutoRemove=True)
    probe = knob(socket, "stop").probe()

    assert ((), True) == (probe.targets, "--rm: stopped, it would be gone" in probe.note)
    assert 1 == len(knob(socket, "pause").probe().targets)


def test_who_is_not_there_is_no_target(socket: str, tmp_path: Path) -> None:
    """Neither a container of another name, nor a daemon."""
    assert "answered 404: No such container: other" in knob(socket, name="other").probe().note
    nobody = knob(f"{tmp_path}/none.sock").probe().note
    assert f"Docker at {tmp_path}/none.sock cannot be asked: No such file" in nobody


def test_a_name_is_no_path(docker: Docker, socket: str) -> None:
    """It cannot lead to another call of the daemon."""
    knob(socket, name="../images/chat")

    assert ["GET /containers/..%2Fimages%2Fchat/json"] == docker.asked
