"""Every knob, killed or without power at every step: afterwards everything is as it was before us.

The steps are those of the knob (read, write, wrote, restore, restored) and each file that is opened
for writing below the machine's /sys, so that a knob of many files is cut in the middle, too.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.stands import STANDS, Stand
from fakes.child import in_a_child
from testbed.nvml import VirtualGpus
from wattgov_actuator.decision import Reason
from wattgov_actuator.reading import Hidden, InForce, Knob, Probe

pytest_plugins = ["testbed.fixtures"]
Step = Callable[[str], None]


class Watched:
    """A real knob whose every step is told before it is taken."""

    def __init__(self, knob: Knob, at: Step) -> None:
        self._knob, self._at = knob, at

    def probe(self) -> Probe:
        """Return the targets."""
        return self._knob.probe()

    def read(self, target: str) -> InForce | Hidden:
        """Tell, and read."""
        self._at("read")
        return self._knob.read(target)

    def write(self, target: str, value: float) -> None:
        """Tell, write, tell."""
        self._at("write")
        self._knob.write(target, value)
        self._at("wrote")

    def restore(self, target: str, value: float, text: str) -> None:
        """Tell, put back, tell."""
        self._at("restore")
        self._knob.restore(target, value, text)
        self._at("restored")

    def close(self) -> None:
        """Let go."""
        self._knob.close()


def watch_files(folder: Path, at: Step) -> None:
    """Tell of every file below *folder* before it is opened for writing, for ever."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(f"{folder}/sys/"):
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            if flags & (os.O_WRONLY | os.O_RDWR):
                at("file")

    sys.addaudithook(hook)


def play(stand: Stand, folder: Path, at: Step) -> None:
    """Turn one target twice, and put it back."""
    bench = Bench(folder, stand.name, lambda: Watched(stand.open(folder), at))
    for value in stand.values:
        assert Reason.APPLIED == bench.act(value).reason
    bench.act(stand.values[0], Reason.RESTORED)
    bench.close()


def steps_of(stand: Stand, folder: Path) -> list[str]:
    """Return the steps of a play that nobody interrupts."""
    folder.mkdir()
    stand.plant(folder)
    told = folder / "told"

    def work() -> None:
        with told.open("w") as file:

            def at(step: str) -> None:
                file.write(f"{step}\n")

            watch_files(folder, at)
            play(stand, folder, at)

    assert 0 == in_a_child(work)
    return told.read_text().split()


def killed_at(stand: Stand, folder: Path, when: int) -> None:
    """Play, and die at the step of this number, counted from 0."""
    folder.mkdir()
    stand.plant(folder)

    def work() -> None:
        left = iter(range(when))

        def at(_: str) -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        watch_files(folder, at)
        play(stand, folder, at)

    assert -signal.SIGKILL == in_a_child(work)


@pytest.fixture(params=sorted(STANDS))
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Return each machine: whoever adds a knob or a backend adds one, or `test_tables` fails."""
    with STANDS[request.param].served() as stand:
        yield stand


@pytest.fixture
def renewed(gpus: VirtualGpus) -> Callable[[], VirtualGpus]:
    """Return the cards, as new at each call."""

    def renew() -> VirtualGpus:
        gpus.reset()
        gpus.set_load(0, 600)
        return gpus

    return renew


def put_back(stand: Stand, folder: Path) -> None:
    """Do what the next start does; everything must be ours to undo, and be undone."""
    later = Bench(folder, stand.name, lambda: stand.open(folder))
    explained(later)
    reasons = {decision.reason for decision in later.writer.restore()}

    assert set() == reasons - {Reason.RESTORED}
    assert () == later.journal.undos()
    assert later.journal.broken() is None
    later.close()


def explained(bench: Bench) -> None:
    """Check that what is in force is the prior value or one that the journal names."""
    for undo in bench.journal.undos():
        target = bench.hands.target(undo.knob, undo.target)

        assert target is not None
        current = bench.hands.read(target, undo.ours).value
        assert any(target.same(current, each) for each in (undo.prior, *undo.ours))


def test_kill_9_at_every_step_is_undone_by_the_next_start(
    stand: Stand, tmp_path: Path, renewed: Callable[[], VirtualGpus]
) -> None:
    """Before the journal, after it, in the middle of a write, after it, before the read-back."""
    gpus = renewed()
    steps = steps_of(stand, tmp_path / "whole")

    assert {"read", "write", "wrote", "restore", "restored"} <= set(steps)
    changed = 0
    for when, step in enumerate(steps):
        gpus, folder = renewed(), tmp_path / f"{when:02}-{step}"
        (tmp_path / "prior").mkdir(exist_ok=True)
        stand.plant(tmp_path / "prior")
        prior = stand.truth(tmp_path / "prior", gpus)
        killed_at(stand, folder, when)
        changed += prior != stand.truth(folder, gpus)
        put_back(stand, folder)

        assert (step, prior) == (step, stand.truth(folder, gpus))
    assert changed > len(steps) // 3  # the crashes are real: they do leave the machine changed


def test_power_lost_at_every_step_is_undone_by_the_next_start(
    stand: Stand, tmp_path: Path, renewed: Callable[[], VirtualGpus]
) -> None:
    """The journal is copied as it is on disk at each step; a card comes up with its defaults."""
    gpus, folder = renewed(), tmp_path / "whole"
    folder.mkdir()
    stand.plant(folder)
    prior = stand.truth(folder, gpus)

    def work() -> None:
        copies = iter(range(1000))

        def photograph(step: str) -> None:
            shutil.copytree(folder, tmp_path / f"{next(copies):03}-{step}", symlinks=True)

        watch_files(folder, photograph)
        play(stand, folder, photograph)

    assert 0 == in_a_child(work)
    copies = sorted(tmp_path.glob("[0-9]*-*"))
    assert len(copies) > 10
    for copy in copies:
        gpus = renewed()
        put_back(stand, copy)
        assert (copy.name, prior) == (copy.name, stand.truth(copy, gpus))
