"""Devices behind a wire: what hangs delays nobody, and what was written can be undone by itself."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event

import pytest
from click.testing import CliRunner

from actuator.fakes import Clock, FileKnob
from plant import plant
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.acting.restoring import put_back
from wattgov_actuator.acting.undoing import LATE_SECONDS
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.cli import main
from wattgov_actuator.connection import Connection, Setting, connection_of
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.knobs.connected import Connected
from wattgov_actuator.knobs.patient import Patient
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError, Probe

WAY = Connection("gpu_power_limit", "wire", "rack", {"app": "rack"}, {}, timeout_seconds=0.05)


class Wire:
    """A knob whose device answers when it is let; what it did is told."""

    def __init__(self, folder: Path) -> None:
        self.free, self.through = Event(), Event()
        self.free.set()
        self.knob = FileKnob(folder, self._at)
        self.knob.add()

    def _at(self, step: str) -> None:
        if step == "wrote":
            self.through.set()
        else:
            self.free.wait()


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Return a device; what hangs is let go at the end."""
    made = Wire(tmp_path / "cards")
    yield made
    made.free.set()


def decided(current: float, wanted: float, reason: Reason = Reason.APPLIED) -> Decision:
    """Return what was decided for the card."""
    return Decision(
        group="gpus",
        rule="trim",
        knob="gpu_power_limit",
        target="GPU-a",
        unit="watts",
        reason=reason,
        detail="because",
        at=1.0,
        current=current,
        wanted=wanted,
        acts=True,
    )


def test_a_device_that_hangs_is_busy_and_is_asked_nothing_more(wire: Wire) -> None:
    """Two orders at once could end either way."""
    patient = Patient(wire.knob, "rack", 0.05)
    wire.free.clear()
    for expected in ("takes longer than 0.05 s", "still at work on a write"):
        with pytest.raises(KnobError, match=expected) as raised:
            patient.write("GPU-a", 200.0)
        assert raised.value.fault is Fault.BUSY
    wire.free.set()
    patient.settle(10)

    assert [("GPU-a", 200.0)] == wire.knob.writes
    assert wire.knob.watts() == patient.read("GPU-a").value  # type: ignore[union-attr]


def test_why_an_order_failed_that_nobody_waited_for_is_kept(wire: Wire) -> None:
    """Until the next order."""
    patient = Patient(wire.knob, "rack", 0.05)
    wire.knob.refuses = Fault.REFUSED
    wire.free.clear()
    with pytest.raises(KnobError, match="takes longer"):
        patient.write("GPU-a", 200.0)
    wire.free.set()
    patient.settle(10)
    patient.read("GPU-a")
    assert "the card says no" == patient.failure("GPU-a")

    wire.knob.refuses = None
    patient.write("GPU-a", 200.0)
    assert "" == patient.failure("GPU-a")


def test_what_the_device_says_is_passed_on(wire: Wire) -> None:
    """A refusal stays a refusal."""
    wire.knob.refuses = Fault.REFUSED
    with pytest.raises(KnobError, match="the card says no"):
        Patient(wire.knob, "rack", 5).write("GPU-a", 200.0)


def test_a_device_that_is_slow_with_each_answer_is_no_hang(wire: Wire, tmp_path: Path) -> None:
    """A write has four of them: each may take `timeout`, and all together longer than a lease."""
    hands = Hands(lambda _, ways: Connected([(way, wire.knob) for way in ways]))
    writer = Writer(Journal(tmp_path), hands, Clock())
    writer.connect([WAY])
    seen: list[str] = []
    writer.heed(lambda: seen.append("alive"))
    wire.knob.at = seen.append
    cycle = ["alive", "read", "alive", "write", "wrote", "alive", "read"]

    assert Reason.APPLIED == writer.act(decided(300.0, 200.0)).reason
    assert ["alive", *cycle] == seen
    seen.clear()
    assert not put_back(writer, alive=lambda: seen.append("alive"))
    assert cycle == seen[-len(cycle) :]


