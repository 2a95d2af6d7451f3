"""The weight of an app's control group, on a fake cgroup v2 tree."""

from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.stands import CONTAINER, STANDS
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs.cpu_priority import NAME, CpuPriority
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, KnobError

CHAT = "/system.slice/chat.service"


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Return the cgroup tree of two services and one of a user."""
    STANDS[NAME].plant(tmp_path)
    return tmp_path / "sys/fs/cgroup"


@pytest.fixture
def knob(groups: Path) -> CpuPriority:
    """Return the knob of this machine."""
    return CpuPriority(Machine(groups.parents[1]))


def test_each_service_is_a_target_called_as_the_exporter_calls_it(knob: CpuPriority) -> None:
    """By the path of its group; a user's services are inside of the user's manager."""
    targets = knob.probe().targets

    assert ["batch.service", "chat.service", "ide.service"] == [
        target.labels["app"] for target in targets
    ]
    assert (CHAT, 1, 100, "weight") == (
        targets[1].name,
        targets[1].low,
        targets[1].high,
        targets[1].unit,
    )


@pytest.mark.parametrize(
    "name", [CONTAINER, f"docker-{CONTAINER}.scope", f"cri-containerd-{CONTAINER}.scope"]
)
def test_a_container_is_a_target_by_its_short_id(
    knob: CpuPriority, groups: Path, name: str
) -> None:
    """However its runtime spells the group; the monitor beside it is none."""
    for each in (name, f"crio-conmon-{CONTAINER}.scope"):
        folder = groups / "kubepods.slice/kubepods-pod1.slice" / each
        folder.mkdir(parents=True)
        (folder / "cpu.weight").write_text("100\n")
    apps = [target.labels["app"] for target in knob.probe().targets]

    assert 1 == apps.count(CONTAINER[:12])
    assert 4 == len(apps)


def test_a_weight_is_set_and_put_back(tmp_path: Path, groups: Path, knob: CpuPriority) -> None:
    """On the group that is meant."""
    bench = Bench(tmp_path, NAME, lambda: knob)
    done = bench.act(40, target=CHAT)

    assert (Reason.APPLIED, "40") == (done.reason, (groups / CHAT[1:] / "cpu.weight").read_text())
    assert 300 == knob.read("/system.slice/batch.service").value
    bench.writer.restore()
    assert "100" == (groups / CHAT[1:] / "cpu.weight").read_text()
    bench.close()


def test_percent_is_of_the_usual_weight_or_the_highest_seen(knob: CpuPriority) -> None:
    """A group that somebody made heavier has its own range, which our steps do not shrink."""
    knob.probe()
    knob.write("/system.slice/batch.service", 50)

    assert [300, 100, 100] == [target.high for target in knob.probe().targets]


def test_a_service_that_ended_is_lost(groups: Path, knob: CpuPriority) -> None:
    """Its group went with it, and is not made anew."""
    (groups / CHAT[1:] / "cpu.weight").unlink()
    with pytest.raises(KnobError) as caught:
        knob.write(CHAT, 40)

    assert Fault.LOST == caught.value.fault
    assert 2 == len(knob.probe().targets)


def test_cgroup_v1_is_a_note(groups: Path, knob: CpuPriority) -> None:
    """Its shares are another interface."""
    (groups / "cgroup.controllers").unlink()

    assert f"{groups} is not cgroup v2; boot with a unified hierarchy" == knob.probe().note
