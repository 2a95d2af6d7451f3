"""The worked examples of Kepler, Scaphandre and CEEMS give their numbers under the matching policy.

A second of a meter stands for its watts. Where ours differ on purpose, the test says how.
"""

import pytest

from wattgov_exporter.attribution import UNATTRIBUTED, Use, attribute


def given(
    watts: float, use: Use, policy: str, idle_watts: float | None = None
) -> dict[str, dict[str, float]]:
    """Return the watts by app and share."""
    shares: dict[str, dict[str, float]] = {"active": {}, "idle": {}}
    for (app, share), part in attribute(watts, idle_watts, use, policy).items():
        shares[share][app] = part
    return shares


# Kepler: docs/developer/power-attribution-guide.md, "Attribution Examples".


def test_kepler_basic_power_split() -> None:
    """Example 1: 40 W at 25 % are 10 W active and 30 W idle; 20 % of the CPU time are 2 W."""
    shares = given(40.0, Use(0.25, {"container": 0.2}, 1.0, held={}), "capacity")

    assert 2.0 == pytest.approx(shares["active"]["container"])
    assert 10.0 == pytest.approx(sum(shares["active"].values()))
    assert {UNATTRIBUTED: pytest.approx(30.0)} == {
        app: watts for app, watts in shares["idle"].items() if watts
    }


PROCESSES = {
    "standalone": [100],
    "container-a": [80, 70],
    "container-b": [60],
    "vm": [200],
    "pod-x": [90, 110],
}
"""Example 2: milliseconds of CPU time by process; 60 W, of which a third is active."""


@pytest.mark.parametrize(
    ("app", "watts"),
    [("standalone", 2.0), ("container-a", 3.0), ("container-b", 1.2), ("vm", 4.0), ("pod-x", 4.0)],
)
def test_kepler_multi_workload(app: str, watts: float) -> None:
    """Example 2: each workload's watts, of 1000 ms of CPU time on the node."""
    use = Use(1 / 3, {name: float(sum(each)) for name, each in PROCESSES.items()}, 1000.0, held={})

    assert watts == pytest.approx(given(60.0, use, "capacity")["active"][app])


def test_kepler_each_process_and_container() -> None:
    """Example 2 again, process by process and container by container."""
    milliseconds = {"2": 80.0, "3": 70.0, "container-c": 90.0, "container-d": 110.0}

    active = given(60.0, Use(1 / 3, milliseconds, 1000.0, held={}), "capacity")["active"]

    for name, watts in {"2": 1.6, "3": 1.4, "container-c": 1.8, "container-d": 2.2}.items():
        assert watts == pytest.approx(active[name])


def test_where_kepler_differs() -> None:
    """Its workloads show 14.2 of 60 W and the rest is in no row; ours is, so the sum is the meter.

    The workloads' 710 ms of 1000 have 14.2 W; 5.8 W are of the other 290 ms, and 40 W are idle.
    """
    use = Use(1 / 3, {name: float(sum(each)) for name, each in PROCESSES.items()}, 1000.0, held={})

    shares = given(60.0, use, "capacity")

    assert 5.8 == pytest.approx(shares["active"][UNATTRIBUTED])
    assert 40.0 == pytest.approx(shares["idle"][UNATTRIBUTED])
    assert 60.0 == pytest.approx(sum(sum(rows.values()) for rows in shares.values()))


@pytest.mark.parametrize(("milliseconds", "part"), [([100, 50], 0.15), ([200, 50], 0.25)])
def test_kepler_containers_and_pods(milliseconds: list[int], part: float) -> None:
    """Examples 3 and 4: several processes, several containers: their part of the active power."""
    use = Use(0.5, {"app": float(sum(milliseconds))}, 1000.0, held={})

    assert part * 10.0 == pytest.approx(given(20.0, use, "capacity")["active"]["app"])


# Scaphandre: docs_src/explanations/how-scaph-computes-per-process-power-consumption.md has the
# rule in words and no numbers; src/sensors/mod.rs has host power x CPU % / number of cores.


