"""Sleep of a systemd unit, over a real D-Bus with a manager of ours on it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jeepney import Message
from jeepney.io.blocking import DBusConnection

from actuator.bench import Bench
from fakes.systemd import UNIT, Manager, Refusal, serving
from wattgov_actuator.cli import main
from wattgov_actuator.connection import Connection
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError

ASLEEP, AWAKE = 0.0, 1.0
ERROR = "org.freedesktop.DBus.Error."


class Unit:
    """One unit, and the manager that knows it."""

    def __init__(self, folder: Path, socket: str, manager: Manager) -> None:
        self.file, self.socket, self.manager = folder / "chat.service", socket, manager
        self.keep()

    def keep(self, **more: str) -> None:
        """Put it into a state."""
        self.file.write_text(json.dumps({**UNIT, **more}))

    def state(self, name: str) -> object:
        """Return one property."""
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found[name]

    def knob(self, how: str = "freeze") -> Knob:
        """Return the knob."""
        settings = {"unit": str(self.file), "how": how, "socket": self.socket}
        opened = open_knob(
            "hibernate", [Connection("hibernate", "systemd", "chat", {"app": "chat"}, settings)]
        )
        opened.probe()
        return opened


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    """Return a unit that runs."""
    manager = Manager()
    with serving(manager, tmp_path) as socket:
        yield Unit(tmp_path, socket, manager)


@pytest.mark.parametrize(
    ("how", "name", "word"),
    [("freeze", "FreezerState", "frozen"), ("stop", "ActiveState", "inactive")],
)
def test_a_unit_sleeps_and_wakes(unit: Unit, how: str, name: str, word: str) -> None:
    """By its one way or the other; each is read back."""
    knob, awake = unit.knob(how), unit.state(name)
    before = knob.read("chat")
    knob.write("chat", ASLEEP)
    asleep = (unit.state(name), knob.read("chat"))
    knob.restore("chat", AWAKE, "")

    assert (InForce(AWAKE), (word, InForce(ASLEEP))) == (before, asleep)
    assert (awake, InForce(AWAKE)) == (unit.state(name), knob.read("chat"))


@pytest.mark.parametrize(
    ("name", "words", "fault", "said"),
    [
        (f"{ERROR}NotSupported", "does not support freezing.", Fault.UNSUPPORTED, "freezing"),
        (
            "org.freedesktop.systemd1.UnitBusy",
            "Unit has a pending job.",
            Fault.BUSY,
            "pending job",
        ),
        (f"{ERROR}AccessDenied", "Permission denied", Fault.REFUSED, "denied; run as root, or"),
        (f"{ERROR}UnknownMethod", "Unknown method", Fault.UNSUPPORTED, "systemd 246 or later"),
    ],
)
def test_what_it_has_against_it_is_told(
    unit: Unit, name: str, words: str, fault: Fault, said: str
) -> None:
    """In its own words, with what to do."""
    knob, unit.manager.refusal = unit.knob(), (name, words)
    with pytest.raises(KnobError, match=said) as raised:
        knob.write("chat", ASLEEP)

    assert fault is raised.value.fault
    assert "running" == unit.state("FreezerState")


@pytest.mark.parametrize("result", ["failed", "timeout", "canceled", "dependency"])
def test_a_job_that_ends_otherwise_is_no_sleep(unit: Unit, result: str) -> None:
    """The order was taken, and nothing came of it."""
    knob, unit.manager.result = unit.knob("stop"), result
    with pytest.raises(KnobError, match=f"StopUnit of .* ended as {result}"):
        knob.write("chat", ASLEEP)

    assert InForce(AWAKE) == knob.read("chat")


def test_a_freeze_that_came_all_the_same_is_no_error(unit: Unit) -> None:
    """What is in force tells, not the answer."""
    knob, unit.manager.lost = unit.knob(), True
    knob.write("chat", ASLEEP)

    assert InForce(ASLEEP) == knob.read("chat")


@pytest.mark.parametrize(
    ("how", "more", "fault", "said"),
    [
        ("freeze", {"FreezerState": "freezing"}, Fault.BUSY, "is freezing"),
        ("stop", {"ActiveState": "activating"}, Fault.BUSY, "is activating"),
    ],
)
def test_what_is_in_between_is_no_level(
    unit: Unit, how: str, more: dict[str, str], fault: Fault, said: str
) -> None:
    """A server that loads its model is not awake yet."""
    knob = unit.knob(how)
    unit.keep(**more)
    with pytest.raises(KnobError, match=said) as raised:
        knob.read("chat")

    assert fault is raised.value.fault


def test_frozen_by_its_slice_it_is_not_ours(unit: Unit) -> None:
    """What was asked for, and what is so."""
    unit.keep(FreezerState="frozen-by-parent")

    assert InForce(AWAKE, ASLEEP) == unit.knob().read("chat")


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_frozen_unit_that_somebody_stops_is_ours_no_more(
    unit: Unit, tmp_path: Path, state: str
) -> None:
    """Its end has thawed it, and nothing is left to be put back; nor can it be frozen then."""
    bench = Bench(tmp_path, "hibernate", unit.knob)
    assert Reason.APPLIED is bench.act(ASLEEP).reason
    unit.keep(ActiveState=state)

    assert (AWAKE, None) == (bench.observe().current, bench.observe().prior)
    assert () == bench.writer.restore()
    refused = bench.act(ASLEEP)
    assert (Reason.REFUSED, ()) == (refused.reason, bench.journal.undos())
    assert "Unit is inactive" in refused.detail
    bench.close()


def test_who_is_not_there_is_no_target(unit: Unit, tmp_path: Path) -> None:
    """A unit that is not found, a bus without systemd, and no bus at all."""
    unit.file.unlink()
    assert "chat.service is not-found" in unit.knob().probe().note
    unit.socket = f"{tmp_path}/none.sock"
    assert f"D-Bus at {tmp_path}/none.sock cannot be asked" in unit.knob().probe().note


class Reluctant(Manager):
    """A manager with a job of the unit under way when it is asked first."""

    def _thaw(self, bus: DBusConnection, message: Message) -> tuple[None, tuple[()]]:
        if self.jobs == 0:
            self.jobs = 1
            raise Refusal("org.freedesktop.systemd1.UnitBusy", "Unit has a pending job.")
        return super()._thaw(bus, message)


def test_restore_waits_for_a_unit_that_is_busy(tmp_path: Path) -> None:
    """Who puts back by hand, or after the end of a service, is the last one who does."""
    manager = Reluctant()
    with serving(manager, tmp_path) as socket:
        unit = Unit(tmp_path, socket, manager)
        bench = Bench(tmp_path, "hibernate", unit.knob)
        assert Reason.APPLIED is bench.act(ASLEEP).reason
        bench.close()

        result = CliRunner().invoke(main, ["restore", "--state-dir", str(bench.folder)])

        assert (0, "running") == (result.exit_code, unit.state("FreezerState"))
        assert "put back" in result.stdout
