"""How each device was used while it took its energy, and by whom."""

from collections import defaultdict
from collections.abc import Mapping

from wattgov_exporter.apps.workloads import OTHER, Activity
from wattgov_exporter.attribution import Use
from wattgov_exporter.reading import Component, GpuState, Readings


def cpu_uses(activity: Activity) -> dict[str, Use]:
    """Return how the CPUs, and with them the memory, were used: by CPU time."""
    use = Use(activity.utilisation, activity.cpu_seconds, activity.busy, held={})
    return {Component.CPU.value: use, Component.DRAM.value: use}


def gpu_uses(
    fresh: Mapping[str, Readings],
    source: str,
    pid_apps: Mapping[int, str],
    busy_before: dict[str, float],
) -> dict[str, Use]:
    """Return how each card of *source* was used; another source of it knows less of its users.

    A card's utilisation is a moment's, its energy the whole tick's: the mean of the moments at both
    ends is nearer to the tick. *busy_before* keeps the last ones, by uuid.
    """
    readings = fresh.get(source)
    if readings is None:
        return {}
    uses = {}
    for gpu in readings.gpus:
        busy = (gpu.utilization_percent or 0.0) / 100
        mean = (busy + busy_before.get(gpu.uuid, busy)) / 2
        busy_before[gpu.uuid] = busy
        uses[gpu.uuid] = _gpu_use(gpu, mean, readings, pid_apps)
    return uses


def _gpu_use(
    gpu: GpuState, utilisation: float, readings: Readings, pid_apps: Mapping[int, str]
) -> Use:
    active: dict[str, float] = defaultdict(float)
    held: dict[str, float] = defaultdict(float)
    for use in readings.gpu_uses:
        if use.uuid == gpu.uuid:
            app = pid_apps.get(use.pid, OTHER)
            active[app] += use.activity
            held[app] += use.memory_bytes
    return Use(utilisation, active, sum(active.values()), held)
