"""How each device was used while it took its energy, and by whom."""

import math
from collections import defaultdict
from collections.abc import Mapping

from wattgov_exporter.apps.workloads import OTHER, Activity
from wattgov_exporter.attribution import UNATTRIBUTED, Use
from wattgov_exporter.reading import NOBODY_PID, Component, GpuState, Readings


def cpu_uses(cpu: Activity, dram: Activity) -> dict[str, Use]:
    """Return how the CPUs and the memory were used while they took what their meters tell now.

    CPUs by CPU time, as it weighs on cores that differ. Memory is active by CPU time, which is the
    nearest to its traffic that costs nothing to know, and at rest it is refreshed for who holds it.
    """
    return {
        Component.CPU.value: Use(
            cpu.utilisation, cpu.cpu_work or cpu.cpu_seconds, cpu.busy, held={}
        ),
        Component.DRAM.value: Use(
            dram.utilisation,
            dram.cpu_seconds,
            dram.busy,
            held=dram.memory.held,
            held_total=dram.memory.total,
        ),
    }


def gpu_uses(
    fresh: Mapping[str, Readings],
    sources: Mapping[str, str],
    pid_apps: Mapping[int, str],
    busy_before: dict[str, float],
) -> dict[str, Use]:
    """Return how each card was used, as its source tells; another of it knows less of its users.

    *sources* is by uuid. A card's utilisation is a moment's, its energy the whole tick's: the mean
    of the moments at both ends is nearer to the tick. *busy_before* keeps the last ones, by uuid.
    """
    shown = [
        (gpu, readings)
        for name, readings in fresh.items()
        for gpu in readings.gpus
        if sources.get(gpu.uuid) == name
    ]
    uses = {}
    for gpu, readings in shown:
        busy = _share(gpu.utilization_percent)
        mean = (busy + busy_before.get(gpu.uuid, busy)) / 2
        busy_before[gpu.uuid] = busy
        uses[gpu.uuid] = _gpu_use(gpu, mean, readings, pid_apps)
    return uses


def _share(percent: float | None) -> float:
    """Return per cent as 0..1, whatever a driver says; NaN is nothing, as is no figure at all."""
    if percent is None or math.isnan(percent):
        return 0.0
    return min(max(percent / 100, 0.0), 1.0)


def gpu_memory(
    fresh: Mapping[str, Readings], sources: Mapping[str, str], pid_apps: Mapping[int, str]
) -> dict[str, float]:
    """Return the bytes that each app holds on all cards."""
    memory: dict[str, float] = defaultdict(float)
    for name, readings in fresh.items():
        for use in readings.gpu_uses:
            if sources.get(use.uuid) == name and use.pid != NOBODY_PID:
                memory[app_of(use.pid, pid_apps)] += use.memory_bytes
    return memory


def app_of(pid: int, pid_apps: Mapping[int, str]) -> str:
    """Return whose a process on a card is."""
    return UNATTRIBUTED if pid == NOBODY_PID else pid_apps.get(pid, OTHER)


def _gpu_use(
    gpu: GpuState, utilisation: float, readings: Readings, pid_apps: Mapping[int, str]
) -> Use:
    active: dict[str, float] = defaultdict(float)
    held: dict[str, float] = defaultdict(float)
    for use in readings.gpu_uses:
        if use.uuid == gpu.uuid:
            app = app_of(use.pid, pid_apps)
            active[app] += use.activity
            held[app] += use.memory_bytes if use.idle_weight is None else use.idle_weight
    return Use(utilisation, active, sum(active.values()), held)