def test_a_slow_write_is_ours_and_ending_waits_to_put_it_back(wire: Wire, tmp_path: Path) -> None:
    """Busy, then in force; the undo stood before it, and the end leaves nothing."""
    journal = Journal(tmp_path)
    hands = Hands(lambda _, ways: Connected([(way, wire.knob) for way in ways]))
    writer = Writer(journal, hands, Clock())
    writer.connect([WAY])
    (reading,), _ = writer.observe(["gpu_power_limit"])
    assert reading.current is not None
    wire.free.set()

    def hang(step: str, then: Callable[[str], None] = wire.knob.at) -> None:
        if step == "write":
            wire.free.clear()
        then(step)

    wire.knob.at = hang
    done = writer.act(decided(reading.current, 200.0))
    assert (Reason.BUSY, 200.0) == (done.reason, journal.undos()[0].intended)

    wire.knob.at = lambda _: None
    wire.free.set()
    writer.settle(10)
    (reading,), _ = writer.observe(["gpu_power_limit"])
    assert (200.0, 300.0, "") == (reading.current, reading.prior, reading.conflict)

    wire.knob.at = hang
    wire.through.clear()
    release_when_asked(wire, writer)
    assert not put_back(writer)
    assert (300.0, ()) == (wire.knob.watts(), journal.undos())


def test_a_device_at_work_is_busy_and_not_gone(wire: Wire, tmp_path: Path) -> None:
    """Its target stays, with its labels and its range, for as long as an order takes."""
    journal = Journal(tmp_path)
    hands = Hands(lambda _, ways: Connected([(way, wire.knob) for way in ways]))
    writer = Writer(journal, hands, Clock())
    writer.connect([WAY])
    (before,), _ = writer.observe(["gpu_power_limit"])
    wire.free.clear()
    assert Reason.BUSY is writer.act(decided(300.0, 200.0)).reason
    (during,), _ = writer.observe(["gpu_power_limit"])

    assert (before.target, None) == (during.target, during.current)
    assert during.trouble is not None
    assert during.trouble.fault is Fault.BUSY
    wire.free.set()
    writer.settle(10)


def test_new_rules_do_not_lose_an_order_that_is_under_way(wire: Wire, tmp_path: Path) -> None:
    """Read meanwhile, the device has its prior value still; what comes later is ours, too."""
    journal = Journal(tmp_path)
    hands = Hands(lambda _, ways: Connected([(way, wire.knob) for way in ways]))
    writer = Writer(journal, hands, Clock())
    writer.connect([WAY])
    writer.observe(["gpu_power_limit"])
    begun, go_on = Event(), Event()

    def at(step: str) -> None:
        if step == "write":
            begun.set()
            go_on.wait()

    wire.knob.at = at
    assert Reason.BUSY is writer.act(decided(300.0, 200.0)).reason
    assert begun.wait(10)
    writer.connect([replace(WAY, timeout_seconds=5.0)])
    (during,), _ = writer.observe(["gpu_power_limit"])
    assert (None, 300.0) == (during.current, during.prior)

    go_on.set()
    writer.settle(10)
    (after,), _ = writer.observe(["gpu_power_limit"])
    assert (200.0, 300.0, "") == (after.current, after.prior, after.conflict)
    assert after.target.via == str(replace(WAY, timeout_seconds=5.0))
    assert not put_back(writer)
    assert (300.0, ()) == (wire.knob.watts(), journal.undos())


