"""What the stack writes for the servers is what the servers accept."""

import subprocess
from pathlib import Path

import pytest
import yaml

from wattgov_stack import configs
from wattgov_stack.layout import CHECKOUT, Layout, Ports


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return a layout whose files are written."""
    made = Layout(tmp_path, Ports(), tmp_path / "exporter.yml", ())
    configs.write(made)
    return made


def test_prometheus_accepts_it(layout: Layout, promtool: str) -> None:
    """Promtool checks the configuration together with every rule file it names."""
    done = subprocess.run(
        [promtool, "check", "config", str(layout.state / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    for rules in (CHECKOUT / "rules" / "recording").glob("*.yml"):
        assert f"Checking {rules}" in done.stdout


def test_alertmanager_accepts_it(layout: Layout, amtool: str) -> None:
    """Amtool accepts the shipped configuration with its webhook turned to the stack."""
    path = layout.state / "alertmanager.yml"
    done = subprocess.run([amtool, "check-config", str(path)], capture_output=True, check=False)

    assert 0 == done.returncode
    assert (
        "http://127.0.0.1:9473/alerts"
        == (yaml.safe_load(path.read_text())["receivers"][0]["webhook_configs"][0]["url"])
    )


def test_an_app_is_a_file(layout: Layout) -> None:
    """A scraped app carries the label by which its joules and its requests meet."""
    configs.target(layout, "web", "127.0.0.1:8000")

    assert [{"targets": ["127.0.0.1:8000"], "labels": {"app": "web"}}] == yaml.safe_load(
        (layout.state / "targets" / "web.yml").read_text()
    )


def test_rules_that_others_can_write_are_copied(tmp_path: Path) -> None:
    """A group-writable rule file is run from a copy that is not; any other is run as it is."""
    rules = tmp_path / "rules.yml"
    rules.write_text("version: 1\n")
    rules.chmod(0o644)
    assert rules == configs.trusted(rules, tmp_path / "state")
    rules.chmod(0o664)

    copy = configs.trusted(rules, tmp_path / "state")

    assert copy != rules
    assert 0o644 == copy.stat().st_mode & 0o777
    assert rules.read_text() == copy.read_text()
