"""The set of CPUs of an app's control group, on a fake cgroup v2 tree of two nodes."""

from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.stands import STANDS
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs.cpu_affinity import NAME, CpuAffinity, numbers
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError

CHAT, BATCH = "/system.slice/chat.service", "/system.slice/batch.service"


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Return the cgroup tree: one service inherits eight CPUs, one has four of the second node."""
    STANDS[NAME].plant(tmp_path)
    return tmp_path / "sys/fs/cgroup"


@pytest.fixture
def knob(groups: Path) -> CpuAffinity:
    """Return the knob of this machine."""
    return CpuAffinity(Machine(groups.parents[1]))


def cpus(groups: Path, target: str) -> str:
    """Return what is asked for."""
    return (groups / target[1:] / "cpuset.cpus").read_text().strip()


def test_each_service_is_a_target_from_one_cpu_to_its_parents(knob: CpuAffinity) -> None:
    """By the path of its group, called as the exporter calls it."""
    batch, chat = knob.probe().targets

    assert (BATCH, {"app": "batch.service"}) == (batch.name, batch.labels)
    assert (CHAT, 1, 8, "cpus") == (chat.name, chat.low, chat.high, chat.unit)


def test_who_has_no_set_has_its_parents(knob: CpuAffinity) -> None:
    """The text is empty then; who asked for some may be granted fewer."""
    assert InForce(8, 8, "") == knob.read(CHAT)
    assert InForce(4, 3, "4-7") == knob.read(BATCH)


@pytest.mark.parametrize(
    ("target", "value", "chosen"),
    [(CHAT, 3, "0,1,2"), (CHAT, 5.4, "0,1,2,3,4"), (BATCH, 2, "4,5"), (BATCH, 0.2, "4")],
)
def test_cpus_are_taken_from_the_apps_own_node(
    knob: CpuAffinity, groups: Path, target: str, value: float, chosen: str
) -> None:
    """Its memory is there; one CPU at least is left."""
    knob.write(target, value)

    assert chosen == cpus(groups, target)


@pytest.mark.parametrize(("target", "prior"), [(CHAT, ""), (BATCH, "4-7")])
def test_the_set_is_put_back_as_it_was_spelt(
    tmp_path: Path, groups: Path, knob: CpuAffinity, target: str, prior: str
) -> None:
    """To inherit is a setting of its own: a list of all CPUs would not follow the parent."""
    bench = Bench(tmp_path, NAME, lambda: knob)
    done = bench.act(2, target=target)

    assert Reason.APPLIED == done.reason

    bench.restart()
    bench.writer.restore()

    assert (prior, ()) == (cpus(groups, target), bench.journal.undos())
    bench.close()


def test_a_service_that_ended_is_lost(groups: Path, knob: CpuAffinity) -> None:
    """Its group went with it, and is not made anew."""
    (groups / CHAT[1:] / "cpuset.cpus").unlink()
    with pytest.raises(KnobError) as caught:
        knob.restore(CHAT, 8, "")

    assert Fault.LOST == caught.value.fault


def test_a_list_that_is_none_is_told(groups: Path, knob: CpuAffinity) -> None:
    """The path and the text are in the sentence."""
    (groups / CHAT[1:] / "cpuset.cpus.effective").write_text("all\n")
    with pytest.raises(KnobError, match="holds 'all' and no list of CPUs"):
        knob.read(CHAT)


def test_cgroup_v1_is_a_note(groups: Path, knob: CpuAffinity) -> None:
    """Its sets are another interface."""
    (groups / "cgroup.controllers").unlink()

    assert f"{groups} is not cgroup v2; boot with a unified hierarchy" == knob.probe().note


def test_a_list_has_numbers_and_ranges() -> None:
    """As the kernel writes them."""
    assert [0, 1, 2, 3, 8] == numbers("0-3,8")
    assert [] == numbers("")
