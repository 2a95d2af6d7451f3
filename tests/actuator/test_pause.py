"""A person's hand on the brake: the file, and what the loop makes of it."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from queue import Empty
from threading import Event

import pytest

from actuator.builders import PROTECT, rule, ruleset, watts
from actuator.fakes import Clock, FileKnob
from actuator.stage import Stage
from wattgov_actuator.decision import Reason
from wattgov_actuator.laws.threshold import Set, Step
from wattgov_actuator.pause import Pause, PauseFile
from wattgov_actuator.reading import Answer, Fault
from wattgov_actuator.rules import Rule, Thermal

TRIM = rule("trim", "quiet", cooldown_seconds=30)
RELAX = rule("relax", "busy", Step(watts(20)))
NIGHT = rule("night", "dark", Set(watts(200)), cooldown_seconds=0)
HOT = replace(PROTECT, thermal=Thermal("hot", "cool"))
BRAKE = Pause(since=1_000_000.0, by="ann", why="a trial")
KILL = replace(BRAKE, restore=True)

Make = Callable[..., Stage]


@pytest.fixture
def make(tmp_path: Path, knob: FileKnob) -> Iterator[Make]:
    """Return a maker of enforcing stages with one card at 300 W."""
    stages: list[Stage] = []

    def stage(*rules: Rule) -> Stage:
        stages.append(Stage(tmp_path, ruleset(*rules, protect=HOT), knob))
        return stages[-1]

    yield stage
    for each in stages:
        each.journal.close()


def test_a_pause_is_on_disk_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut it stands as before: its text first, and then the folder."""
    folders: list[bool] = []
    sync = os.fsync

    def synced(file: int) -> None:
        folders.append(stat.S_ISDIR(os.fstat(file).st_mode))
        sync(file)

    monkeypatch.setattr(os, "fsync", synced)
    PauseFile(tmp_path).write(BRAKE)

    assert [False, True] == folders


@pytest.mark.parametrize("until", ["false", "0", "true", "999999", "NaN", '"soon"', "[]"])
def test_an_end_that_makes_no_sense_is_none(tmp_path: Path, until: str) -> None:
    """Whoever wrote it by hand wanted a pause."""
    file = PauseFile(tmp_path)
    file.path.write_text(f'{{"since": 1000000, "until": {until}}}')
    found = file.read(2_000_000)

    assert found is not None
    assert "it does not say what it should" in str(found)


def test_what_is_no_character_is_shown_as_a_question_mark(tmp_path: Path) -> None:
    """A terminal can give such a text, and every page and log line tells of a pause."""
    file = PauseFile(tmp_path)
    file.write(replace(BRAKE, by="\udcff", why="\ud800 it burns"))

    assert "by ?, until somebody resumes: ? it burns" in str(file.read(0)).encode().decode()


def test_a_pause_lasts_until_its_time(tmp_path: Path) -> None:
    """It is read as it was written, and over in time; without an end it stays."""
    file, brake = PauseFile(tmp_path), replace(BRAKE, until=1_000_600.0)
    file.write(brake)

    assert (brake, None) == (file.read(1_000_599), file.read(1_000_600))
    assert "since 1970-01-12T13:46:40Z by ann, until 1970-01-12T13:56:40Z: a trial" == str(brake)

    file.write(BRAKE)

    assert BRAKE == file.read(9e9)

    file.end()
    file.end()

    assert file.read(0) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", "7", "[" * 100_000),
        '{"since": "no"}',
        '{"since": NaN}',
        '{"since": 1, "until": 1e300}',
    ],
)
def test_a_file_that_says_nothing_is_a_pause(tmp_path: Path, text: str) -> None:
    """And always the same one, or the loop would see a new one each time."""
    file = PauseFile(tmp_path)
    file.path.write_text(text)
    found = file.read(1.0)

    assert found == file.read(2.0)
    assert found is not None
    assert "cannot be read, so it counts as a pause" in str(found)


def test_in_a_pause_rules_only_loosen(make: Make) -> None:
    """What is held is held, what is let go goes back, and a resume ends it."""
    stage = make(TRIM, RELAX)
    stage.say("quiet")
    stage.play(ticks=3)
    stage.brake.write(BRAKE)

    assert (Reason.PAUSED, 260) == (stage.play(ticks=9).reason, stage.knob.watts())

    stage.say("busy")
    stage.play()

    assert 280 == stage.knob.watts()

    stage.say("quiet")
    stage.play()
    stage.brake.end()

    assert (Reason.APPLIED, 260) == (stage.play().reason, stage.knob.watts())


def test_in_a_pause_a_condition_that_ends_puts_back(make: Make) -> None:
    """Restoring is never paused."""
    stage = make(NIGHT)
    stage.say("dark")
    stage.play()
    stage.brake.write(BRAKE)
    stage.say()

    assert (Reason.RESTORED, 300) == (stage.play().reason, stage.knob.watts())


