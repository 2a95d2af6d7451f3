"""Few names, exact sums: folding moves joules and never loses, invents or takes back any."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant import MACHINES
from wattgov_exporter.apps.workloads import OTHER
from wattgov_exporter.attribution import UNATTRIBUTED
from wattgov_exporter.config import Budget
from wattgov_exporter.folding import (
    APP_SERIES,
    DEAD_SECONDS,
    REVIEW_LOOKS,
    WATCH_LOOKS,
    Folding,
    names_for,
    other_series,
)
from wattgov_exporter.reading import Component

DECLARED = ("chat", "web")
APPS = (*DECLARED, *"abcdefgh")
KEEP = {OTHER, UNATTRIBUTED}

Key = tuple[str, Component, str]


@dataclass
class Node:
    """Totals that grow and are folded, as the collector does it."""

    folding: Folding
    now: float = 0.0
    joules: dict[Key, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def step(self, processes: Mapping[str, int], used: Mapping[str, float]) -> None:
        """Let the apps use joules, half of them idle, and as many CPU-seconds; fold."""
        for app, amount in used.items():
            for share in ("active", "idle"):
                key = (app, Component.CPU, share)
                self.joules[key] = self.joules.get(key, 0.0) + amount
            self.seconds[app] = self.seconds.get(app, 0.0) + amount
        self.folding.settle(self.now, processes, self.joules)
        self.folding.fold(self.seconds)

    def names(self) -> set[str]:
        """Return the names that are published."""
        return {app for app, _, _ in self.joules} | self.seconds.keys()

    def active(self, app: str) -> float:
        """Return an app's active joules."""
        return self.joules[app, Component.CPU, "active"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 10.0, DEAD_SECONDS / 2, 2 * DEAD_SECONDS]),
        st.dictionaries(st.sampled_from(APPS), st.integers(0, 3)),
        st.lists(st.floats(0, 1e6), min_size=len(APPS), max_size=len(APPS)),
        st.integers(0, 2 * WATCH_LOOKS),
    ),
    max_size=20,
)


@given(steps=STEPS, limit=st.integers(1, 6))
def test_sums_stay_and_nothing_falls(
    steps: list[tuple[float, dict[str, int], list[float], int]], limit: int
) -> None:
    """At every step: what was used is there, no series fell, names are few, kept or given away."""
    node = Node(Folding(DECLARED, limit))
    used = 0.0
    seen: dict[str, float] = {}
    for seconds, processes, amounts, looks in steps:
        for look in range(1 + looks):
            node.now += seconds if look == 0 else 1.0
            before, times, named = dict(node.joules), dict(node.seconds), node.names()
            now_used = {
                app: amount
                for app, amount in zip(APPS, amounts, strict=True)
                if processes.get(app) or app in DECLARED
            } | {OTHER: 1.0, UNATTRIBUTED: 2.0}
            seen.update({app: node.now for app, count in processes.items() if count})

            node.step(processes, now_used)

            used += sum(now_used.values())
            assert math.isclose(2 * used, math.fsum(node.joules.values()), rel_tol=1e-12)
            assert math.isclose(used, math.fsum(node.seconds.values()), rel_tol=1e-12)
            assert all(node.joules[key] >= before[key] for key in before.keys() & node.joules)
            assert all(node.seconds[app] >= times[app] for app in times.keys() & node.seconds)
            assert len(node.names() - KEEP) <= max(limit, len(DECLARED))
            assert KEEP | set(DECLARED) <= node.names()
            ended = {app for app in named - node.names() if node.now - seen[app] <= DEAD_SECONDS}
            assert len(ended) <= len(node.names() - named)


def test_the_greatest_have_names() -> None:
    """With too few names for all, those that used the most while they were watched get them."""
    node = Node(Folding((), limit=2))
    used = {"a": 1.0, "b": 5.0, "c": 3.0, "d": 0.0}

    for _ in range(2 * WATCH_LOOKS):
        node.step(dict.fromkeys(used, 1), used)

    assert {"b", "c", OTHER} == node.names()
    assert 2 * WATCH_LOOKS * 9.0 == sum(node.active(app) for app in node.names())


