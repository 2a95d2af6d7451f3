"""A recorded machine and its exact exposition; a new file in tests/machines is a new test.

`pytest tests/exporter/test_golden.py --update` writes the expositions anew; review the diff.
"""

import re
import subprocess
from pathlib import Path

import pytest

from plant import MACHINES, process, recorded
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config, Site
from wattgov_exporter.recording.replay import Replay
from wattgov_exporter.rows import Own, Reloads, View
from wattgov_exporter.serving.text import prometheus

NAMES = sorted(path.stem for path in MACHINES.glob("*.txt"))
STARTED_SECONDS = 1000.0
UNIX_SECONDS = 1.7e9
PROCESS = re.compile(r"proc/\d+/")
CONFIG = Config(
    interval_seconds=60.0,  # long, so that a tick waits for its sources on a slow machine too
    site=Site("FR", 56.0, 1.2, 0.2, "EUR"),
    apps=(App("chat", process="vllm"),),
)


def exposition(name: str, root: Path) -> bytes:
    """Return what the exporter shows of a machine at the last moment of its recording."""
    now = [STARTED_SECONDS]
    recording = recorded(name)
    replay = Replay(recording, root, name)
    ours = not any(PROCESS.match(path) for path in recording.moments[0].facts)
    if ours:
        process(root / "proc", 10, "vllm", 0)
    where = replay.machine(lambda: now[0], lambda: UNIX_SECONDS + now[0])
    collector = Collector(CONFIG, where, own_pid=11)
    snapshot = collector.tick()
    for index, moment in enumerate(recording.moments[1:], start=1):
        replay.show(0, index)
        if ours and moment is recording.moments[-1]:
            process(root / "proc", 10, "vllm", 200)
        now[0] = STARTED_SECONDS + moment.at
        snapshot = collector.tick()
    collector.close()
    view = View(snapshot, CONFIG, Own("0", 0.0, Reloads(True, UNIX_SECONDS, None)))
    return prometheus(view)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_machine_shows(
    name: str, tmp_path: Path, promtool: str, request: pytest.FixtureRequest
) -> None:
    """The exposition is the recorded one, and promtool finds no fault in it."""
    golden = MACHINES / f"{name}.metrics"
    shown = exposition(name, tmp_path)
    if request.config.getoption("--update"):
        golden.write_bytes(shown)

    assert golden.read_bytes() == shown
    done = subprocess.run(
        [promtool, "check", "metrics"], input=shown, capture_output=True, check=False
    )
    assert (0, b"") == (done.returncode, done.stderr)
