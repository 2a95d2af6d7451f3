"""The journal: undos that survive, and decisions that cannot be rewritten."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from wattgov_actuator.acting.chain import AGED_AT_ONCE, Limits
from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.acting.undo import State
from wattgov_actuator.decision import Decision, Input, Reason
from wattgov_actuator.reading import InForce

DECISION = Decision(
    group="gpus",
    rule="trim",
    knob="gpu_power_limit",
    target="GPU-a",
    unit="watts",
    reason=Reason.APPLIED,
    detail="because",
    at=1000.0,
    current=300.0,
    wanted=280.0,
    inputs=(Input("quiet", 5.0, 999.0, "true"),),
)
PLACE = ("gpu_power_limit", "GPU-a")


def test_an_intention_is_on_disk_before_anything_is_written(tmp_path: Path) -> None:
    """A second look at the file sees the prior value while the first still holds it open."""
    journal = Journal(tmp_path)
    journal.intend(DECISION, 280, InForce(300))
    other = Journal(tmp_path)
    (undo,) = other.undos()

    assert (300, None, 280, State.OPEN) == (undo.prior, undo.written, undo.intended, undo.state)
    other.close()
    journal.close()


def test_the_prior_is_what_was_there_before_the_first_write(tmp_path: Path) -> None:
    """Later writes change what is ours, not what is put back."""
    journal = Journal(tmp_path)
    journal.settle(journal.intend(DECISION, 280, InForce(300)), 280, DECISION)
    journal.intend(DECISION, 260, InForce(280))
    journal.close()
    again = Journal(tmp_path)
    (undo,) = again.undos()

    assert (300, (280, 260)) == (undo.prior, undo.ours)
    again.close()


def test_an_undo_that_is_closed_is_gone_and_the_next_one_is_new(tmp_path: Path) -> None:
    """After a restore, the next prior is what is found then."""
    journal = Journal(tmp_path)
    undo = journal.intend(DECISION, 280, InForce(300))
    journal.end(undo, State.CLOSED, replace(DECISION, reason=Reason.RESTORED))

    assert () == journal.undos()
    assert 250 == journal.intend(DECISION, 230, InForce(250)).prior
    journal.close()


def test_a_conflict_outlives_a_restart(tmp_path: Path) -> None:
    """What a person has set stays theirs, whoever starts again."""
    journal = Journal(tmp_path)
    undo = journal.intend(DECISION, 280, InForce(300))
    journal.end(undo, State.CONFLICT, replace(DECISION, detail="somebody set 250"))
    journal.close()
    again = Journal(tmp_path)
    found = again.undo(*PLACE)

    assert found is not None
    assert (State.CONFLICT, "somebody set 250") == (found.state, found.note)
    again.close()


def test_a_decision_keeps_its_inputs_and_their_times(tmp_path: Path) -> None:
    """That is what `why` is answered from later."""
    journal = Journal(tmp_path)
    journal.record((DECISION,))
    (row,) = journal.decisions()

    seen = {"name": "quiet", "value": 5.0, "sampled": 999.0, "state": "true"}

    assert [seen] == row["inputs"]
    assert ("applied", 300.0, 280.0) == (row["reason"], row["current"], row["wanted"])
    journal.close()


@pytest.mark.parametrize(
    "meddling",
    [
        "UPDATE decision SET row = replace(row, '280', '290') WHERE id = 2",
        "UPDATE decision SET reason = 'refused', previous = hash WHERE id = 2",
        "DELETE FROM decision WHERE id = 2",
    ],
)
def test_a_changed_row_breaks_the_chain(tmp_path: Path, meddling: str) -> None:
    """Whoever edits the journal is found out."""
    journal = Journal(tmp_path)
    journal.record((DECISION,) * 4)

    assert journal.broken() is None

    with sqlite3.connect(journal.path) as db:
        db.execute(meddling)
    db.close()

    assert journal.broken() in {2, 3}
    journal.close()


def test_old_decisions_are_dropped_and_open_undos_are_not(tmp_path: Path) -> None:
    """The table is bounded; the chain of what is left still holds."""
    journal = Journal(tmp_path, Limits(decisions=10))
    journal.intend(DECISION, 280, InForce(300))
    journal.record(tuple(replace(DECISION, at=float(at)) for at in range(25)))

    assert [float(at) for at in range(15, 25)] == [row["at"] for row in journal.decisions()]
    assert journal.broken() is None
    assert 1 == len(journal.undos())
    journal.close()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be one\n" * 40])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    """It may hold an undo that cannot be read, so nothing goes on without a person."""
    (tmp_path / "journal.sqlite").write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.sqlite cannot be opened: file is not a"):
        Journal(tmp_path)


def test_a_file_of_another_version_is_told(tmp_path: Path) -> None:
    """A newer program's journal is not guessed at."""
    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(JournalError, match="is of version 9, this program knows 4"):
        Journal(tmp_path)


def test_a_write_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """Disk and memory tell the same story after an error."""
    journal = Journal(tmp_path)
    blocker = sqlite3.connect(journal.path)
    blocker.execute(
        "CREATE TRIGGER full BEFORE INSERT ON undo BEGIN SELECT RAISE(FAIL, 'full'); END"
    )
    blocker.commit()
    blocker.close()
    with pytest.raises(JournalError, match="cannot be written: full"):
        journal.intend(DECISION, 280, InForce(300))

    assert () == journal.undos()
    journal.record((DECISION,))
    journal.close()