def test_a_great_one_that_comes_later_takes_the_name_of_a_small_one() -> None:
    """Small daemons that were first do not keep the names for ever; equals do not take turns."""
    node = Node(Folding((), limit=3))
    used = {"a": 0.1, "b": 8.0, "c": 5.0}
    node.step(dict.fromkeys(used, 1), used)
    used |= {"d": 6.0, "e": 5.0}
    seen = set()

    for _ in range(4 * REVIEW_LOOKS):
        before = dict(node.joules)
        node.step(dict.fromkeys(used, 1), used)
        seen.add(frozenset(node.names()))
        assert all(node.joules[key] >= before[key] for key in before.keys() & node.joules)

    assert {frozenset({*"abc", OTHER}), frozenset({*"bcd", OTHER})} == seen
    total = 4 * REVIEW_LOOKS * sum(used.values()) + 13.1
    assert pytest.approx(total) == sum(node.active(app) for app in node.names())


def test_names_enough_for_all() -> None:
    """Every app has its name from its first joule."""
    node = Node(Folding(DECLARED, limit=4))

    node.step({"chat": 1, "a": 1, "b": 1}, {"chat": 1.0, "a": 2.0, "b": 3.0})

    assert {"chat", "a", "b"} == node.names()
    assert 2.0 == node.active("a")


def test_the_dead_are_folded_for_good() -> None:
    """An app's joules go to `_other` when it is dead; come back, it starts anew."""
    node = Node(Folding((), limit=2))
    node.step({"a": 1}, {"a": 7.0})
    node.now += DEAD_SECONDS
    node.step({}, {})
    assert {"a"} == node.names()
    node.now += 1

    node.step({}, {})

    assert {OTHER} == node.names()
    assert 7.0 == node.active(OTHER)
    node.step({"a": 1}, {"a": 1.0})
    assert (1.0, 7.0) == (node.active("a"), node.active(OTHER))


def test_totals_go_on_after_a_restart() -> None:
    """Names that were published before are kept, while their apps have time to come back."""
    node = Node(Folding((), limit=1))
    node.folding.restore(["a", OTHER])
    node.joules = {("a", Component.CPU, "active"): 50.0}

    node.step({"b": 1}, {"b": 1.0})

    assert 50.0 == node.active("a")
    assert 1.0 == node.active(OTHER)


def test_a_declaration_that_is_taken_back() -> None:
    """Its app keeps its name until it is dead."""
    folding = Folding(("chat",), limit=1)
    node = Node(folding)
    node.step({"chat": 1}, {"chat": 5.0})

    folding.reconfigure((), limit=1)
    node.step({}, {})

    assert 5.0 == node.active("chat")
    node.now += 2 * DEAD_SECONDS
    node.step({}, {})
    assert {OTHER} == node.names()


def test_other_figures_are_folded_in_their_own_way() -> None:
    """Counts add up; of moments the last stands."""
    folding = Folding(("chat",), limit=1)
    processes = {"chat": 1, "a": 2, "b": 3, OTHER: 4}
    active = {"chat": 1.0, "a": 5.0, "b": 9.0}

    folding.fold(processes)
    folding.fold(active, max)

    assert {"chat": 1, OTHER: 9} == processes
    assert {"chat": 1.0, OTHER: 9.0} == active


def test_a_budget_of_series() -> None:
    """Fewer apps have names where all series would otherwise be more; none without room."""
    assert 100 == names_for(Budget(apps=100), other_series=5000)
    assert 20 == names_for(Budget(apps=100, series=500), other_series=170)
    assert 100 == names_for(Budget(apps=100, series=5000), other_series=170)
    assert 0 == names_for(Budget(apps=100, series=500), other_series=5000)


@pytest.mark.parametrize("page", sorted(MACHINES.glob("*.metrics")), ids=lambda page: page.stem)
def test_series_that_are_no_apps(page: Path) -> None:
    """What recorded machines show stays within the bounds that the budget counts with."""
    rows = [line for line in page.read_text().splitlines() if not line.startswith("#")]
    gpus = {row.split('uuid="')[1].split('"')[0] for row in rows if 'uuid="' in row}
    meters = [row for row in rows if "_energy_joules_total{" in row and "app=" not in row]
    sources = {row.split('source="')[1].split('"')[0] for row in rows if 'source="' in row}
    apps = Counter(row.split('app="')[1].split('"')[0] for row in rows if 'app="' in row)

    assert sum("app=" not in row for row in rows) <= other_series(
        len(meters), len(gpus), len(sources)
    )
    assert max(apps.values()) <= APP_SERIES


def test_apps_without_a_name_are_counted() -> None:
    """Once for each app that had to wait, by the series that it would have had."""
    node = Node(Folding((), limit=1))
    for _ in range(3):
        node.step({"a": 1}, {"a": 1.0})
    assert 0 == node.folding.dropped
    for _ in range(3):
        node.step(dict.fromkeys("abc", 1), dict.fromkeys("abc", 1.0))

    assert 2 * APP_SERIES == node.folding.dropped