def test_a_pause_does_not_let_a_card_burn(make: Make) -> None:
    """Rules are paused, thermal protection is not."""
    stage = make(TRIM)
    stage.brake.write(BRAKE)
    stage.say("hot", "quiet")
    stage.play()

    assert 150 == stage.knob.watts()


def test_a_pause_outlives_a_restart(make: Make) -> None:
    """The next process finds it before it does anything."""
    make(TRIM).brake.write(BRAKE)
    stage = make(TRIM)
    stage.say("quiet")

    assert (Reason.PAUSED, 300) == (stage.play().reason, stage.knob.watts())
    assert BRAKE == stage.governor.snapshot.pause


def test_the_kill_switch_puts_back_and_nothing_acts(make: Make) -> None:
    """With Prometheus down, and with a card that is hot; until somebody resumes."""
    stage = make(TRIM)
    stage.say("quiet")
    stage.play()
    stage.brake.write(KILL)
    stage.down = True
    stage.play()

    assert (300, 0) == (stage.knob.watts(), stage.governor.snapshot.open_undos)

    stage.down = False
    stage.say("quiet", "hot")
    stage.play(ticks=5)

    assert (300, 2) == (stage.knob.watts(), len(stage.knob.writes))
    assert {Reason.DISARMED} == {each.reason for each in stage.governor.snapshot.decisions}

    stage.brake.end()
    stage.play()

    assert 150 == stage.knob.watts()


def test_the_kill_switch_insists(make: Make) -> None:
    """A card that refuses is put back as soon as it obeys."""
    stage = make(TRIM)
    stage.say("quiet")
    stage.play()
    stage.brake.write(KILL)
    stage.knob.refuses = Fault.REFUSED
    stage.play(ticks=2)

    assert (280, 1) == (stage.knob.watts(), stage.governor.snapshot.open_undos)

    stage.knob.refuses = None
    stage.play()

    assert 300 == stage.knob.watts()


def test_the_kill_switch_counts_at_the_last_moment(make: Make) -> None:
    """It came while Prometheus was asked."""
    stage = make(TRIM)
    stage.say("quiet")
    ask = stage.loop._ask  # noqa: SLF001 (the edge of the stage)

    def meanwhile(wanted: Iterable[str]) -> Mapping[str, Answer]:
        stage.brake.write(KILL)
        return ask(wanted)

    stage.loop._ask = meanwhile  # noqa: SLF001 (the same)

    assert (Reason.DISARMED, 300) == (stage.play().reason, stage.knob.watts())
    assert [] == stage.knob.writes


def test_the_kill_switch_waits_for_no_answer_of_prometheus(make: Make) -> None:
    """All is put back while a question is open; so a pause is heeded by the tick that asked it."""
    stage = make(TRIM)
    stage.say("quiet")
    stage.play()
    assert 280 == stage.knob.watts()
    restored = Event()
    stage.knob.at = lambda step: restored.set() if step == "wrote" else None
    ask = stage.loop._ask  # noqa: SLF001 (the edge of the stage)

    def slow(wanted: Iterable[str]) -> Mapping[str, Answer]:
        stage.brake.write(KILL)
        assert restored.wait(30)
        stage.brake.write(BRAKE)
        return ask(wanted)

    stage.loop._ask = slow  # noqa: SLF001 (the same)

    assert (Reason.PAUSED, 300) == (stage.play(seconds=60).reason, stage.knob.watts())
    assert [280, 300] == [watts for _, watts in stage.knob.writes]


def test_a_pause_is_not_waited_for(make: Make) -> None:
    """The loop looks at it in between, and ticks at once when there is a new one."""
    stage = make(TRIM)

    class Meanwhile:
        def get(self, block: bool = True, timeout: float | None = None, /) -> object:
            assert (block, timeout) == (True, 5.0)
            if stage.governor.snapshot.pause is not None:
                return "SIGTERM"
            stage.brake.write(KILL)
            raise Empty

    stage.loop.run(Meanwhile())

    assert 2 == stage.governor.snapshot.ticks


def test_everybody_in_the_folder_can_read_a_pause(tmp_path: Path) -> None:
    """Root pauses, and the actuator is somebody else."""
    before = os.umask(0o077)
    try:
        PauseFile(tmp_path).write(KILL)
    finally:
        os.umask(before)

    assert 0o644 == stat.S_IMODE(PauseFile(tmp_path).path.stat().st_mode)


def test_a_pause_that_ends_by_itself_is_seen(make: Make, clock: Clock) -> None:
    """No resume is needed."""
    stage = make(TRIM)
    stage.brake.write(replace(BRAKE, until=clock.unix + 20))
    stage.say("quiet")

    assert [Reason.PAUSED, Reason.APPLIED] == [stage.play().reason for _ in range(2)]
