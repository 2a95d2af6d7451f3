"""Batch work: a knob of two levels, which a rule names by words."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.builders import answer, loaded
from actuator.stands import STANDS, Stand
from wattgov_actuator.decision import Reason
from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.laws.threshold import Set
from wattgov_actuator.naming import named
from wattgov_actuator.reading import Target

RULES = """
version: 1
knobs:
  - {{knob: batch_jobs, backend: kubernetes, name: nightly, namespace: shop{more}}}
groups:
  - name: green
    rules:
      - action: wait-for-green
        expr: >-
          label_replace(max(grid_carbon_intensity_grams_per_kilowatthour) > 300,
          "app", "nightly", "", "")
        class: carbon
        knob: batch_jobs
        set: {level}
"""


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """Return its cluster."""
    with STANDS["batch_jobs/kubernetes"].served() as found:
        found.plant(tmp_path)
        yield found


def test_it_is_paused_and_let_go(stand: Stand, tmp_path: Path) -> None:
    """By whoever comes after a crash, too."""
    bench = Bench(tmp_path, stand.name, lambda: stand.open(tmp_path))
    assert (1.0, Reason.APPLIED) == (bench.observe().current, bench.act(0.0).reason)
    bench.restart()
    assert (0.0, 1.0) == (bench.observe().current, bench.observe().prior)
    bench.writer.restore()

    assert ((), 1.0) == (bench.journal.undos(), bench.observe().current)
    bench.close()


def test_a_rule_says_paused(tmp_path: Path) -> None:
    """Words, not numbers; which and whether Jobs, too, is the entry's."""
    rules = loaded(tmp_path / "r.yml", RULES.format(level="paused", more=", jobs: true"))
    (rule,) = rules.groups[0].rules

    assert isinstance(rule.law, Set)
    assert (0.0, True) == (rule.law.value.value, rules.connections[0].settings["jobs"])


def test_the_grid_names_it_by_a_label_only() -> None:
    """A series of the grid is about nobody, however green; with the entry's name it is about it."""
    nightly = Target("batch_jobs", "nightly", {"app": "nightly"}, 0.0, 1.0, "level", 0.5)

    def of(labels: Mapping[str, str]) -> int:
        return named(answer((labels, 400.0)), nightly.labels).count([nightly])

    assert (0, 1) == (of({"zone": "FR", "source": "static"}), of({"app": "nightly"}))


@pytest.mark.parametrize(
    ("level", "more", "mistake"),
    [
        ("asleep", "", "unknown 'asleep'; known: paused, running"),
        ("paused", ", object: train", "unknown key 'object'"),
        ("paused", ", jobs: perhaps", "jobs must be true or false"),
    ],
)
def test_what_a_rule_may_not_say(tmp_path: Path, level: str, more: str, mistake: str) -> None:
    """A level of another knob, a key of another, a word for a flag."""
    with pytest.raises(Invalid, match=mistake):
        loaded(tmp_path / "rules.yml", RULES.format(level=level, more=more))
