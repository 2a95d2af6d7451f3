"""Sleep: a knob of connections only, with two levels that have words."""

from pathlib import Path

from click.testing import CliRunner

from actuator.bench import Bench
from actuator.builders import loaded
from actuator.stands import STANDS
from wattgov_actuator.cli import main
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob

RULES = """\
version: 1
knobs:
  - knob: hibernate
    backend: freezer
    name: agents
    group: /system.slice/agents.service
groups:
  - name: agents
    rules:
      - action: rest
        expr: idle > 600
        knob: hibernate
        set: asleep
"""


def test_a_rule_says_asleep_in_words(tmp_path: Path) -> None:
    """The range is from asleep to awake, unless the rule says otherwise."""
    rules = loaded(tmp_path / "rules.yml", RULES)
    (way,), bounds = rules.connections, rules.groups[0].rules[0].bounds

    assert (way.labels, way.timeout_seconds) == ({"app": "agents"}, 10.0)
    assert ("level", 0.0) == (bounds.low.unit, bounds.low.value)


def test_there_is_nothing_between_asleep_and_awake(tmp_path: Path) -> None:
    """What is written half way is one or the other, and reads back as such."""
    with STANDS["hibernate/freezer"].served() as stand:
        stand.plant(tmp_path)
        bench = Bench(tmp_path, stand.name, lambda: stand.open(tmp_path))
        done = [bench.act(each) for each in (0.4, 0.6)]
        bench.close()

    assert [(Reason.APPLIED, 0.0), (Reason.APPLIED, 1.0)] == [
        (each.reason, each.read_back) for each in done
    ]


def test_without_an_entry_nothing_sleeps() -> None:
    """There is no server that could be meant."""
    assert "under `knobs`" in open_knob("hibernate").probe().note


def test_the_example_in_the_docs_is_accepted() -> None:
    """A policy, an entry for the server, and a rule."""
    example = Path(__file__).parents[3] / "docs" / "hibernation.yml"
    result = CliRunner().invoke(main, ["check", str(example)])

    assert (0, "") == (result.exit_code, result.stderr)
