"""A disk that takes nothing more, or is read-only: nothing new is done, everything is undone.

The limit on a process's file size stands for a full disk: the kernel refuses each write to a file.
"""

import logging
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from actuator.bench import Bench
from actuator.stands import STANDS, Stand
from fakes.child import in_a_child
from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.cli import main
from wattgov_actuator.decision import Reason

STAND = STANDS["cpu_power_limit"]
RULES = """
version: 1
groups:
  - name: cpus
    protect: {freshness: fresh}
    rules:
      - {action: trim, expr: quiet, knob: cpu_power_limit, step: -50W, min: 100W}
"""
PAGE = 4096
LIMIT = "sys/class/powercap/intel-rapl:0/constraint_1_power_limit_uw"


class Attributes(Bench):
    """A bench whose files below /sys are no files of the disk, as in life."""

    def __init__(self, folder: Path, stand: Stand) -> None:
        super().__init__(folder, stand.name, lambda: stand.open(folder))


def fill_the_disk(folder: Path) -> None:
    """Let no file grow, and the attributes of the machine be of a size that fits."""
    longest = max(path.stat().st_size for path in (folder / "sys").rglob("*") if path.is_file())
    resource.setrlimit(resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of one machine."""
    STAND.plant(tmp_path)
    return tmp_path


def limit(folder: Path) -> str:
    """Return what the first package is set to."""
    return (folder / LIMIT).read_text().strip()


def test_on_a_full_disk_nothing_new_is_written_and_the_old_is_put_back(folder: Path) -> None:
    """The decision says so, the metrics will, and the knob is as it was before us."""

    def work() -> None:
        bench = Attributes(folder, STAND)
        assert Reason.APPLIED == bench.act(140).reason
        fill_the_disk(folder)
        done = bench.act(120)
        assert Reason.UNJOURNALLED == done.reason
        assert "cannot be written" in bench.journal.trouble
        assert bench.journal.failures
        assert "140000000" == limit(folder)
        (back,) = bench.writer.restore()
        assert Reason.RESTORED == back.reason

    assert 0 == in_a_child(work)
    assert "165000123" == limit(folder)


def test_a_full_disk_is_logged_once_and_counted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However often something is tried; and once more when it takes what is written again."""
    caplog.set_level(logging.INFO)

    def work() -> None:
        bench = Attributes(folder, STAND)
        assert Reason.APPLIED == bench.act(140).reason
        fill_the_disk(folder)
        for wanted in (130, 120, 110):
            assert Reason.UNJOURNALLED == bench.act(wanted).reason
        failures = bench.journal.failures
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert Reason.APPLIED == bench.act(120).reason
        said = [each.getMessage() for each in caplog.records if "event=journal" in each.message]
        assert failures >= 3
        assert ["event=journal_failed", "event=journal_written_again"] == [
            each.split()[0] for each in said
        ]
        assert f"failures={failures}" in said[-1]

    assert 0 == in_a_child(work)


def test_after_a_crash_a_full_disk_does_not_keep_us_from_putting_back(folder: Path) -> None:
    """The whole command, on a disk that takes nothing: the journal can be read, and that is all."""

    def crash() -> None:
        bench = Attributes(folder, STAND)
        assert Reason.APPLIED == bench.act(140).reason
        os._exit(0)

    assert 0 == in_a_child(crash)
    assert "140000000" == limit(folder)

    command = ["restore", "--state-dir", str(folder / "state"), "--sysfs", str(folder / "sys")]
    run = subprocess.run(
        [sys.executable, "-m", "wattgov_actuator", *command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: fill_the_disk(folder),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "cpu_power_limit package-0: 140 watts -> 165 watts, put back" in run.stdout
    assert "165000123" == limit(folder)


def test_the_loop_that_starts_after_a_crash_puts_back_without_a_lease(folder: Path) -> None:
    """It cannot say that it lives; that is no reason to leave anything changed."""

    def crash() -> None:
        bench = Attributes(folder, STAND)
        assert Reason.APPLIED == bench.act(140).reason
        os._exit(0)

    assert 0 == in_a_child(crash)
    (folder / "state" / "lease").mkdir()  # as if there were no room for it
    (folder / "rules.yml").write_text(RULES)
    places = ["--state-dir", str(folder / "state"), "--sysfs", str(folder / "sys")]
    options = ["--rules", str(folder / "rules.yml"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [sys.executable, "-m", "wattgov_actuator", "run", *places, *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stderr is not None
        said = [next(run.stderr)]
        while "event=started" not in said[-1]:
            said.append(next(run.stderr, "event=started never"))
        assert "165000123" == limit(folder)
        run.terminate()

    assert 1 == sum("event=lease_not_renewed" in each for each in said)
    assert not any("never" in each for each in said)


def test_a_file_that_is_torn_under_us_stops_all_acting(folder: Path) -> None:
    """Somebody has written over it: what we hold is put back from memory, nothing new is done."""
    bench = Attributes(folder, STAND)
    bench.act(140)
    with sqlite3.connect(bench.journal.path) as db:
        db.execute("DROP TABLE undo")
    db.close()
    done = bench.act(120)

    assert (Reason.UNJOURNALLED, "140000000") == (done.reason, limit(folder))
    assert "no such table: undo" in done.detail
    bench.writer.restore()
    assert "165000123" == limit(folder)
    bench.close()


@pytest.mark.parametrize("how", ["deleted", "moved", "emptied"])
def test_what_nobody_would_find_is_no_undo(folder: Path, how: str) -> None:
    """SQLite writes on, and reports success; after a crash there would be nothing to put back."""
    bench = Attributes(folder, STAND)
    assert "" == bench.journal.trouble
    path = bench.journal.path
    match how:
        case "deleted":
            path.unlink()
        case "moved":
            path.rename(path.with_name("old.sqlite"))
        case _:
            os.truncate(path, 0)
    done = bench.act(140)

    assert (Reason.UNJOURNALLED, "165000123") == (done.reason, limit(folder))
    assert "was deleted, moved or emptied while it was in use" in bench.journal.trouble
    bench.close()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_an_undo_in_a_write_ahead_file_that_is_gone_is_none(folder: Path, how: str) -> None:
    """It looks like a temporary file, and has all that was not taken over yet."""
    bench = Attributes(folder, STAND)
    ahead = bench.journal.path.with_name("journal.sqlite-wal")
    assert ("", True) == (bench.journal.trouble, ahead.exists())
    ahead.unlink()
    if how == "replaced":
        ahead.touch()
    done = bench.act(140)

    assert (Reason.UNJOURNALLED, "165000123") == (done.reason, limit(folder))
    assert "was deleted, moved or emptied while it was in use" in bench.journal.lost
    bench.close()


def test_a_damaged_journal_is_enough_to_put_back_and_for_nothing_else(folder: Path) -> None:
    """Its decisions cannot be read any more; what is to be undone can."""
    bench = Attributes(folder, STAND)
    for value in (150, 140):
        bench.act(value)
    bench.close()
    raw = bytearray(bench.journal.path.read_bytes())
    place = raw.index(b'"rule": "trim"') // PAGE * PAGE
    raw[place : place + PAGE] = b"\xff" * PAGE
    bench.journal.path.write_bytes(raw)
    bench.start()

    assert Reason.UNJOURNALLED == bench.act(120).reason
    assert "journal.sqlite is damaged: " in bench.journal.trouble
    assert "140000000" == limit(folder)
    with pytest.raises(JournalError, match=r"is damaged: .*; once everything is put back, move it"):
        bench.journal.broken()
    bench.close()

    told = CliRunner().invoke(
        main, ["restore", "--state-dir", str(bench.folder), "--sysfs", str(folder / "sys")]
    )
    assert "cpu_power_limit package-0: 140 watts -> 165 watts, put back" in told.stdout
    assert "165000123" == limit(folder)


def test_a_read_only_folder_is_told_at_the_start(folder: Path) -> None:
    """Nothing is begun that could not be undone."""
    journal = folder / "state"
    journal.mkdir()
    (journal / "journal.sqlite").touch(mode=0o400)

    def work() -> None:
        os.seteuid(65534)
        try:
            Journal(journal)
        except JournalError:
            os._exit(7)

    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    assert 7 == in_a_child(work)
