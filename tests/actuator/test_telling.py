"""`journal` and `explain`, with the daemon and Prometheus gone."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actuator.builders import PROTECT, rule, ruleset
from actuator.fakes import FileKnob
from actuator.stage import Stage
from wattgov_actuator import cli
from wattgov_actuator.decision import MEANING, Reason
from wattgov_actuator.rules import Sla

TRIM = rule("trim", "quiet", low=270, cooldown_seconds=30)
SHY = replace(rule("shy", "quiet"), for_seconds=600)


@pytest.fixture
def stage(tmp_path: Path, knob: FileKnob) -> Iterator[Stage]:
    """Return an actuator that has trimmed a card to 280 W, to 270 W, and stays there."""
    made = Stage(tmp_path, ruleset(TRIM, SHY, protect=replace(PROTECT, sla=Sla("slow"))), knob)
    made.say("quiet")
    made.play(ticks=4)
    yield made
    made.journal.close()


def ask(stage: Stage, *words: str, folder: Path | None = None) -> Result:
    """Run the command, at the stage's time."""
    arguments = [*words, "--state-dir", str(folder or stage.folder)]
    return CliRunner().invoke(cli.main, arguments, obj=stage.clock, catch_exceptions=False)


def rows(result: Result) -> list[list[str]]:
    """Return rule, reason and so on of each row of the table, without its head."""
    return [line.split(maxsplit=8)[1:] for line in result.stdout.splitlines()[1:]]


def test_the_journal_is_a_table(stage: Stage) -> None:
    """One line for each new decision, the latest last, with what was wanted and why."""
    result = ask(stage, "journal")
    head, first, *_ = result.stdout.splitlines()

    assert (0, "") == (result.exit_code, result.stderr)
    assert "TIME RULE KNOB TARGET IN FORCE WANTED REASON WHY" == " ".join(head.split())
    assert first.startswith("1970-01-12T13:46:55Z  trim  gpu_power_limit  GPU-a   300 W     280 W")
    assert first.endswith("applied   the value is 1, read 0 s ago")
    assert ["trim", "shy", "trim", "shy", "trim", "trim", "shy"] == [row[0] for row in rows(result)]


def test_the_journal_can_be_narrowed(stage: Stage) -> None:
    """By rule, by how a target begins, by time, by number."""
    for words, rules in (
        (["--rule", "shy"], ["shy"] * 3),
        (["--target", "GPU-", "--rule", "trim"], ["trim"] * 4),
        (["--since", "15s"], ["trim", "trim", "shy"]),
        (["--since", "1970-01-12T13:47:40"], ["trim", "shy"]),
    ):
        assert rules == [row[0] for row in rows(ask(stage, "journal", *words))]

    few = ask(stage, "journal", "-n", "1")

    assert ["shy"] == [row[0] for row in rows(few)]
    assert "There are older ones: see --lines (now 1) and --since\n" == few.stderr
    assert "No decision is like that\n" == ask(stage, "journal", "--rule", "nothing").stdout


@pytest.mark.parametrize("when", ["99999999999d", "0001-01-01T00:00:00+14:00"])
def test_a_moment_is_in_the_calendar(stage: Stage, when: str) -> None:
    """One before all dates is a wrong option."""
    result = ask(stage, "explain", "--last", "--at", when)

    assert (2, True) == (result.exit_code, f"'{when}' is no moment" in result.stderr)


def test_the_journal_in_json_is_what_was_written(stage: Stage) -> None:
    """One object a line, with inputs, guards and what was read back."""
    lines = ask(stage, "journal", "--json").stdout.splitlines()
    first = json.loads(lines[0])

    assert list(stage.journal.decisions()) == [json.loads(line) for line in lines]
    assert (280.0, "quiet") == (first["read_back"], first["inputs"][0]["name"])


