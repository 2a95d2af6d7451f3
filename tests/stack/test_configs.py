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
