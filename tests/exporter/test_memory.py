"""Who holds the memory: resident pages by app, never more in sum than are in use."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant import load, process
from wattgov_exporter.apps.memory import PAGE_BYTES, Memory
from wattgov_exporter.apps.workloads import OTHER, Workloads
from wattgov_exporter.attribution import UNATTRIBUTED, attribute
from wattgov_exporter.config import App
from wattgov_exporter.reading import Component
from wattgov_exporter.uses import cpu_uses

GIB = 2.0**30
CHAT = App("chat", process="vllm")


def meminfo(proc: Path, total_gib: float, available_gib: float | None) -> None:
    """Plant /proc/meminfo."""
    text = f"MemTotal:       {total_gib * 2**20:.0f} kB\nMemFree:        1 kB\n"
    if available_gib is not None:
        text += f"MemAvailable:   {available_gib * 2**20:.0f} kB\n"
    (proc / "meminfo").write_text(text)


def look(proc: Path, **gib: float) -> Workloads:
    """Plant processes that hold so much; return what looks at them."""
    load(proc, 100, 100)
    for pid, (comm, held) in enumerate(gib.items(), 10):
        process(proc, pid, comm, 0, resident=f"{held * GIB / PAGE_BYTES:.0f}")
    return Workloads(proc, [CHAT], own_pid=1)


def test_resident_memory_by_app(tmp_path: Path) -> None:
    """The pages of an app's processes are added up."""
    meminfo(tmp_path, 64, 40)

    memory = look(tmp_path, vllm=12.0, bash=2.0, sh=1.0).look().memory

    assert Memory(64 * GIB, 24 * GIB, {OTHER: 3 * GIB, "chat": 12 * GIB}) == memory
    assert {"chat": 12 * GIB, OTHER: 3 * GIB} == memory.held


def test_pages_that_are_shared_count_once(tmp_path: Path) -> None:
    """Resident in two processes, they would be more than is in use: all is scaled down to that."""
    meminfo(tmp_path, 64, 54)

    memory = look(tmp_path, vllm=15.0, bash=5.0).look().memory

    assert {"chat": 7.5 * GIB, OTHER: 2.5 * GIB} == memory.held
    assert {"chat": 15 * GIB, OTHER: 5 * GIB} == memory.resident


def test_a_machine_that_does_not_tell(tmp_path: Path) -> None:
    """Without meminfo nobody holds anything; without MemAvailable the whole may be in use."""
    assert {} == look(tmp_path, vllm=15.0).look().memory.held
    meminfo(tmp_path, 64, None)

    assert 64 * GIB == look(tmp_path, vllm=15.0).look().memory.used


@pytest.mark.parametrize(
    ("policy", "chat", "nobody"),
    [
        ("dynamic", 10.0 * 12 / 64, 10.0 * 49 / 64),
        ("capacity", 15.0 * 12 / 64, 15.0 * 49 / 64),
        ("full", 10.0 * 12 / 15, 0.0),
    ],
)
def test_refresh_is_for_who_holds_memory(
    tmp_path: Path, policy: str, chat: float, nobody: float
) -> None:
    """Of 20 J, 10 J at rest: by memory held; what nobody holds is nobody's, except under `full`."""
    meminfo(tmp_path, 64, 40)
    workloads = look(tmp_path, vllm=12.0, bash=3.0)
    workloads.look()
    load(tmp_path, 101, 103)  # a quarter of the CPU time
    activity = workloads.look()
    use = cpu_uses(activity, activity)[Component.DRAM.value]

    shares = attribute(20.0, 10.0, use, policy)

    assert chat == pytest.approx(shares["chat", "idle"])
    assert nobody == pytest.approx(shares[UNATTRIBUTED, "idle"])
    assert 20.0 == pytest.approx(math.fsum(shares.values()))


@given(
    total=st.integers(1, 10**13),
    used=st.integers(0, 10**13),
    resident=st.dictionaries(st.sampled_from("abc"), st.integers(0, 10**14)),
)
def test_never_more_than_is_in_use(total: int, used: int, resident: dict[str, float]) -> None:
    """Whatever the processes show, the sum of what is held is at most what is in use."""
    held = Memory(total, used, resident).held

    assert math.fsum(held.values()) <= used * (1 + 1e-9)
    assert all(0 <= each <= resident[app] for app, each in held.items())
