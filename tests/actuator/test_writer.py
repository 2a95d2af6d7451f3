"""The cycle of a write, and the way back."""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actuator.fakes import Clock, FileKnob
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.acting.undo import State
from wattgov_actuator.acting.undoing import LATE_SECONDS
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.reading import Fault, InForce, KnobError

KNOB = "gpu_power_limit"


class Bench:
    """A writer with its journal and its knob, which can be taken down and set up again."""

    def __init__(self, folder: Path, knob: FileKnob) -> None:
        self.folder, self.knob, self.clock, self.boot = folder, knob, Clock(), "first"
        folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        """Open the journal and the knob."""
        self.journal = Journal(self.folder, boot=self.boot)
        self.writer = Writer(
            self.journal, Hands(lambda name, _: {KNOB: self.knob}[name]), self.clock
        )

    def restart(self) -> None:
        """Come back as another process would."""
        self.journal.close()
        self.start()

    def reboot(self, watts: float) -> None:
        """Come back in the next boot of a machine whose card begins at *watts*."""
        (self.knob.folder / "GPU-a").write_text(str(watts))
        self.boot = "second"
        self.restart()

    def act(self, wanted: float, reason: Reason = Reason.APPLIED) -> Decision:
        """Write one value, as decided on what is in force now."""
        decision = Decision(
            group="gpus",
            rule="trim",
            knob=KNOB,
            target="GPU-a",
            unit="watts",
            reason=reason,
            detail="because",
            at=self.clock.unix,
            current=self.knob.watts(),
            wanted=wanted,
            acts=True,
        )
        return self.writer.act(decision)

    def state(self) -> State | None:
        """Return the state of the card's undo."""
        undo = self.journal.undo(KNOB, "GPU-a")
        return None if undo is None else undo.state


@pytest.fixture
def bench(tmp_path: Path, knob: FileKnob) -> Iterator[Bench]:
    """Return a bench with one card at 300 W."""
    made = Bench(tmp_path / "state", knob)
    yield made
    made.journal.close()


def test_a_write_is_journalled_read_back_and_undone(bench: Bench) -> None:
    """There and back; the journal knows both."""
    done = bench.act(280)

    assert (Reason.APPLIED, 300) == (done.reason, done.prior)
    assert 280 == bench.knob.watts()

    (back,) = bench.writer.restore()

    assert Reason.RESTORED == back.reason
    assert 300 == bench.knob.watts()
    assert ["applied", "restored"] == [row["reason"] for row in bench.journal.decisions()]
    assert () == bench.journal.undos()


@settings(deadline=None)  # each example syncs files
@given(values=st.lists(st.floats(100, 400), max_size=6), prior=st.floats(100, 400))
def test_restore_after_any_writes_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], prior: float
) -> None:
    """However often and wherever it was set, the prior value comes back."""
    folder = tmp_path_factory.mktemp("bench")
    knob = FileKnob(folder / "cards")
    knob.add(watts=prior)
    bench = Bench(folder / "state", knob)
    for value in values:
        bench.act(value)
    bench.writer.restore()

    assert abs(prior - knob.watts()) < 1  # nearer than the card tells apart
    assert () == bench.journal.undos()
    bench.journal.close()


def test_a_value_outside_the_hardware_is_never_written(bench: Bench) -> None:
    """Whoever decides, the card's own range is the last word."""
    bench.act(5)
    bench.act(5000)

    assert [("GPU-a", 100.0), ("GPU-a", 400.0)] == bench.knob.writes


def test_a_setter_that_lies_is_found_out(bench: Bench) -> None:
    """The return code said yes; the value that reads back says no."""
    bench.knob.lies = True
    done = bench.act(280)

    assert Reason.REFUSED == done.reason
    assert "the driver accepted 280 watts and still reads 300 watts" == done.detail
    assert () == bench.journal.undos()


def test_an_order_that_got_no_answer_and_comes_late_is_undone(bench: Bench) -> None:
    """The connection broke, and the server went on: what it does then is ours."""
    bench.knob.refuses = Fault.LOST
    assert Reason.LOST == bench.act(280).reason
    ((reading,), _) = bench.writer.observe([KNOB])
    assert (300, None, State.OPEN) == (reading.current, reading.prior, bench.state())

    bench.knob.add(watts=280)
    ((reading,), _) = bench.writer.observe([KNOB])
    assert (280, 300, "") == (reading.current, reading.prior, reading.conflict)

    bench.knob.refuses = None
    bench.writer.restore()
    assert (300, None) == (bench.knob.watts(), bench.state())


