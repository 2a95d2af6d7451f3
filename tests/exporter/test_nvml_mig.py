"""A card in MIG mode: its joules go to its instances by slices and activity, then to processes."""

from pathlib import Path

import pytest

from exporter.cards import GIB, Node, active, use_of
from testbed.nvml import Fault, VirtualGpus
from wattgov_exporter.reading import NOBODY_PID, Readings

pytest_plugins = ["testbed.fixtures"]

BIG, SMALL = (1, 0), (7, 0)


@pytest.fixture
def node(gpus: VirtualGpus, tmp_path: Path) -> Node:
    """Return one card with an instance of four slices and one of one, a process in each."""
    node = Node(gpus, tmp_path, 1)
    gpus.set_mig(0)
    gpus.create(0, BIG, 4, 40 * 1024)
    gpus.create(0, SMALL, 1, 10 * 1024)
    join(node, 100, BIG, 20)
    join(node, 200, SMALL, 5)
    return node


def join(node: Node, pid: int, instance: tuple[int, int], gib: int) -> None:
    """Put a process into an instance."""
    node.gpus.hold(0, pid, gib * GIB)
    node.gpus.place(0, pid, instance=instance)


def shown(readings: Readings) -> dict[str, tuple[float, float | None]]:
    """Return slices and activity of each instance."""
    (state,) = readings.gpus
    return {one.mig: (one.slice_ratio, one.activity_ratio) for one in state.instances}


def test_slices_times_activity(node: Node) -> None:
    """Four slices half busy did twice as much as one slice wholly busy."""
    node.source.read()
    node.gpus.set_activity(0, BIG, 0.5)
    node.gpus.set_activity(0, SMALL, 1.0)

    readings = node.second(2.0)

    assert {"1/0": (4 / 7, 0.5), "7/0": (1 / 7, 1.0)} == {
        key: pytest.approx(value) for key, value in shown(readings).items()
    }
    assert active(readings)[100] == pytest.approx(2.0 * 4 / 7 * 0.5)
    assert active(readings)[200] == pytest.approx(2.0 * 1 / 7)
    assert readings.gpus[0].utilization_percent == pytest.approx(100 * 3 / 7)


def test_activity_is_of_the_time_between_two_reads(node: Node) -> None:
    """What was busy before the last read is not counted again."""
    node.gpus.set_activity(0, BIG, 1.0)
    node.second()
    node.second()
    node.gpus.set_activity(0, BIG, 0.0)

    readings = node.second()

    assert shown(readings)["1/0"][1] == pytest.approx(0.0)
    assert active(readings)[100] == pytest.approx(0.0)


def test_processes_share_their_instance_by_memory(node: Node) -> None:
    """Nobody samples processes in MIG mode: three quarters of the memory, three of the use."""
    join(node, 101, BIG, 60)
    node.source.read()
    node.gpus.set_activity(0, BIG, 1.0)

    readings = node.second()

    assert active(readings)[101] == pytest.approx(3 * active(readings)[100])
    assert active(readings)[100] + active(readings)[101] == pytest.approx(4 / 7)


def test_idle_goes_by_slices(node: Node) -> None:
    """Who has four slices keeps four awake; those that nobody has are nobody's."""
    readings = node.second()

    weights = {use.pid: use.idle_weight for use in readings.gpu_uses}
    assert {100: 4 / 7, 200: 1 / 7, NOBODY_PID: 2 / 7} == pytest.approx(weights)
    assert 20.0 * GIB == use_of(readings, 100).memory_bytes


def test_a_busy_instance_with_nobody_in_it(node: Node) -> None:
    """Its work is nobody's, and is not put on who is elsewhere on the card."""
    node.gpus.release(0, 200)
    node.source.read()
    node.gpus.set_activity(0, BIG, 0.5)
    node.gpus.set_activity(0, SMALL, 1.0)

    did = active(node.second())

    assert {100: 2 / 7, NOBODY_PID: 1 / 7} == pytest.approx(did)


def test_compute_instances_share_their_gpu_instance(node: Node) -> None:
    """Two compute instances in one GPU instance split its activity by their slices."""
    node.gpus.destroy(0, BIG)
    node.gpus.create(0, (1, 0), 4, 40 * 1024, compute_slices=1)
    node.gpus.create(0, (1, 1), 4, 40 * 1024, compute_slices=3)
    join(node, 101, (1, 1), 10)
    node.source.read()
    node.gpus.set_activity(0, (1, 0), 0.8)
    node.gpus.set_activity(0, (1, 1), 0.8)

    did = active(node.second())

    assert did[101] == pytest.approx(3 * did[100])
    assert did[100] + did[101] == pytest.approx(4 / 7 * 0.8)


def test_before_hopper_slices_alone_count(node: Node) -> None:
    """Without figures of activity every instance with a process in it counts as busy."""
    node.gpus.set_fault(0, Fault.NO_GPM)
    node.source.read()
    node.gpus.set_activity(0, BIG, 0.1)

    readings = node.second()

    assert {"1/0": (4 / 7, None), "7/0": (1 / 7, None)} == shown(readings)
    assert {100: 4 / 7, 200: 1 / 7, NOBODY_PID: 0.0} == pytest.approx(active(readings))
    assert readings.gpus[0].utilization_percent is None


def test_a_list_for_the_privileged(node: Node) -> None:
    """Where the card's list of processes may not be seen, each instance is asked for its own."""
    node.gpus.set_fault(0, Fault.PRIVATE_LISTS)
    node.source.read()

    readings = node.second()

    assert {100: 20.0 * GIB, 200: 5.0 * GIB, NOBODY_PID: 0.0} == {
        use.pid: use.memory_bytes for use in readings.gpu_uses
    }


def test_an_instance_made_at_run_time(node: Node) -> None:
    """A process in an unknown instance has the instances looked for within seconds."""
    node.seconds(3)
    node.gpus.create(0, (9, 0), 2, 20 * 1024)
    join(node, 300, (9, 0), 10)

    readings = node.seconds(7)

    assert {"1/0", "7/0", "9/0"} == set(shown(readings))
    assert use_of(readings, 300).idle_weight == pytest.approx(2 / 7)


def test_an_instance_destroyed_at_run_time(node: Node) -> None:
    """One that no longer answers is gone within seconds, and its slices are nobody's."""
    node.seconds(3)
    node.gpus.release(0, 200)
    node.gpus.destroy(0, SMALL)

    readings = node.seconds(7)

    assert {"1/0"} == set(shown(readings))
    assert use_of(readings, NOBODY_PID).idle_weight == pytest.approx(3 / 7)


def test_an_empty_instance_is_found_within_a_minute(node: Node) -> None:
    """Handles are slow, so instances are looked for once a minute while nothing hints at more."""
    node.seconds(3)
    node.gpus.create(0, (9, 0), 2, 20 * 1024)

    assert "9/0" not in shown(node.seconds(50))
    assert "9/0" in shown(node.seconds(12))


def test_mig_mode_comes_and_goes(node: Node) -> None:
    """A card that is put together again has whole-card figures within a minute."""
    node.seconds(3)
    node.gpus.set_mig(0, on=False)
    node.gpus.set_load(0, 300.0, busy=0.5)
    node.gpus.hold(0, 100, GIB)

    readings = node.seconds(61)

    assert () == readings.gpus[0].instances
    assert 50.0 == readings.gpus[0].utilization_percent
    assert [100] == [use.pid for use in readings.gpu_uses]