def test_a_change_is_explained_from_the_question_to_the_undo(stage: Stage) -> None:
    """The last change: each link of the chain, with the age that the sample had then."""
    stage.clock.advance(7200)
    text = ask(stage, "explain", "GPU-a").stdout
    links = dict(line.strip().split("  ", 1) for line in text.splitlines()[1:16] if line.strip())
    told = {name: value.strip() for name, value in links.items()}

    assert "gpu_power_limit of GPU-a: 280 W -> 270 W" == text.splitlines()[0]
    assert {
        "when": "1970-01-12T13:47:25Z, 2 h ago",
        "rule": "trim, of group gpus",
        "reason": f"applied: {MEANING[Reason.APPLIED]}",
        "asked": "quiet",
        "answer": "1",
        "samples": "from 1970-01-12T13:47:25Z on, 0 s old at the time",
        "condition": "true",
        "because": "the value is 1, read 0 s ago; limited to 270 watts",
        "wished": "260 W",
        "bounds guard": "260 W -> 270 W",
        "wanted": "270 W",
        "in force": "280 W, before it",
        "prior": "300 W, from before our first write",
        "written": "270 W",
        "read back": "270 W",
    } == told
    assert "open: `wattgov-actuator restore` puts back 300 W" in text


def test_what_came_after_is_told(stage: Stage) -> None:
    """The latest decision of each rule at that target."""
    stage.say("slow")
    stage.play()
    text = ask(stage, "explain", "GPU-a", "--at", "20s").stdout
    now = ask(stage, "explain", "--last").stdout

    assert "280 W -> 270 W" in text.splitlines()[0]
    assert "gpu_power_limit of GPU-a: 270 W -> 300 W" == now.splitlines()[0]
    assert "the SLA is breached: 1" in now
    assert "none: nothing of ours holds this knob" in now

    stage.say("quiet")
    stage.play()

    after = ask(stage, "explain", "--last").stdout.partition("Since then, at this target:")[2]

    assert "trim  vetoed_sla" in after


def test_a_rule_that_did_nothing_is_explained_too(stage: Stage) -> None:
    """Why not is asked as often."""
    text = ask(stage, "explain", "shy").stdout

    assert "gpu_power_limit of GPU-a: left at 270 W" == text.splitlines()[0]
    assert f"waiting: {MEANING[Reason.WAITING]}" in text
    assert ["waiting", "guard", "waiting"] in [line.split() for line in text.splitlines()]
    assert ["written", "nothing"] in [line.split() for line in text.splitlines()]


def test_a_dry_run_is_called_one(tmp_path: Path, knob: FileKnob) -> None:
    """Nothing that it says was done."""
    stage = Stage(tmp_path, ruleset(TRIM), knob, enforcing=False)
    stage.say("quiet")
    stage.play()
    text = ask(stage, "explain", "--last").stdout
    stage.journal.close()

    assert "300 W -> 280 W in an enforcing run; this was a dry run" in text.splitlines()[0]


def test_a_target_may_be_called_by_how_it_begins(stage: Stage) -> None:
    """As long as there is one; what is not known is answered with what is."""
    stage.knob.add("GPU-b")
    stage.play()

    assert 0 == ask(stage, "explain", "GPU-b").exit_code

    both = ask(stage, "explain", "GPU-")
    none = ask(stage, "explain", "GPU-x")

    assert (2, "'GPU-' may be any of: GPU-a, GPU-b\n") == (both.exit_code, both.stderr)
    assert (2, True) == (none.exit_code, "targets: GPU-a, GPU-b; rules: shy, trim" in none.stderr)


def test_a_whole_chain_is_said_to_be_whole(stage: Stage) -> None:
    """With how much there is."""
    assert (
        "The journal holds 7 decisions, 1970-01-12T13:46:55Z to 1970-01-12T13:47:40Z; "
        in ask(stage, "explain", "--last").stdout
    )