def test_an_order_that_got_no_answer_is_waited_for_in_bounds(bench: Bench) -> None:
    """Then the value from before us is taken for what it came to."""
    bench.knob.refuses = Fault.LOST
    bench.act(280)
    bench.clock.advance(LATE_SECONDS)
    bench.writer.observe([KNOB])

    assert bench.state() is None


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.LOST}))
def test_a_refused_write_leaves_no_undo(bench: Bench, fault: Fault) -> None:
    """What was not changed needs no putting back; the reason is the driver's."""
    bench.knob.refuses = fault
    done = bench.act(280)

    assert (str(fault), "the card says no") == (done.reason, done.detail)
    assert () == bench.journal.undos()
    ((reading,), _) = bench.writer.observe([KNOB])
    assert reading.trouble is not None
    assert fault == reading.trouble.fault


def test_a_second_write_that_is_refused_keeps_the_first_undo(bench: Bench) -> None:
    """What is in force is still ours."""
    bench.act(280)
    bench.knob.refuses = Fault.REFUSED
    bench.act(260)
    undo = bench.journal.undo(KNOB, "GPU-a")

    assert undo is not None
    assert (300, (280,)) == (undo.prior, undo.ours)


def test_a_value_that_a_person_set_is_respected(bench: Bench) -> None:
    """It is reported, never overwritten, and it is not lost by a restart."""
    bench.act(280)
    (bench.knob.folder / "GPU-a").write_text("250")
    ((reading,), _) = bench.writer.observe([KNOB])

    assert reading.conflict.startswith("somebody set 250 watts after our 280 watts")
    for _ in range(2):
        (left,) = bench.writer.restore()
        assert (Reason.CONFLICT, 250) == (left.reason, bench.knob.watts())
        bench.restart()
    ((reading,), _) = bench.writer.observe([KNOB])
    assert reading.conflict
    assert 1 == len(bench.knob.writes)


def test_restore_on_demand_ends_a_conflict(bench: Bench) -> None:
    """A person says that rules may act again; the value stays, and is the next prior."""
    bench.act(280)
    (bench.knob.folder / "GPU-a").write_text("250")
    (left,) = bench.writer.restore(give_up_conflicts=True)

    assert (Reason.CONFLICT, 250) == (left.reason, bench.knob.watts())
    ((reading,), _) = bench.writer.observe([KNOB])
    assert ("", None) == (reading.conflict, reading.prior)
    assert 250 == bench.act(230).prior


def test_a_conflict_ends_when_the_prior_value_is_back(bench: Bench) -> None:
    """Somebody has put back what we would have put back."""
    bench.act(280)
    (bench.knob.folder / "GPU-a").write_text("250")
    bench.writer.observe([KNOB])
    (bench.knob.folder / "GPU-a").write_text("300")
    ((reading,), _) = bench.writer.observe([KNOB])

    assert ("", None) == (reading.conflict, reading.prior)
    assert () == bench.journal.undos()


@pytest.mark.parametrize("observed", [False, True])
def test_after_a_new_start_of_the_machine_its_default_is_nobodys_change(
    bench: Bench, *, observed: bool
) -> None:
    """The card lost the setting of before us as well as ours: it is left so, and rules may act."""
    bench.act(280)
    bench.reboot(350)
    if observed:
        bench.writer.observe([KNOB])
    else:
        assert [Reason.RESTORED] == [each.reason for each in bench.writer.restore()]
    ((reading,), _) = bench.writer.observe([KNOB])

    assert ("", None, 350, ()) == (
        *(reading.conflict, reading.prior, bench.knob.watts()),
        bench.journal.undos(),
    )
    last = bench.journal.decisions()[-1]["detail"]
    assert "started anew, which ended our 280 watts; it is left at 350 watts" in str(last)


