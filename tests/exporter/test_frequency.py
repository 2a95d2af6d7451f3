"""CPU time weighs more on fast cores; the sum stays, and few cores are asked."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant import load, process
from wattgov_exporter.apps.frequency import READS, SLOW_SECONDS, Weights, processor, work
from wattgov_exporter.apps.lineage import Process, Stat
from wattgov_exporter.apps.workloads import OTHER, Workloads
from wattgov_exporter.config import App

P_CORE, E_CORE = 1024, 512


def cores(sysfs: Path, fact: str, values: Mapping[int, int]) -> None:
    """Plant one fact of each core."""
    for cpu, value in values.items():
        file = sysfs / f"devices/system/cpu/cpu{cpu}" / fact
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")


def ran(app: str, ticks: int, cpu: int | None) -> Process:
    """Return a process that used so much and was last seen there."""
    place = "" if cpu is None else f"S{' 0' * 35} {cpu} 0 0"
    text = f"1 (a) b) {place}".encode()
    return Process(1, Stat(b"", 0, False, 0, 0, 0), text, ticks, app=app)


def still() -> float:
    """Return a time at which nothing takes any."""
    return 0.0


def test_a_hybrid(tmp_path: Path) -> None:
    """A second on a P core weighs two on an E core; the sum of both is still two seconds."""
    cores(tmp_path, "cpu_capacity", {0: P_CORE, 1: E_CORE})
    weights = Weights(tmp_path, still, clocks=False)

    apps = work([ran("a", 100, 0), ran("b", 100, 1)], weights)

    assert {"a": pytest.approx(400 / 3), "b": pytest.approx(200 / 3)} == apps


@pytest.mark.parametrize("fact", ["acpi_cppc/highest_perf", "cpufreq/cpuinfo_max_freq"])
def test_other_ways_to_know_a_hybrid(tmp_path: Path, fact: str) -> None:
    """Kernels that state no capacity tell it by what each core can reach."""
    cores(tmp_path, "cpu_capacity", {0: 1024, 1: 1024})
    cores(tmp_path, fact, {0: 60, 1: 40})

    assert {0: 60.0, 1: 40.0} == Weights(tmp_path, still, clocks=False).look(())


def test_cores_that_are_alike(tmp_path: Path) -> None:
    """A favoured core that turbos a little more makes no hybrid: nothing is weighed."""
    cores(tmp_path, "cpufreq/cpuinfo_max_freq", {0: 5_000_000, 1: 4_800_000})

    assert {} == work([ran("a", 100, 0)], Weights(tmp_path, still, clocks=False))
    assert {} == work([ran("a", 100, 0)], Weights(tmp_path / "none", still, clocks=True))


def test_clocks(tmp_path: Path) -> None:
    """Asked for, a core at 3.5 GHz weighs what it should beside one at 1.75."""
    cores(tmp_path, "cpufreq/cpuinfo_max_freq", {0: 3_500_000, 1: 3_500_000})
    cores(tmp_path, "cpufreq/scaling_cur_freq", {0: 3_500_000, 1: 1_750_000})
    weights = Weights(tmp_path, still, clocks=True)

    apps = work([ran("a", 100, 0), ran("b", 100, 1)], weights)

    assert {"a": pytest.approx(400 / 3), "b": pytest.approx(200 / 3)} == apps


def test_few_cores_are_asked_at_a_look_each_in_turn(tmp_path: Path) -> None:
    """With many busy cores each has its turn; idle ones are left to sleep."""
    cores(tmp_path, "cpufreq/cpuinfo_max_freq", dict.fromkeys(range(10), 1000))
    cores(tmp_path, "cpufreq/scaling_cur_freq", dict.fromkeys(range(10), 500))
    weights = Weights(tmp_path, still, clocks=True)

    known = [set(weights.look(range(8))) for _ in range(2)]

    assert [READS, 8] == [len(one) for one in known]
    assert set(range(8)) == known[1]


def test_a_driver_that_takes_long_is_asked_no_more(tmp_path: Path) -> None:
    """On Linux 4.15 a read sleeps 20 ms: one is enough to know."""
    cores(tmp_path, "cpufreq/cpuinfo_max_freq", {0: 1000, 1: 1000})
    cores(tmp_path, "cpufreq/scaling_cur_freq", {0: 500, 1: 1000})
    now = [0.0]

    def clock() -> float:
        now[0] += 2 * SLOW_SECONDS
        return now[0]

    weights = Weights(tmp_path, clock, clocks=True)

    assert {} == weights.look([0, 1])
    assert 2 == round(now[0] / (2 * SLOW_SECONDS))
    assert {} == weights.look([0, 1])
    assert 2 == round(now[0] / (2 * SLOW_SECONDS))


@given(
    ticks=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 10**6), st.none() | st.integers(0, 5)),
        max_size=20,
    )
)
def test_the_sum_stays(ticks: list[tuple[str, int, int | None]], hybrid: Path) -> None:
    """Whatever ran where, known or not: in sum it is the CPU time that was used."""
    processes = [ran(*each) for each in ticks]

    apps = work(processes, Weights(hybrid, still, clocks=False))

    assert math.isclose(
        sum(used for _, used, _ in ticks), math.fsum(apps.values()), rel_tol=1e-9, abs_tol=1e-9
    )


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sysfs of a machine with two kinds of cores."""
    sysfs = tmp_path_factory.mktemp("hybrid")
    cores(sysfs, "cpu_capacity", {0: P_CORE, 1: P_CORE, 2: E_CORE, 3: E_CORE})
    return sysfs


@pytest.mark.parametrize(
    ("raw", "cpu"),
    [(ran("a", 1, 37).ran, 37), (b"1 (a) S 0", None), (b"", None), (b"1 (7 7) x", None)],
)
def test_where_a_process_ran(raw: bytes, cpu: int | None) -> None:
    """Field 39, behind a name that may hold anything; a text without it tells nothing."""
    assert cpu == processor(raw)


def test_from_processes_to_work(hybrid: Path, tmp_path: Path) -> None:
    """The CPU time that is published stays as it was; what shares the joules weighs."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "vllm", 0)
    process(tmp_path, 11, "bash", 0)
    weights = Weights(hybrid, still, clocks=False)
    workloads = Workloads(tmp_path, [App("chat", process="vllm")], own_pid=1, weights=weights)
    workloads.look()
    load(tmp_path, 4, 0)
    process(tmp_path, 10, "vllm", 200, processor="1")
    process(tmp_path, 11, "bash", 200, processor="2")

    activity = workloads.look()

    assert {"chat": 2.0, OTHER: 2.0} == activity.cpu_seconds
    assert {"chat": pytest.approx(8 / 3), OTHER: pytest.approx(4 / 3)} == activity.cpu_work

    workloads.weigh(None)

    assert {} == workloads.look().cpu_work