@pytest.mark.parametrize("command", [["journal"], ["explain", "--last"]])
def test_a_journal_that_was_changed_is_not_to_be_trusted(stage: Stage, command: list[str]) -> None:
    """It is shown nevertheless, and the exit status says so."""
    with sqlite3.connect(stage.journal.path) as db:
        db.execute("UPDATE decision SET row = replace(row, '270.0', '260.0') WHERE id = 5")
    db.close()
    result = ask(stage, *command)

    assert 1 == result.exit_code
    assert "DO NOT TRUST THIS" in result.output
    assert "breaks at decision 5" in result.output
    assert "trim" in result.stdout


@pytest.mark.parametrize("command", [["journal"], ["explain", "--last"]])
def test_a_copy_on_a_medium_that_is_read_only_is_enough(
    stage: Stage, tmp_path: Path, command: list[str]
) -> None:
    """Such as the disk of a machine that is gone."""
    stage.stop()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(stage.journal.path, copy)
    copy.chmod(0o500)
    result = ask(stage, *command, folder=copy)

    assert (0, True) == (result.exit_code, "gpu_power_limit" in result.stdout)


@pytest.mark.parametrize("command", [["journal"], ["explain", "--last"]])
def test_without_a_journal_it_is_a_sentence(
    stage: Stage, tmp_path: Path, command: list[str]
) -> None:
    """No folder, and no journal in it; none is made."""
    empty = tmp_path / "empty"
    result = ask(stage, *command, folder=empty)

    assert (1, f"there is no journal in {empty}; see --state-dir\n") == (
        result.exit_code,
        result.stderr,
    )
    assert not empty.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain"], "give a TARGET or a RULE, or --last"),
        (["explain", "GPU-a", "--last"], "give a TARGET or a RULE, or --last"),
        (["journal", "--since", "soon"], "'soon' is no moment, such as 2026-01-31T06:30"),
        (["journal", "--since", "5W"], "'5W' is no moment"),
        (["journal", "--since", "99999999999d"], "'99999999999d' is no moment"),
    ],
)
def test_a_wrong_word_is_a_sentence(stage: Stage, words: list[str], message: str) -> None:
    """What was given, and what is wanted."""
    result = ask(stage, *words)

    assert 2 == result.exit_code
    assert message in result.stderr


def test_a_decision_of_a_later_version_is_a_sentence(stage: Stage) -> None:
    """A reason that this one does not know."""
    with sqlite3.connect(stage.journal.path) as db:
        db.execute("UPDATE decision SET row = replace(row, '\"applied\"', '\"dreamt\"')")
    db.close()
    result = ask(stage, "journal")

    assert 1 == result.exit_code
    assert "cannot be understood ('dreamt' is not a valid Reason)" in result.stderr


def test_a_journal_that_no_newer_actuator_has_opened_yet_is_understood(stage: Stage) -> None:
    """After an update one asks first, and starts then; what is held is told, too."""
    stage.journal.close()
    with sqlite3.connect(stage.journal.path) as db:
        for column in ("text", "via", "boot"):
            db.execute(f"ALTER TABLE undo DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    told = ask(stage, "explain", "GPU-a")

    assert (0, True) == (told.exit_code, "300 W" in told.stdout)
    assert 0 == ask(stage, "journal").exit_code


def test_a_journal_of_before_is_understood(stage: Stage) -> None:
    """Rows without what was added since."""
    (first, *_) = stage.journal.decisions()
    for name in ("guards", "read_back"):
        del first[name]
    with sqlite3.connect(stage.journal.path) as db:
        db.execute("UPDATE decision SET row = ? WHERE id = 1", (json.dumps(first),))
    db.close()

    assert "applied" in ask(stage, "journal").stdout


@pytest.mark.parametrize("words", [["journal"], ["explain", "--last"]])
def test_who_has_seen_enough_is_told_nothing_more(stage: Stage, words: list[str]) -> None:
    """`journal | head`: the state folder has no broken pipe."""
    command = [sys.executable, "-m", "wattgov_actuator", *words, "--state-dir", str(stage.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert b"" == said