def test_after_a_new_start_what_is_still_ours_is_put_back(bench: Bench) -> None:
    """And a change by a person in that boot, after our next write, is theirs."""
    bench.act(280)
    bench.reboot(280)
    bench.act(260)
    (bench.knob.folder / "GPU-a").write_text("270")

    assert [Reason.CONFLICT] == [each.reason for each in bench.writer.restore()]

    (bench.knob.folder / "GPU-a").write_text("300")
    bench.writer.observe([KNOB])
    bench.act(280)
    bench.boot = "third"
    bench.restart()

    assert [Reason.RESTORED] == [each.reason for each in bench.writer.restore()]
    assert 300 == bench.knob.watts()


def test_a_new_start_here_says_nothing_of_a_device_elsewhere(bench: Bench) -> None:
    """It kept its setting, so that whoever changed it is a person."""
    bench.knob.via = "a connection"
    bench.act(280)
    bench.reboot(350)

    assert [Reason.CONFLICT] == [each.reason for each in bench.writer.restore()]


def test_a_change_between_deciding_and_writing_stops_the_write(bench: Bench) -> None:
    """The decision was made on a value that is no more."""

    def person(step: str) -> None:
        if step == "read":
            (bench.knob.folder / "GPU-a").write_text("222")

    bench.knob.at = person
    done = bench.act(280)

    assert Reason.CONFLICT == done.reason
    assert [] == bench.knob.writes


@pytest.mark.parametrize(
    ("person", "refuses", "left"),
    [
        (320.0, None, Reason.CONFLICT),
        (250.0, Fault.REFUSED, Reason.CONFLICT),
        (320.0, Fault.REFUSED, Reason.CONFLICT),
        (250.0, None, Reason.RESTORED),  # a driver may round so
        (290.0, None, Reason.RESTORED),
        (290.0, Fault.REFUSED, Reason.RESTORED),
    ],
)
def test_a_change_between_writing_and_reading_back_is_theirs_where_no_driver_does_it(
    bench: Bench, person: float, refuses: Fault | None, left: Reason
) -> None:
    """What could be a driver's rounding is put back with the rest: it cannot be told apart."""

    def at(step: str) -> None:
        if step == "read" and bench.knob.writes:
            bench.knob.add(watts=person)

    bench.knob.at, bench.knob.refuses = at, refuses
    done = bench.act(280)
    bench.knob.at, bench.knob.refuses = (lambda _: None), None
    (back,) = bench.writer.restore()

    conflict = left is Reason.CONFLICT
    assert (left, conflict) == (back.reason, done.reason is Reason.CONFLICT)
    assert (person if conflict else 300.0) == bench.knob.watts()
    if conflict:
        assert f"somebody set {person:g} watts after our 280 watts" in done.detail
        assert ["conflict"] == [row["reason"] for row in bench.journal.decisions()]


def test_what_fails_again_and_again_is_journalled_once(bench: Bench) -> None:
    """A card that refuses its prior value at each tick pushes nobody's past out of the journal."""
    bench.act(280)
    bench.knob.refuses = Fault.REFUSED
    before = len(bench.journal.decisions())
    tries = [bench.writer.restore()[0].reason for _ in range(5)]

    assert [Reason.REFUSED] * 5 == tries
    assert before + 1 == len(bench.journal.decisions())

    bench.knob.refuses = Fault.BUSY
    bench.writer.restore()
    assert before + 2 == len(bench.journal.decisions())


def test_a_card_that_is_gone_keeps_its_undo(bench: Bench) -> None:
    """It is put back when it comes back, also by a later process."""
    bench.act(280)
    bench.knob.gone.add("GPU-a")
    (left,) = bench.writer.restore()
    ((reading,), _) = bench.writer.observe([KNOB])

    assert (Reason.LOST, State.OPEN) == (left.reason, bench.state())
    assert (None, 300, Fault.LOST) == (
        reading.current,
        reading.prior,
        reading.trouble and reading.trouble.fault,
    )

    bench.restart()
    bench.knob.gone.clear()
    bench.writer.restore()

    assert 300 == bench.knob.watts()


