"""One virtual node, several processes: what one does all see, and a dead one blocks nobody."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from testbed.nvml import VirtualGpus, build

pytest_plugins = ["testbed.fixtures"]

SECONDS = 60
"""Longer than anything here takes; a test that waits for so long has failed."""


def python(program: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start *program* with *environment* only; NVML is what that says it is."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(program: str, environment: dict[str, str]) -> str:
    """Run *program* to its end; return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )

    assert "" == done.stderr
    return done.stdout.strip()


@pytest.fixture
def card(gpus: VirtualGpus) -> Iterator[object]:
    """Return pynvml's handle of card 0 in this process."""
    assert 4 == gpus.count()
    pynvml.nvmlInit()
    yield pynvml.nvmlDeviceGetHandleByIndex(0)
    pynvml.nvmlShutdown()


def test_a_child_finds_the_node_by_its_environment(gpus: VirtualGpus, card: object) -> None:
    """A process started with the node's environment sees its limits, and sets them for all."""
    pynvml.nvmlDeviceSetPowerManagementLimit(card, 450_000)
    seen = output(
        "import pynvml as n; n.nvmlInit(); h = n.nvmlDeviceGetHandleByIndex(0);"
        "print(n.nvmlDeviceGetCount(), n.nvmlDeviceGetPowerManagementLimit(h));"
        "n.nvmlDeviceSetPowerManagementLimit(h, 333_000)",
        gpus.environment(),
    )

    assert "4 450000" == seen
    assert 333_000 == pynvml.nvmlDeviceGetPowerManagementLimit(card)


def test_without_a_node_there_is_no_driver(gpus: VirtualGpus) -> None:
    """With the library but no state, NVML says that the driver is not loaded."""
    environment = {"LD_LIBRARY_PATH": gpus.environment()["LD_LIBRARY_PATH"]}
    said = output(
        "import pynvml as n\n"
        "try: n.nvmlDeviceGetCount()\n"
        "except n.NVMLError as error: print(error.value)\n"
        "try: n.nvmlInit()\n"
        "except n.NVMLError as error: print(error.value)",
        environment,
    )
    # Before nvmlInit pynvml has no library at all, and says uninitialised by itself.

    assert f"{pynvml.NVML_ERROR_UNINITIALIZED}\n{pynvml.NVML_ERROR_DRIVER_NOT_LOADED}" == said


def test_calls_after_the_shutdown_are_refused(gpus: VirtualGpus) -> None:
    """Users are counted: the last shutdown closes the driver."""
    said = output(
        "import pynvml as n\n"
        "n.nvmlInit(); n.nvmlInit(); n.nvmlShutdown(); print(n.nvmlDeviceGetCount())\n"
        "n.nvmlShutdown()\n"
        "try: n.nvmlDeviceGetCount()\n"
        "except n.NVMLError as error: print(error.value)\n"
        "try: n.nvmlShutdown()\n"
        "except n.NVMLError as error: print(error.value)",
        gpus.environment(),
    )

    assert ["4", "1", "1"] == said.split()


def test_a_detached_node_is_uninitialised(fake_driver: Path, tmp_path: Path) -> None:
    """Once the node is closed in this process, its handles answer no more."""
    with VirtualGpus(fake_driver, tmp_path / "gpus"):
        pynvml.nvmlInit()
        card = pynvml.nvmlDeviceGetHandleByIndex(0)
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetPowerUsage(card)
    pynvml.nvmlShutdown()


def test_the_first_process_decides_how_many_cards(fake_driver: Path, tmp_path: Path) -> None:
    """A file that exists keeps its number of cards; a new one has what is asked."""
    counts = []
    for name, wanted in (("one", 3), ("one", 8), ("other", 2)):
        with VirtualGpus(fake_driver, tmp_path / name, gpus=wanted) as gpus:
            counts.append(gpus.count())

    assert [3, 3, 2] == counts


def test_a_file_of_another_version_is_refused(
    gpus: VirtualGpus, fake_driver: Path, tmp_path: Path
) -> None:
    """A state file that is not this version's is left as it is."""
    other = tmp_path / "other"
    other.write_bytes(b"older")
    with pytest.raises(ValueError, match="made by another version"):
        VirtualGpus(fake_driver, other)

    assert b"older" == other.read_bytes()
    assert 4 == gpus.count()


def test_a_build_that_is_up_to_date_is_kept(fake_driver: Path) -> None:
    """A second build into the same folder leaves the library as it is."""
    before = fake_driver.stat()

    assert fake_driver == build(fake_driver.parent)
    assert before.st_mtime_ns == fake_driver.stat().st_mtime_ns


def test_a_process_killed_in_a_call_blocks_nobody(gpus: VirtualGpus, card: object) -> None:
    """A kill -9 in the middle of hammering, again and again: the next caller goes on at once.

    And the meter is whole: on the virtual clock, energy is still exact.
    """
    gpus.reset(clock_ns=10**9)
    hammer = (
        "import pynvml as n, sys; n.nvmlInit(); h = n.nvmlDeviceGetHandleByIndex(0)\n"
        "print('in', flush=True)\n"
        "while True:\n"
        "    n.nvmlDeviceSetPowerManagementLimit(h, 500_000)\n"
        "    n.nvmlDeviceGetPowerUsage(h); n.nvmlDeviceGetTotalEnergyConsumption(h)"
    )
    moved = 0
    for _ in range(5):
        children = [python(hammer, gpus.environment()) for _ in range(2)]
        for child in children:
            assert child.stdout is not None
            assert "in\n" == child.stdout.readline()
        for _ in range(2000):  # the hammers accrue too, so a kill may fall into it
            gpus.advance(0.001)
            moved += 1
        for child in children:
            child.kill()
            child.communicate(timeout=SECONDS)

            assert moved * 70 == pynvml.nvmlDeviceGetTotalEnergyConsumption(card)
    pynvml.nvmlDeviceSetPowerManagementLimit(card, 600_000)

    assert 600_000 == pynvml.nvmlDeviceGetPowerManagementLimit(card)


def test_the_lock_of_a_dead_process_is_taken_over(gpus: VirtualGpus) -> None:
    """A process that dies holding the lock, for certain, leaves the node in use."""
    died = (
        "import ctypes, os, signal\n"
        "lib = ctypes.CDLL('libnvidia-ml.so.1')\n"
        "lib.nvmlInit_v2()\n"
        "lib.fake_die_inside()\n"
    )
    with python(died, gpus.environment()) as child:
        child.communicate(timeout=SECONDS)

    assert -signal.SIGKILL == child.returncode
    assert 700.0 == gpus.card(0).limit_watts


def test_a_dead_process_leaves_the_card(gpus: VirtualGpus, card: object) -> None:
    """The driver drops a followed process that was killed, and its load with it."""
    with python("input()", dict(os.environ)) as child:
        gpus.hold(0, child.pid, 1 << 30, follow=True)
        gpus.hold(0, 999_999_999, 1 << 30)
        gpus.set_load(0, 500.0)
        held = {one.pid for one in pynvml.nvmlDeviceGetComputeRunningProcesses(card)}
        busy = gpus.card(0).draw_watts
        child.kill()
        child.communicate(timeout=SECONDS)
    left = {one.pid for one in pynvml.nvmlDeviceGetComputeRunningProcesses(card)}

    assert {child.pid, 999_999_999} == held
    assert {999_999_999} == left
    assert (500.0, 70.0) == (busy, gpus.card(0).draw_watts)
