"""Who is on a card: memory held, the time that samples stand for, and pids from elsewhere."""

from pathlib import Path

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.cards import GIB, Node, active, use_of
from testbed.nvml import NOT_AVAILABLE, Kind, VirtualGpus
from wattgov_exporter.doctor import Finding, report
from wattgov_exporter.poll import read
from wattgov_exporter.sources.nvml_processes import SAMPLE, Samples

pytest_plugins = ["testbed.fixtures"]


@pytest.fixture
def node(gpus: VirtualGpus, tmp_path: Path) -> Node:
    """Return one card at 1 s."""
    return Node(gpus, tmp_path, 1)


def test_all_kinds_of_processes_hold_memory(node: Node) -> None:
    """Those that compute, those that draw and those behind MPS are on the card."""
    for pid, kind in enumerate(Kind, 100):
        node.gpus.hold(0, pid, pid * GIB)
        node.gpus.place(0, pid, kind)

    readings = node.source.read()

    assert {100: 100 * GIB, 101: 101 * GIB, 102: 102 * GIB} == {
        use.pid: use.memory_bytes for use in readings.gpu_uses
    }


def test_memory_that_is_not_told(node: Node) -> None:
    """All ones are no amount: the process is there and holds nothing that is known."""
    node.gpus.hold(0, 100, NOT_AVAILABLE)

    assert 0.0 == use_of(node.source.read(), 100).memory_bytes


def test_a_sample_counts_for_its_time(node: Node) -> None:
    """A process that is sampled once in four seconds did as much as one sampled each second."""
    for pid in (100, 101):
        node.gpus.hold(0, pid, GIB)
    node.source.read()
    total = {100: 0.0, 101: 0.0}
    for second in range(1, 9):
        node.gpus.advance(1.0)
        node.gpus.sample(0, 100, 30)
        if second % 4 == 0:
            node.gpus.sample(0, 101, 30)
        if second % 4 == 0:
            for pid, seconds in active(node.source.read()).items():
                total[pid] += seconds

    assert total[100] == pytest.approx(8 * 0.3)
    assert total[101] == pytest.approx(8 * 0.3)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(spaces=st.lists(st.floats(0.1, 5.0), min_size=1, max_size=12), percent=st.integers(1, 100))
def test_activity_is_proportional_to_time(
    gpus: VirtualGpus, tmp_path: Path, spaces: list[float], percent: int
) -> None:
    """However the samples are spaced, a steady process has its part of the whole time."""
    node = Node(gpus, tmp_path, 1)  # made new for each example
    node.gpus.hold(0, 100, GIB)
    node.source.read()
    seconds = 0.0
    for space in spaces:
        node.gpus.advance(space)
        node.gpus.sample(0, 100, percent)
        seconds += active(node.source.read())[100]

    assert seconds == pytest.approx(sum(spaces) * percent / 100, rel=1e-4, abs=1e-5)


def test_samples_that_end_at_different_times(node: Node) -> None:
    """A second between two samples of a process is a second, whenever the others' end."""
    for pid in (100, 101):
        node.gpus.hold(0, pid, GIB)
    node.source.read()
    for _ in range(3):
        node.gpus.advance(0.5)
        node.gpus.sample(0, 100, 40)
        node.gpus.advance(0.5)
        node.gpus.sample(0, 101, 40)
        did = active(node.source.read())

    assert (did[100], did[101]) == pytest.approx((0.4, 0.4))


def test_a_process_that_rested_has_no_more_than_the_last_look(node: Node) -> None:
    """A sample after a rest stands for the time since the last look, not for the rest."""
    for pid in (100, 101):
        node.gpus.hold(0, pid, GIB)
    node.gpus.sample(0, 101, 50)
    node.source.read()
    for _ in range(10):
        node.gpus.advance(1.0)
        node.gpus.sample(0, 100, 50)
        node.source.read()
    node.gpus.advance(1.0)
    node.gpus.sample(0, 100, 50)
    node.gpus.sample(0, 101, 50)

    did = active(node.source.read())

    assert (did[100], did[101]) == pytest.approx((0.5, 0.5))


def test_a_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples go on at once; the driver still has those of before, which are no news."""
    kept: list[tuple[int, ...]] = []

    def driver(_: object, since_us: int) -> list[bytes]:
        return [SAMPLE.pack(*one) for one in kept if one[1] > since_us]

    monkeypatch.setattr(pynvml, "nvmlDeviceGetProcessUtilization", driver)
    samples, found = Samples(), []
    for wall in (3600, 3601, 3602, 3603, 10, 11, 12, 13, 14):
        kept.append((100, wall * 1_000_000 - 100_000, 50, 0, 0, 0))
        found.append(samples.read(None, wall * 1_000_000).get(100, 0.0))

    assert [0.0, 0.45, 0.5, 0.5, 0.0, 0.45, 0.5, 0.5, 0.5] == pytest.approx(found)


def test_a_pid_that_is_not_here(node: Node) -> None:
    """NVML tells the host's pids: those that /proc lacks are counted apart."""
    node.process(100)
    for pid in (100, 200, 201):
        node.gpus.hold(0, pid, GIB)

    (state,) = node.source.read().gpus

    assert {"true": 1.0, "false": 2.0} == dict(state.processes)


def test_doctor_tells_of_pids_from_elsewhere(node: Node) -> None:
    """It says how many there are, what that does and what to change; nothing where all are here."""
    node.process(100)
    node.gpus.hold(0, 100, GIB)
    answer = read(node.source, node.now)

    assert "not in /proc" not in "\n".join(report([Finding(node.source, answer, answer)]))

    node.gpus.hold(0, 200, GIB)
    answer = read(node.source, node.now)

    said = " ".join(" ".join(report([Finding(node.source, answer, answer)])).split())
    assert "pids on its cards are not in /proc" in said
    assert "hostPID: true" in said
