"""Sleep behind our own proxy: nobody is cut off, and nobody waits at a door that we forgot."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock

import pytest

from actuator.bench import Bench
from conftest import find
from exporter.certificates import certificate
from fakes.api import Reply, Request, serving
from fakes.child import in_a_child
from fakes.door import Door
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs.connected import Connected
from wattgov_actuator.knobs.drained import Drained
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError, Probe, Target

ASLEEP, AWAKE = 0.0, 1.0
Step = Callable[[str], None]


class Server:
    """A server that sleeps while a file is there; *at* is told each step before it is taken."""

    def __init__(self, folder: Path, at: Step = lambda _: None) -> None:
        self.flag, self.at = folder / "asleep", at
        self.refuses = False

    def probe(self) -> Probe:
        """Return it."""
        return Probe((Target("hibernate", "chat", {"app": "chat"}, ASLEEP, AWAKE, "level", 0.5),))

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Tell whether the file is there."""
        self.at("read")
        return InForce(ASLEEP if self.flag.exists() else AWAKE)

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Sleep or wake."""
        self.at("write")
        if self.refuses:
            raise KnobError(Fault.REFUSED, "the server says no")
        if value < AWAKE:
            self.flag.touch()
        else:
            self.flag.unlink(missing_ok=True)
        self.at("wrote")

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put back."""
        self.write(target, value)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def door() -> Door:
    """Return the proxy."""
    return Door()


@pytest.fixture
def url(door: Door) -> Iterator[str]:
    """Return where it takes orders."""
    with serving(door) as url:
        yield url


def way(url: str, **more: Setting) -> Connection:
    """Return the connection with this proxy in front."""
    settings: dict[str, Setting] = {"proxy": url, "proxy_wait": 0.0, "proxy_idle": 60.0, **more}
    return Connection("hibernate", "freezer", "chat", {"app": "chat"}, settings)


def behind(server: Knob, way: Connection) -> Knob:
    """Return the server behind its proxy, as `open_knob` makes it."""
    return Connected([(way, Drained(server, way))])


def test_it_sleeps_behind_a_held_door_that_opens_when_it_is_awake(
    door: Door, url: str, tmp_path: Path
) -> None:
    """Hold, sleep; wake, open."""
    server = Server(tmp_path)
    knob = behind(server, way(url))
    knob.probe()
    knob.write("chat", ASLEEP)
    asleep = (server.flag.exists(), door.held_by, knob.read("chat"))
    knob.write("chat", AWAKE)

    assert (True, "hold", InForce(ASLEEP)) == asleep
    assert (False, None, InForce(AWAKE)) == (server.flag.exists(), door.held_by, knob.read("chat"))
    assert ["hold", "open"] == door.orders


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"idle_seconds": 12.0}, "in use: idle for 12.0 s only; it stays awake"),
        ({"in_flight": 2}, "in use: 2 still in flight after 0 s; it stays awake"),
    ],
)
def test_who_is_in_use_stays_awake(
    url: str, door: Door, tmp_path: Path, seen: dict[str, float], why: str
) -> None:
    """The reason says what the proxy saw; nothing was done, and nothing is to be undone."""
    for name, value in seen.items():
        setattr(door, name, value)
    server = Server(tmp_path)
    bench = Bench(tmp_path, "hibernate", lambda: behind(server, way(url)))
    done = bench.act(ASLEEP)

    assert (Reason.IN_USE, why) == (done.reason, done.detail)
    assert (False, None, ()) == (server.flag.exists(), door.held_by, bench.journal.undos())
    bench.close()


def test_a_server_that_refuses_to_sleep_is_served_again(
    door: Door, url: str, tmp_path: Path
) -> None:
    """The door does not stay shut before a server that is awake."""
    server = Server(tmp_path)
    server.refuses = True
    bench = Bench(tmp_path, "hibernate", lambda: behind(server, way(url)))
    done = bench.act(ASLEEP)

    assert (Reason.REFUSED, "the server says no") == (done.reason, done.detail)
    assert (["hold", "open"], ()) == (door.orders, bench.journal.undos())
    bench.close()


def test_a_server_that_slept_after_all_keeps_its_door_shut(
    door: Door, url: str, tmp_path: Path
) -> None:
    """Whoever comes waits there and has it woken, instead of hanging in it."""
    server = Server(tmp_path)

    def fail(step: str) -> None:
        if step == "wrote":
            raise KnobError(Fault.LOST, "no answer")

    server.at = fail
    knob = Drained(server, way(url))
    with pytest.raises(KnobError, match="no answer"):
        knob.write("chat", ASLEEP)

    assert (InForce(ASLEEP), ["hold"]) == (knob.read("chat"), door.orders)


def test_a_wake_that_fails_keeps_the_door_shut(door: Door, url: str, tmp_path: Path) -> None:
    """Requests wait; the proxy's own patience is the bound of that."""
    server = Server(tmp_path)
    knob = Drained(server, way(url))
    knob.write("chat", ASLEEP)
    server.refuses = True
    with pytest.raises(KnobError, match="the server says no"):
        knob.write("chat", AWAKE)

    assert "hold" == door.held_by


