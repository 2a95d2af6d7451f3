"""How many apps have series of their own: the rest are folded into `_other`, every sum kept. Pure.

A published app keeps its name until it is dead; then its totals are added to `_other` for good, and
its series ends. An app that is not published is in `_other` from its first joule, and what is there
stays: if it gets a name later, its own counters start at nothing. So no counter ever falls, and the
sum over all apps never changes by folding.

While there are names enough for all, every app has one at once. When there are not, an app is
watched first, and the names that are free go to those that used the most energy meanwhile. Now and
then those without a name are compared with those that have one: who used far less gives it away.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import add
from typing import TypeVar

from wattgov_exporter.apps.workloads import OTHER
from wattgov_exporter.attribution import UNATTRIBUTED
from wattgov_exporter.config import Budget
from wattgov_exporter.reading import Component

Number = TypeVar("Number", int, float)

DEAD_SECONDS = 300.0
"""An app without a process for so long is dead: longer than a restart, shorter than a rollout."""

WATCH_LOOKS = 30
"""So many looks an app is watched before it may take one of too few names."""

REVIEW_LOOKS = 600
"""So many looks are compared, of those with a name and those without."""

FAR_MORE = 2.0
"""Who used so many times what another did takes his name: a series that ends and comes back is a
nuisance, and those who use about the same would take turns."""


APP_SERIES = 15
"""An app has at most so many: the active and the idle share of four components, five figures of its
own, two objectives."""


def names_for(budget: Budget, other_series: int) -> int:
    """Return how many apps may have series beside *other_series* that are no app's.

    A whole page beyond a scraper's `sample_limit` is refused; some apps without a name are not.
    """
    if budget.series is None:
        return budget.apps
    nobodys = 2 * APP_SERIES  # `_other` and `_unattributed`
    return max(min(budget.apps, (budget.series - other_series - nobodys) // APP_SERIES), 0)


def other_series(meters: int, gpus: int, sources: int) -> int:
    """Return how many series at most are no app's, so many meters, GPUs and sources given.

    A card has 24, and in MIG mode five for each of seven instances.
    """
    return 100 + 2 * meters + 59 * gpus + 16 * sources


@dataclass(slots=True)
class _Watched:
    """An app without a name: since how many looks it is known, and what it used meanwhile."""

    looks: int = 0
    joules: float = 0.0


class Folding:
    """Which apps are published; declared ones always are, beyond the limit too.

    At most max(*limit*, the declared ones) names are published, besides `_other` and
    `_unattributed`. *dropped* counts the series of apps that had to wait for a name.
    """

    def __init__(self, declared: Collection[str], limit: int) -> None:
        self._declared = frozenset(declared) | {OTHER, UNATTRIBUTED}
        self.limit = limit
        self.dropped = 0
        self._named: set[str] = set()
        self._watched: dict[str, _Watched] = {}
        self._seen: dict[str, float] = {}
        self._marks: dict[str, float] = {}
        self._looks = 0

    def restore(self, published: Iterable[str]) -> None:
        """Go on with these names after a restart, while their apps have time to come back."""
        self._named = set(published) - self._declared

    def reconfigure(self, declared: Collection[str], limit: int) -> None:
        """Follow another configuration; who was declared before stays published until it dies."""
        before, self._declared = self._declared, frozenset(declared) | {OTHER, UNATTRIBUTED}
        self._named = (self._named | before) - self._declared
        self.limit = limit

    def settle(
        self,
        now: float,
        processes: Mapping[str, int],
        joules: dict[tuple[str, Component, str], float],
    ) -> None:
        """Decide who is published, and fold *joules*, the apps' totals, in place.

        *processes* is how many each app has; *now* is monotonic seconds.
        """
        alive = {app for app, count in processes.items() if count and app not in self._declared}
        self._seen.update(dict.fromkeys(alive, now))
        for app in self._named - self._seen.keys():
            self._seen[app] = now
        for app in [app for app, seen in self._seen.items() if now - seen > DEAD_SECONDS]:
            del self._seen[app]
            self._named.discard(app)
            self._watched.pop(app, None)
            self._marks.pop(app, None)
        self._publish(alive)
        self._review(alive, joules)
        for key in [key for key in joules if not self.publishes(key[0])]:
            app, component, share = key
            part = joules.pop(key)
            rest = (OTHER, component, share)
            joules[rest] = joules.get(rest, 0.0) + part
            if app in self._watched:
                self._watched[app].joules += part

    def publishes(self, app: str) -> bool:
        """Tell whether an app has series of its own."""
        return app in self._declared or app in self._named

    def fold(
        self, values: dict[str, Number], join: Callable[[Number, Number], Number] = add
    ) -> None:
        """Fold other figures of the apps in place: add them up, or *join* them otherwise."""
        for app in [app for app in values if not self.publishes(app)]:
            value = values.pop(app)
            values[OTHER] = join(values[OTHER], value) if OTHER in values else value

    def _review(self, alive: set[str], joules: Mapping[tuple[str, Component, str], float]) -> None:
        """Let who used far less than one without a name since the last review give it away."""
        waiting = self._watched.keys() & alive
        self._looks = self._looks + 1 if waiting else 0
        if self._looks % REVIEW_LOOKS != 1:
            return
        totals = {app: self._watched[app].joules for app in waiting}
        for (app, _, _), part in joules.items():
            if app in self._named:
                totals[app] = totals.get(app, 0.0) + part
        before, self._marks = self._marks, totals
        if self._looks == 1:
            return
        used = {app: total - before.get(app, 0.0) for app, total in totals.items()}
        greatest = sorted(waiting, key=lambda app: (-used[app], app))
        least = sorted(self._named & before.keys() & used.keys(), key=lambda app: (used[app], app))
        for new, old in zip(greatest, least, strict=False):
            if used[new] <= FAR_MORE * used[old]:
                break
            self._name(new)
            self._named.discard(old)
            self._marks.pop(old, None)
            self.dropped += APP_SERIES

    def _name(self, app: str) -> None:
        """Give an app a name; its own counters start at nothing."""
        self._named.add(app)
        del self._watched[app]
        self._marks.pop(app, None)

    def _publish(self, alive: set[str]) -> None:
        """Give the free names away."""
        free = self.limit - (len(self._declared) - len((OTHER, UNATTRIBUTED))) - len(self._named)
        waiting = alive - self._named
        unknown = waiting - self._watched.keys()
        for app in waiting:
            self._watched.setdefault(app, _Watched()).looks += 1
        if len(waiting) > free:
            self.dropped += APP_SERIES * len(unknown)
            ripe = [app for app in waiting if self._watched[app].looks > WATCH_LOOKS]
            ripe.sort(key=lambda app: (-self._watched[app].joules, app))
            waiting = set(ripe[: max(free, 0)])
        for app in waiting:
            self._name(app)