@pytest.mark.parametrize("comes", [True, False])
def test_an_order_may_outlive_who_gave_it(comes: bool, wire: Wire, tmp_path: Path) -> None:
    """Killed while the server was at it: the undo is kept for as long as it may be at it still."""
    clock = Clock()

    def life() -> Writer:
        hands = Hands(lambda _, ways: Connected([(way, wire.knob) for way in ways]))
        return Writer(Journal(tmp_path), hands, clock)

    killed = life()
    killed.connect([WAY])
    killed.observe(["gpu_power_limit"])
    wire.knob.refuses = Fault.LOST  # what is left of it are the journal, and the server
    killed.act(replace(decided(300.0, 200.0), at=clock.unix))
    wire.knob.refuses = None
    clock.advance(5.0)
    later = life()
    later.connect([])

    (first,) = later.restore()
    assert (Reason.LOST, 300.0) == (first.reason, first.current)
    assert "an order for 200 watts may still be carried out" in first.detail

    if comes:
        wire.knob.add(watts=200)
    clock.advance(LATE_SECONDS)
    assert [Reason.RESTORED] == [each.reason for each in later.restore()]
    assert 300.0 == wire.knob.watts()
    assert () == later.restore()


@pytest.mark.parametrize("step", ["probe", "read"])
def test_a_rack_that_does_not_answer_is_waited_for_once(step: str, tmp_path: Path) -> None:
    """Each device goes on only when all of them have been asked: in turn, they never would."""
    racks = [f"rack-{number}" for number in range(4)]
    met = Barrier(len(racks))
    knobs = {name: Rack(tmp_path / name, name, step, met) for name in racks}
    hands = Hands(lambda _, ways: Connected([(way, knobs[way.name]) for way in ways]))
    hands.connect([replace(WAY, name=name, timeout_seconds=10.0) for name in racks])

    readings, notes = hands.look(["gpu_power_limit"], 0.0)

    assert [(name, 300.0) for name in racks] == [(e.target.name, e.current) for e in readings]
    assert {"gpu_power_limit": ""} == notes
    hands.close()


def test_a_write_asks_its_own_device_only(wire: Wire, tmp_path: Path) -> None:
    """Another one that hangs would hold up each write of a tick, a thermal one too."""
    journal, asked = Journal(tmp_path), list[str]()
    knobs: dict[str, FileKnob] = {"rack": wire.knob, "hangs": Asked(tmp_path / "other", asked)}
    knobs["hangs"].add("GPU-b")
    hands = Hands(lambda _, ways: Connected([(way, knobs[way.name]) for way in ways]))
    writer = Writer(journal, hands, Clock())
    writer.connect([WAY, replace(WAY, name="hangs")])
    writer.observe(["gpu_power_limit"])
    asked.clear()

    assert Reason.APPLIED is writer.act(decided(300.0, 200.0)).reason
    assert ([], str(WAY)) == (asked, journal.undos()[0].via)

    gone = writer.act(replace(decided(300.0, 200.0), target="GPU-c"))
    assert ([Reason.LOST, "the device is gone"], ["probe"]) == ([gone.reason, gone.detail], asked)
    journal.close()


class Asked(FileKnob):
    """A device that tells when it is looked for."""

    def __init__(self, folder: Path, asked: list[str]) -> None:
        super().__init__(folder)
        self._asked = asked

    def probe(self) -> Probe:
        """Return it."""
        self._asked.append("probe")
        return super().probe()


def servers(folder: Path, *names: str) -> tuple[Writer, Journal, list[Connection]]:
    """Return a writer, and ways by which each of these files is called chat."""
    ways = []
    for name in names:
        plant(f"sys/{name}.conf = max_batch = 32", folder)
        settings: dict[str, Setting] = {"path": f"{folder}/sys/{name}.conf"}
        settings |= {"pattern": r"(\d+)", "low": 1, "high": 64}
        ways.append(Connection("batch_size", "file", "chat", {"app": "chat"}, settings))
    journal = Journal(folder)
    hands = Hands(lambda name, ways: open_knob(name, ways, Machine(folder)))
    return Writer(journal, hands, Clock()), journal, ways


