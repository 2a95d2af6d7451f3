"""The alerts explain themselves, and Alertmanager does with them what its configuration says."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

TESTS = Path(__file__).parent
ALERTING = TESTS.parent / "alerting"
CONFIG = ALERTING / "alertmanager.yml"
RUNBOOK = "https://github.com/wattgov/wattgov/blob/main/alerting/runbook.md"


def alerts() -> list[dict[str, Any]]:
    """Return every alert rule."""
    files = sorted((ALERTING / "rules").glob("*.yml"))
    groups = chain.from_iterable(yaml.safe_load(file.read_text())["groups"] for file in files)
    return list(chain.from_iterable(group["rules"] for group in groups))


def ask(program: str, *arguments: str | Path) -> str:
    """Run amtool; fail with what it says."""
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_takes_the_configuration(amtool: str) -> None:
    """The real amtool finds no mistake."""
    ask(amtool, "check-config", CONFIG)


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_every_severity_has_a_receiver(amtool: str, severity: str) -> None:
    """Alerts of either severity are routed to the webhook."""
    routed = ask(
        amtool, "config", "routes", "test", "--config.file", CONFIG, f"severity={severity}"
    )

    assert "webhook" == routed.splitlines()[0]


def test_every_alert_says_what_to_do() -> None:
    """An alert has a severity, a delay, a summary, a description and its link into the runbook."""
    for alert in alerts():
        notes = alert["annotations"]

        assert alert["labels"]["severity"] in {"critical", "warning"}, alert["alert"]
        assert alert["for"], alert["alert"]
        assert {"summary", "description", "runbook_url"} == set(notes), alert["alert"]
        assert f"{RUNBOOK}#{alert['alert'].lower()}" == notes["runbook_url"]


def test_the_runbook_has_a_section_for_every_alert_and_no_other() -> None:
    """Every link of an alert leads to a heading, and every heading to an alert."""
    headings = re.findall(r"^## (\w+)$", (ALERTING / "runbook.md").read_text(), re.MULTILINE)

    assert sorted({alert["alert"] for alert in alerts()}) == sorted(headings)


def test_every_alert_is_seen_firing_and_silent() -> None:
    """A unit test expects the text of each alert, and a silence of it or of all alerts."""
    files = sorted((TESTS / "rules").glob("alerts-*.test.yml"))
    tests = chain.from_iterable(yaml.safe_load(file.read_text())["tests"] for file in files)
    fired = {
        case["alertname"]
        for test in tests
        if any(one["exp_samples"] == [] for one in test["promql_expr_test"])
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }

    assert {alert["alert"] for alert in alerts()} == fired


def test_a_lost_actuator_tells_how_to_restore() -> None:
    """The critical ActuatorDown names the command that takes back what the actuator changed."""
    (critical,) = (
        alert
        for alert in alerts()
        if alert["alert"] == "ActuatorDown" and alert["labels"]["severity"] == "critical"
    )

    assert "`wattgov-actuator restore`" in critical["annotations"]["description"]


def call(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """Return Alertmanager's status and body; OSError while it does not listen."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def ready(port: int) -> bool:
    """Tell whether Alertmanager serves."""
    try:
        return call(port, "GET", "/-/ready")[0] == 200
    except OSError:
        return False


def suppressed(port: int) -> set[tuple[str, ...]]:
    """Return the alerts that are muted, each as its label values in the order of the names."""
    alerts = json.loads(call(port, "GET", "/api/v2/alerts?active=false")[1])
    return {tuple(one["labels"][name] for name in sorted(one["labels"])) for one in alerts}


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Poll until *true* returns true; fail after *seconds*."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def port(alertmanager: str, tmp_path: Path) -> Iterator[int]:
    """Run the real Alertmanager on our configuration, its webhook leading nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    config = tmp_path / "alertmanager.yml"
    config.write_text(CONFIG.read_text().replace("127.0.0.1:9473", "127.0.0.1:1"))
    arguments = [
        f"--config.file={config}",
        f"--storage.path={tmp_path}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen([alertmanager, *arguments], stdout=log, stderr=log) as process,
    ):
        try:
            until(lambda: ready(port))
            yield port
        finally:
            process.terminate()


@pytest.mark.e2e
def test_an_alert_mutes_what_it_explains(port: int) -> None:
    """A lost exporter mutes its node's books; critical mutes the warning of its name and place."""
    fired = [
        {"alertname": "EnergyExporterDown", "instance": "a", "severity": "warning"},
        {"alertname": "EnergyBooksOpen", "instance": "a", "severity": "critical"},
        {"alertname": "EnergyBooksOpen", "instance": "b", "severity": "critical"},
        {"alertname": "JoulesPerRequestAboveTarget", "app": "chat", "severity": "warning"},
        {"alertname": "ActuatorDown", "instance": "a", "severity": "critical"},
        {"alertname": "ActuatorDown", "instance": "a", "severity": "warning"},
        {"alertname": "ActuatorDown", "instance": "b", "severity": "warning"},
    ]

    call(port, "POST", "/api/v2/alerts", [{"labels": labels} for labels in fired])

    muted = {("EnergyBooksOpen", "a", "critical"), ("ActuatorDown", "a", "warning")}
    until(lambda: muted == suppressed(port))
