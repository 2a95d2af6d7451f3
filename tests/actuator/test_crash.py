"""Killed at any step of a write, in a process of its own: the next start puts everything back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actuator.builders import ruleset
from actuator.fakes import FileKnob
from actuator.stage import Stage

CHILD = Path(__file__).with_name("crashing.py")
TICK_READS = 4  # of one tick that writes: observe, before, after, observe again


@pytest.mark.parametrize(
    ("step", "times"),
    [
        *[("read", times) for times in range(1, 2 * TICK_READS + 1)],
        *[(step, times) for step in ("write", "wrote") for times in (1, 2)],
    ],
)
def test_kill_9_at_any_step_is_undone(
    tmp_path: Path, knob: FileKnob, step: str, times: int
) -> None:
    """Before the journal, after it, after the write, before the read-back; once or twice."""
    path = os.pathsep.join(sys.path)
    child = subprocess.run(
        [sys.executable, CHILD, tmp_path, step, str(times)],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )

    assert -signal.SIGKILL == child.returncode

    later = Stage(tmp_path, ruleset(), knob)
    later.writer.restore()

    assert 300 == knob.watts()
    assert () == later.journal.undos()
    assert later.journal.broken() is None
    later.journal.close()


def test_the_crash_is_real(tmp_path: Path, knob: FileKnob) -> None:
    """Without the next start the card does stay changed: the test above could fail."""
    child = subprocess.run(
        [sys.executable, CHILD, tmp_path, "wrote", "2"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )

    assert (-signal.SIGKILL, 260) == (child.returncode, knob.watts())