def test_a_name_that_leads_elsewhere_from_now_on_is_put_back_before(tmp_path: Path) -> None:
    """The other one has never been changed: its value says nothing about the one that was."""
    writer, journal, (old, new) = servers(tmp_path, "old", "new")
    writer.connect([old])
    (reading,), _ = writer.observe(["batch_size"])
    order = replace(decided(32.0, 8.0), knob="batch_size", target="chat", unit="requests")
    assert Reason.APPLIED is writer.act(order).reason

    writer.connect([new])
    writer.observe(["batch_size"])

    assert () == journal.undos()
    assert "max_batch = 32" == (tmp_path / "sys/old.conf").read_text().strip()
    assert (Reason.RESTORED, reading.current) == (
        journal.decisions()[-1]["reason"],
        journal.decisions()[-1]["read_back"],
    )


class Rack(FileKnob):
    """One device that meets the others at one of its steps."""

    def __init__(self, folder: Path, name: str, step: str, met: Barrier) -> None:
        super().__init__(folder)
        self.add(name)
        self._step, self._met = step, met

    def probe(self) -> Probe:
        """Return it."""
        if self._step == "probe":
            self._met.wait()
        return super().probe()

    def read(self, target: str) -> InForce:
        """Return what is set."""
        if self._step == "read":
            self._met.wait()
        return super().read(target)


def release_when_asked(wire: Wire, writer: Writer) -> None:
    """Let the device go on once somebody waits for it to settle."""
    before = writer.settle

    def settle(seconds: float) -> None:
        wire.knob.at = lambda _: None
        wire.free.set()
        before(seconds)

    writer.settle = settle  # type: ignore[method-assign]


def test_what_was_written_can_be_put_back_without_the_rules(tmp_path: Path) -> None:
    """The journal holds the way to the device; `restore` asks nobody else."""
    plant("sys/server.conf = max_batch = 32", tmp_path)
    settings: dict[str, Setting] = {
        "path": f"{tmp_path}/sys/server.conf",
        "pattern": r"(\d+)",
        "low": 1,
        "high": 64,
    }
    way = Connection("batch_size", "file", "chat", {"app": "chat"}, settings)
    state = tmp_path / "state"
    state.mkdir()
    journal = Journal(state)
    hands = Hands(lambda name, ways: open_knob(name, ways, Machine(tmp_path)))
    writer = Writer(journal, hands, Clock())
    writer.connect([way])
    (reading,), _ = writer.observe(["batch_size"])
    order = Decision(
        *("batches", "less", "batch_size", "chat", "requests", Reason.APPLIED, "because", 1.0),
        current=reading.current,
        wanted=8.0,
        acts=True,
    )
    assert writer.act(order).reason is Reason.APPLIED
    journal.close()

    result = CliRunner().invoke(main, ["restore", "--state-dir", str(state)])

    assert "batch_size chat: 8 requests -> 32 requests, put back" in result.output
    assert (tmp_path / "sys/server.conf").read_text().strip() == "max_batch = 32"


def test_what_another_version_has_left_hides_no_other_device(tmp_path: Path) -> None:
    """It is told with the way's name, and its undo stays; rules go on with the others."""
    writer, journal, (way,) = servers(tmp_path, "here")
    strange = [
        replace(way, name="newer", backend="telepathy"),
        replace(
            way, name="older", settings={key: way.settings[key] for key in ("path", "pattern")}
        ),
    ]
    writer.connect([*strange, way])
    (reading,), notes = writer.observe(["batch_size"])

    assert ("chat", 32.0) == (reading.target.name, reading.current)
    assert notes["batch_size"] == (
        "newer: this version has no backend telepathy for batch_size; "
        "older: this version's backend file needs 'low', which is not given"
    )
    journal.close()


def test_a_connection_is_the_same_after_the_journal() -> None:
    """As text and back; something else is no connection, in a sentence."""
    assert connection_of(str(WAY)) == WAY
    with pytest.raises(ValueError, match="is no connection"):
        connection_of(json.dumps({"knob": "gpu_power_limit"}))


def test_without_an_entry_there_is_no_target() -> None:
    """The note says what to write."""
    knob: Knob = open_knob("batch_size")
    assert ((), True) == (knob.probe().targets, "under `knobs`" in knob.probe().note)
