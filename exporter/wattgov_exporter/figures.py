"""What is kept of each app besides its joules, and which apps have series of their own."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from wattgov_exporter.apps.workloads import Activity
from wattgov_exporter.config import Config
from wattgov_exporter.folding import Folding, names_for
from wattgov_exporter.reading import NOBODY_PID, Component, Readings
from wattgov_exporter.snapshot import AppFigures
from wattgov_exporter.uses import app_of

ACTIVE_CPUS = 0.01
"""An app that uses less than this part of one CPU is not counted as active."""


class Figures:
    """Follows the apps from tick to tick."""

    def __init__(self, config: Config) -> None:
        self._budget = config.budget
        self._folding = Folding(_declared(config), config.budget.apps)
        self._cpu_seconds: dict[str, float] = defaultdict(float)
        self._last_active: dict[str, float] = {}

    @property
    def cpu_seconds(self) -> Mapping[str, float]:
        """CPU seconds of each app since the start."""
        return self._cpu_seconds

    @property
    def dropped(self) -> int:
        """How many series were not published, since the budget was full."""
        return self._folding.dropped

    def restore(self, cpu_seconds: Mapping[str, float]) -> None:
        """Go on from these totals after a restart."""
        self._cpu_seconds.update(cpu_seconds)
        self._folding.restore(self._cpu_seconds)

    def reconfigure(self, config: Config) -> None:
        """Follow another configuration."""
        self._budget = config.budget
        self._folding.reconfigure(_declared(config), config.budget.apps)

    def enter(
        self, activity: Activity, fresh: Iterable[Readings], elapsed_seconds: float, wall: float
    ) -> None:
        """Add a tick of *elapsed_seconds*; *wall* is Unix seconds."""
        least = ACTIVE_CPUS * elapsed_seconds
        active = {app for app, used in activity.cpu_seconds.items() if used > least}
        active |= {
            app_of(use.pid, activity.owners)
            for readings in fresh
            for use in readings.gpu_uses
            if use.activity > 0 and use.pid != NOBODY_PID
        }
        for app, used in activity.cpu_seconds.items():
            self._cpu_seconds[app] += used
        self._last_active.update(dict.fromkeys(sorted(active), wall))

    def settle(
        self,
        now: float,
        activity: Activity,
        joules: dict[tuple[str, Component, str], float],
        other_series: int,
    ) -> None:
        """Decide who has series, and fold *joules* and what is kept here.

        *now* is monotonic seconds, *other_series* how many series are no app's.
        """
        self._folding.limit = names_for(self._budget, other_series)
        self._folding.settle(now, activity.processes, joules)
        self._folding.fold(self._cpu_seconds)
        self._folding.fold(self._last_active, max)

    def shown(self, activity: Activity, gpu_memory_bytes: Mapping[str, float]) -> AppFigures:
        """Return what is published of the apps that have names, the others together."""
        processes = dict(activity.processes)
        resident, held = dict(activity.memory.resident), dict(gpu_memory_bytes)
        self._folding.fold(processes)
        self._folding.fold(resident)
        self._folding.fold(held)
        return AppFigures(
            dict(self._cpu_seconds), dict(self._last_active), processes, resident, held
        )


def _declared(config: Config) -> set[str]:
    return {app.name for app in config.apps}