def test_a_journal_that_cannot_be_written_stops_every_write_but_the_last(bench: Bench) -> None:
    """What could not be undone is not done; what can be undone still is."""
    bench.act(280)
    full(bench.journal.path)
    done = bench.act(260)

    assert Reason.UNJOURNALLED == done.reason
    assert 280 == bench.knob.watts()

    (back,) = bench.writer.restore()

    assert Reason.RESTORED == back.reason
    assert 300 == bench.knob.watts()


class _Killed(BaseException):
    """The end of a process, wherever it was."""


def test_a_value_that_came_into_force_late_is_ours_when_the_next_write_is_cut_short(
    bench: Bench,
) -> None:
    """Busy after the first order, which is carried out; killed before the second one is."""
    steps: list[str] = []

    def at(step: str) -> None:
        steps.append(step)
        if steps[-2:] == ["wrote", "read"]:
            raise KnobError(Fault.BUSY, "it is still at work")
        if steps.count("write") > 1:
            raise _Killed

    bench.knob.at = at
    assert Reason.BUSY == bench.act(280).reason
    assert 280 == bench.knob.watts()
    with pytest.raises(_Killed):
        bench.act(260)
    bench.knob.at = lambda _: None
    bench.restart()

    (back,) = bench.writer.restore()

    assert (Reason.RESTORED, 300) == (back.reason, bench.knob.watts())


def full(path: Path) -> None:
    """Let every later write to the journal fail, as a full disk does."""
    db = sqlite3.connect(path)
    for table, change in (("undo", "UPDATE"), ("undo", "INSERT"), ("decision", "INSERT")):
        db.execute(
            f"CREATE TRIGGER full_{table}_{change} BEFORE {change} ON {table} "
            "BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
        )
    db.close()


@pytest.mark.parametrize("steps", [1, 2])
def test_at_any_instant_what_is_on_disk_puts_the_card_back(tmp_path: Path, steps: int) -> None:
    """Power may fail at any step of one write or two: the journal as it is then suffices.

    The state folder and the card are copied at each step, and each copy is started anew.
    """
    copies: list[Path] = []
    knob = FileKnob(tmp_path / "cards")
    knob.add()

    def photograph(step: str) -> None:
        copy = tmp_path / f"{len(copies):02}-{step}"
        copies.append(copy)
        shutil.copytree(tmp_path / "state", copy / "state")
        shutil.copytree(tmp_path / "cards", copy / "cards")

    bench = Bench(tmp_path / "state", knob)
    knob.at = photograph
    for step in range(steps):
        bench.act(280 - 20 * step)
    photograph("end")
    bench.writer.restore()
    photograph("restored")
    bench.journal.close()

    assert 6 + 4 * steps == len(copies)
    for copy in copies:
        later = Bench(copy / "state", FileKnob(copy / "cards"))
        reasons = {decision.reason for decision in later.writer.restore()}
        assert (copy, 300, set()) == (copy, later.knob.watts(), reasons - {Reason.RESTORED})
        assert () == later.journal.undos()
        later.journal.close()


def test_a_bug_at_one_card_does_not_keep_the_others_changed(bench: Bench) -> None:
    """Whatever goes wrong while putting back, every card is tried."""
    bench.act(280)
    bench.knob.add("GPU-0")
    bench.journal.intend(replace(bench.act(280), target="GPU-0"), 200, InForce(300))

    def bug(step: str) -> None:
        if step == "read" and len(bench.knob.writes) == 1:
            bench.knob.writes.append(("", 0))
            raise ZeroDivisionError

    bench.knob.at = bug
    bench.knob.writes = bench.knob.writes[:1]
    first, second = bench.writer.restore()

    assert (Reason.LOST, Reason.RESTORED) == (first.reason, second.reason)
    assert "ZeroDivisionError" in first.detail
    assert 300 == bench.knob.watts()


def test_a_knob_of_another_version_is_told(bench: Bench, tmp_path: Path) -> None:
    """A journal may know knobs that this program does not have."""
    bench.act(280)
    bench.journal.close()
    no_knobs: dict[str, FileKnob] = {}
    journal = Journal(tmp_path / "state")
    (left,) = Writer(journal, Hands(lambda name, _: no_knobs[name]), bench.clock).restore()

    assert Reason.LOST == left.reason
    assert "this version has no knob gpu_power_limit" in left.detail
    journal.close()