def test_decisions_older_than_the_limit_are_dropped(tmp_path: Path) -> None:
    """By their own time; an undo that is open is older than all of them, and stays."""
    journal = Journal(tmp_path, Limits(age_seconds=100))
    journal.intend(replace(DECISION, at=0.0), 280, InForce(300))
    journal.record(tuple(replace(DECISION, at=float(at)) for at in range(0, 500, 50)))

    assert [350.0, 400.0, 450.0] == [row["at"] for row in journal.decisions()]
    assert journal.broken() is None
    assert 1 == len(journal.undos())
    journal.close()


def test_a_clock_that_jumps_back_drops_nothing(tmp_path: Path) -> None:
    """What was decided in a future that is none any more is as young as can be."""
    journal = Journal(tmp_path, Limits(age_seconds=100))
    journal.record(tuple(replace(DECISION, at=at) for at in (10_000.0, 50.0, 60.0)))

    assert [10_000.0, 50.0, 60.0] == [row["at"] for row in journal.decisions()]
    journal.close()


def test_a_clock_that_jumps_ahead_takes_little_along(tmp_path: Path) -> None:
    """Each decision of that time drops a few of the oldest; what has aged goes in the end."""
    journal = Journal(tmp_path, Limits(age_seconds=100))

    def decided(*times: float) -> list[object]:
        journal.record(tuple(replace(DECISION, at=at) for at in times))
        return [row["at"] for row in journal.decisions()]

    past = [float(at) for at in range(45)]
    decided(*past)

    assert [*past[AGED_AT_ONCE:], 1e9] == decided(1e9)
    assert [*past[AGED_AT_ONCE:], 1e9, 45.0] == decided(45.0)
    assert [1e9, 45.0, 1e9, 1e9, 1e9, 1e9] == decided(1e9, 1e9, 1e9, 1e9)
    assert journal.broken() is None
    journal.close()


def test_the_file_stays_below_its_size(tmp_path: Path) -> None:
    """The oldest go first, the undo stays, and the pages are used again."""
    limit = 256 << 10
    journal = Journal(tmp_path, Limits(size_bytes=limit))
    journal.intend(DECISION, 280, InForce(300))
    wordy = replace(DECISION, detail="because " * 500)
    for at in range(300):
        journal.record((replace(wordy, at=1000.0 + at),))
    kept = journal.decisions()

    assert 1299 == kept[-1]["at"]
    assert 0 < len(kept) < 100
    assert journal.path.stat().st_size < 2 * limit
    assert (1, None) == (len(journal.undos()), journal.broken())
    journal.close()


@pytest.mark.parametrize(
    ("version", "later"), [(1, ("text", "via", "boot")), (2, ("via", "boot")), (3, ("boot",))]
)
def test_a_journal_of_an_earlier_version_is_taken_over(
    tmp_path: Path, version: int, later: tuple[str, ...]
) -> None:
    """With its open undo, which had no text of the prior setting, no connection, or no boot."""
    journal = Journal(tmp_path)
    journal.intend(DECISION, 280, InForce(300))
    journal.close()
    with sqlite3.connect(tmp_path / "journal.sqlite") as db:
        for column in later:
            db.execute(f"ALTER TABLE undo DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    again = Journal(tmp_path)
    (undo,) = again.undos()

    assert (300, "", "", "") == (undo.prior, undo.text, undo.via, undo.boot)
    again.close()


def test_the_prior_setting_is_kept_as_it_was_spelt(tmp_path: Path) -> None:
    """A number may not hold all of it."""
    journal = Journal(tmp_path)
    journal.intend(DECISION, 280, InForce(300, text="policy0=300 policy1=400"))
    journal.close()
    again = Journal(tmp_path)

    assert ["policy0=300 policy1=400"] == [undo.text for undo in again.undos()]
    again.close()


def test_one_more_decision_costs_as_much_in_a_long_journal_as_in_a_short_one(
    tmp_path: Path,
) -> None:
    """Counted in steps of SQLite's machine: the loop journals at each tick, for months."""
    journal = Journal(tmp_path)
    steps: list[int] = []
    journal._db.set_progress_handler(lambda: steps.append(1), 1)  # noqa: SLF001 (nobody else counts)
    costs = []
    for count in (10, 1000):
        journal.record((DECISION,) * count)
        steps.clear()
        journal.record((DECISION,))
        costs.append(len(steps))
    journal.close()

    assert costs[1] < 1.5 * costs[0], costs


def test_trouble_is_told_until_it_is_over(tmp_path: Path) -> None:
    """How often, and why the last time."""
    journal = Journal(tmp_path)
    blocker = sqlite3.connect(journal.path)
    blocker.execute("BEGIN IMMEDIATE")
    journal._db.execute("PRAGMA busy_timeout = 1")  # noqa: SLF001 (5 s is long for a test)
    with pytest.raises(JournalError):
        journal.record((DECISION,))

    assert 1 == journal.failures
    assert journal.trouble.endswith("journal.sqlite cannot be written: database is locked")
    blocker.rollback()
    blocker.close()
    journal.record((DECISION,))
    assert (1, "") == (journal.failures, journal.trouble)
    journal.close()