@pytest.mark.parametrize(
    ("host_watts", "cpu_percent", "cores"), [(9.391334, 51.2, 1), (60.0, 250.0, 8), (35.0, 0.0, 4)]
)
def test_scaphandre(host_watts: float, cpu_percent: float, cores: int) -> None:
    """A process's watts are the host's by its part of all cores, which `capacity` gives too.

    While others use half of what is left.
    """
    seconds = cpu_percent / 100
    busy = seconds + (cores - seconds) / 2
    use = Use(busy / cores, {"process": seconds, "_other": busy - seconds}, busy, held={})

    active = given(host_watts, use, "capacity")["active"]

    assert host_watts * cpu_percent / 100 / cores == pytest.approx(active["process"])


def test_where_scaphandre_differs() -> None:
    """docs_src/tutorials/getting_started.md: three processes of 4.808363 W on a host of 9.391334 W.

    They have more than the host in sum. Ours share what there is: CPU time that is more than the
    node's own figure only makes each one's part smaller.
    """
    use = Use(1.0, dict.fromkeys(("dockerd", "containerd", "redis"), 0.512), 1.0, held={})

    active = given(9.391334, use, "capacity")["active"]

    assert 9.391334 / 3 == pytest.approx(active["redis"])
    assert 9.391334 == pytest.approx(sum(active.values()))


# CEEMS: website/docs/advanced/power-consumption.md, "When BMC and RAPL counters are available".
# The page gives the rule; the numbers are of a node of 500 W whose package and DRAM zones show 120
# and 30 W, with two units: 30 and 10 of 40 CPU-seconds, 48 and 16 of 64 GiB in use.

NODE_WATTS, PACKAGE_WATTS, DRAM_WATTS = 500.0, 120.0, 30.0
CPU_WATTS = 0.9 * NODE_WATTS * PACKAGE_WATTS / (PACKAGE_WATTS + DRAM_WATTS)
MEMORY_WATTS = 0.9 * NODE_WATTS * DRAM_WATTS / (PACKAGE_WATTS + DRAM_WATTS)
CPU_SECONDS = {"one": 30.0, "two": 10.0}
BYTES = {"one": 48.0 * 2**30, "two": 16.0 * 2**30}


@pytest.mark.parametrize("idle_watts", [0.0, 100.0, 360.0])
def test_ceems_cpu(idle_watts: float) -> None:
    """CPU power by CPU time, idle power too, whatever part of it is idle: 270 and 90 of 360 W."""
    shares = given(CPU_WATTS, Use(0.5, CPU_SECONDS, 40.0, held={}), "full", idle_watts)

    both = {unit: shares["active"][unit] + shares["idle"][unit] for unit in CPU_SECONDS}
    assert {"one": pytest.approx(270.0), "two": pytest.approx(90.0)} == both


def test_ceems_memory() -> None:
    """Memory's power by memory in use: 67.5 and 22.5 of 90 W, where all of it is refresh.

    Ours differs where a meter shows more than refresh: that part goes by CPU time, since who holds
    memory need not use it.
    """
    use = Use(0.5, CPU_SECONDS, 40.0, held=BYTES, held_total=128.0 * 2**30)

    idle = given(MEMORY_WATTS, use, "full", idle_watts=MEMORY_WATTS)["idle"]

    assert {"one": 67.5, "two": 22.5, UNATTRIBUTED: 0.0} == pytest.approx(idle)


def test_where_ceems_differs() -> None:
    """Its last tenth, 50 W for all else, goes to the two units in equal parts: 25 W each.

    Ours is component `rest`, the platform less its metered parts, and is nobody's: no unit can be
    shown to have used it, and there is no assumption of 90 %. Its 362.5 and 137.5 W of a unit are
    then ours without the 25.
    """
    cpu = given(CPU_WATTS, Use(0.5, CPU_SECONDS, 40.0, held={}), "full", 100.0)
    dram = given(
        MEMORY_WATTS, Use(0.5, CPU_SECONDS, 40.0, held=BYTES), "full", idle_watts=MEMORY_WATTS
    )

    ours = {
        unit: sum(shares[share][unit] for shares in (cpu, dram) for share in ("active", "idle"))
        for unit in CPU_SECONDS
    }
    theirs = {unit: watts + 0.1 * NODE_WATTS / len(CPU_SECONDS) for unit, watts in ours.items()}
    assert {"one": 337.5, "two": 112.5} == pytest.approx(ours)
    assert {"one": 362.5, "two": 137.5} == pytest.approx(theirs)
