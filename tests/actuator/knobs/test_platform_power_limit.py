"""The limit of a whole machine: of connections only."""

from pathlib import Path

from actuator.builders import loaded
from wattgov_actuator.knobs import open_knob

RULES = """\
version: 1
knobs:
  - knob: platform_power_limit
    backend: redfish
    name: rack-3
    labels: {instance: "rack-3:9469"}
    url: https://10.0.0.3
    username: wattgov
    password_file: /etc/wattgov/bmc
groups:
  - name: racks
    rules:
      - action: trim
        expr: node_platform_power_watts > 700
        knob: platform_power_limit
        step: -50W
        min: 300W
"""


def test_a_rule_file_names_the_machine_and_how_it_is_reached(tmp_path: Path) -> None:
    """In watts; the password is where the file says, and not in what the journal keeps."""
    rules = loaded(tmp_path / "rules.yml", RULES)
    (way,) = rules.connections

    assert (way.labels, way.timeout_seconds) == ({"instance": "rack-3:9469"}, 10.0)
    assert '"password_file": "/etc/wattgov/bmc"' in str(way)
    assert rules.groups[0].rules[0].bounds.low.unit == "watts"


def test_without_an_entry_nothing_is_limited() -> None:
    """There is no BMC that could be meant."""
    assert "under `knobs`" in open_knob("platform_power_limit").probe().note