def test_the_door_opens_only_when_the_server_is_up(door: Door, url: str, tmp_path: Path) -> None:
    """While it loads it is busy, behind a shut door; the next try to put back opens."""
    server = Server(tmp_path)
    bench = Bench(tmp_path, "hibernate", lambda: behind(server, way(url)))
    bench.act(ASLEEP)

    def load(step: str) -> None:
        if step == "read" and not server.flag.exists():
            raise KnobError(Fault.BUSY, "chat is starting")

    server.at = load
    loading = ({each.reason for each in bench.writer.restore()}, door.held_by)
    server.at = lambda _: None
    bench.writer.restore()

    assert ({Reason.BUSY}, "hold") == loading
    assert (None, ()) == (door.held_by, bench.journal.undos())
    bench.close()


def test_a_proxy_that_has_just_started_is_not_held_by_us(
    door: Door, url: str, tmp_path: Path
) -> None:
    """It holds until the first request asks; the server behind it is awake."""
    door.held_by = "start"

    assert InForce(AWAKE) == Drained(Server(tmp_path), way(url)).read("chat")


def test_the_token_of_the_proxy_is_sent(door: Door, url: str, tmp_path: Path) -> None:
    """Without it nothing sleeps."""
    door.token = "letmein"  # noqa: S105 (of a fake)
    (tmp_path / "token").write_text("letmein\n")
    (tmp_path / "token").chmod(0o600)
    server = Server(tmp_path)
    with pytest.raises(KnobError, match="401: send the token; give a token"):
        Drained(server, way(url)).write("chat", ASLEEP)
    assert not server.flag.exists()
    Drained(server, way(url, proxy_token_file=f"{tmp_path}/token")).write("chat", ASLEEP)

    assert (True, "hold") == (server.flag.exists(), door.held_by)


def test_what_is_no_proxy_of_ours_is_said(tmp_path: Path) -> None:
    """A server's own port instead of the proxy's, for one."""
    with (
        serving(lambda _: Reply(200, {"object": "list"})) as url,
        pytest.raises(KnobError, match=f"{url} is no proxy of ours"),
    ):
        Drained(Server(tmp_path), way(url)).read("chat")


def play(folder: Path, url: str, at: Step) -> None:
    """Sleep and wake, in a process that may die at any step."""
    bench = Bench(folder, "hibernate", lambda: behind(Server(folder, at), way(url)))
    assert bench.act(ASLEEP).reason is Reason.APPLIED
    bench.act(AWAKE, Reason.RESTORED)
    bench.close()


def test_kill_9_at_every_step_leaves_a_server_awake_behind_an_open_door(tmp_path: Path) -> None:
    """Each step of the server's, and each call of the proxy before and after it is carried out."""
    door, at_work = Door(), Lock()
    steps, kill_at, pid = tmp_path / "steps", tmp_path / "kill_at", tmp_path / "pid"

    def at(step: str) -> None:
        with steps.open("a") as file:
            file.write(f"{step}\n")
        if str(len(steps.read_text().splitlines())) == kill_at.read_text():
            os.kill(int(pid.read_text()), signal.SIGKILL)

    def told(request: Request) -> Reply:
        with at_work:
            at(f"{request.path} comes")
            reply = door(request)
            at(f"{request.path} is done")
            return reply

    def life(folder: Path, url: str, when: str) -> int:
        folder.mkdir()
        steps.write_text("")
        kill_at.write_text(when)

        def work() -> None:
            pid.write_text(str(os.getpid()))
            play(folder, url, at)

        ended = in_a_child(work)
        with at_work:  # the proxy ends what it was told to do, whoever told it
            kill_at.write_text("")
        return ended

    with serving(told) as url:
        assert 0 == life(tmp_path / "whole", url, "")
        whole = steps.read_text().splitlines()
        assert {"/api/v1/hold is done", "wrote", "/api/v1/open comes"} <= set(whole)
        changed = 0
        for when, step in enumerate(whole, 1):
            folder = tmp_path / f"{when:02}"
            assert (step, -signal.SIGKILL) == (step, life(folder, url, str(when)))
            server = Server(folder)
            changed += server.flag.exists() or door.held_by is not None
            later = Bench(folder, "hibernate", partial(behind, server, way(url)))
            results = later.writer.restore()
            after = (later.journal.undos(), server.flag.exists(), door.held_by)
            later.close()

            assert set() == {each.reason for each in results} - {Reason.RESTORED}
            assert (step, ((), False, None)) == (step, after)
        assert changed > len(whole) // 3


def test_who_vouches_for_the_proxy_is_said_of_the_proxy(door: Door, tmp_path: Path) -> None:
    """The CA of the server is not asked."""
    made = certificate(find("openssl", "openssl"), tmp_path, "server")
    trust = str(made.cert)
    server = Server(tmp_path)
    with serving(door, certificate=(trust, str(made.key))) as url:
        for settings in ({}, {"ca_file": trust}):
            with pytest.raises(KnobError, match="certificate is not trusted"):
                Drained(server, way(url, **settings)).write("chat", ASLEEP)
        Drained(server, way(url, proxy_ca_file=trust)).write("chat", ASLEEP)

    assert (["hold"], InForce(ASLEEP)) == (door.orders, server.read("chat"))
