"""The alerts explain themselves, and Alertmanager does with them what its configuration says."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels import with_channels
from wattgov_actuator.cli import main as actuator
from wattgov_exporter.cli import main as exporter

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


@pytest.mark.parametrize(
    ("severity", "receiver"),
    [("critical", "on-call"), ("warning", "team"), ("info", "team"), ("none", "heartbeat")],
)
def test_every_severity_has_a_receiver(amtool: str, severity: str, receiver: str) -> None:
    """Critical wakes, warning and info go to the team, the dead man's switch to the heartbeat."""
    routed = ask(
        amtool, "config", "routes", "test", "--config.file", CONFIG, f"severity={severity}"
    )

    assert receiver == routed.splitlines()[0]


@pytest.mark.parametrize("kind", ["slack", "email", "pagerduty", "discord"])
def test_each_channel_alone_is_a_valid_configuration(
    amtool: str, tmp_path: Path, kind: str
) -> None:
    """Without the comment signs of one channel, and without the webhook, amtool is content."""
    config = tmp_path / "alertmanager.yml"
    config.write_text(with_channels(CONFIG.read_text(), {kind}))
    (tmp_path / "templates").symlink_to(ALERTING / "templates")

    ask(amtool, "check-config", config)

    assert "webhook_configs:\n      -" not in config.read_text()
    assert f"    {kind}_configs:\n" in config.read_text()


def test_every_channel_of_the_configuration_is_well_formed() -> None:
    """All blocks together are YAML: those too that Alertmanager 0.25 does not know yet."""
    kinds = {"slack", "email", "pagerduty", "msteamsv2", "discord", "webhook"}

    receivers = yaml.safe_load(with_channels(CONFIG.read_text(), kinds))["receivers"]

    found = set().union(*receivers) - {"name"}
    assert {f"{kind}_configs" for kind in kinds} == found


def test_no_secret_stands_in_the_configuration() -> None:
    """What the four channels need in secret is read from files."""
    text = with_channels(CONFIG.read_text(), {"slack", "email", "pagerduty", "msteamsv2"})

    assert [] == re.findall(r"\b(?:api_url|routing_key|auth_password|webhook_url): .*", text)
    assert {"slack", "smtp", "pagerduty", "teams"} == set(re.findall(r"secrets/(\w+)", text))


def test_every_inhibition_names_alerts_that_exist() -> None:
    """No rule mutes or is muted by an alert that nobody raises."""
    names = {alert["alert"] for alert in alerts()}
    matchers = [
        matcher
        for rule in yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
        if matcher.startswith("alertname")
    ]
    patterns = [re.sub(r"^alertname =~? |\"", "", matcher) for matcher in matchers]

    for pattern in patterns:
        assert any(re.fullmatch(pattern, name) for name in names), pattern


def test_every_alert_says_what_to_do() -> None:
    """An alert has a severity, a delay, a summary, a description and its link into the runbook."""
    for alert in alerts():
        notes = alert["annotations"]

        assert alert["labels"]["severity"] in {"critical", "warning", "info", "none"}
        assert alert["for"], alert["alert"]
        assert {"summary", "description", "runbook_url"} == set(notes) - {"cost", "actuator"}
        assert f"{RUNBOOK}#{alert['alert'].lower()}" == notes["runbook_url"]


def test_the_runbook_has_a_section_for_every_alert_and_no_other() -> None:
    """Every link of an alert leads to a heading, and every heading to an alert."""
    headings = re.findall(r"^## (\w+)$", (ALERTING / "runbook.md").read_text(), re.MULTILINE)

    assert sorted({alert["alert"] for alert in alerts()}) == sorted(headings)


def test_every_section_of_the_runbook_says_what_to_look_at_and_how_to_silence() -> None:
    """A section has a query or a command to look with, what to do, and its own silence."""
    _, *sections = re.split(r"^## ", (ALERTING / "runbook.md").read_text(), flags=re.MULTILINE)

    for section in sections:
        name = section.splitlines()[0]
        look = re.search(r"^- \*\*Look\*\*(?: .*\n)((?:  .*\n)*)", section, re.MULTILINE)
        assert look, name
        assert "`" in look[0], name
        assert "\n- **Do**: " in section, name
        assert f"`amtool silence add alertname={name}" in section


def test_the_runbook_names_commands_that_exist() -> None:
    """What the runbook and the alerts tell to run is a command of ours."""
    text = (ALERTING / "runbook.md").read_text() + "".join(
        file.read_text() for file in (ALERTING / "rules").glob("*.yml")
    )

    for package, main in (("actuator", actuator), ("exporter", exporter)):
        told = set(re.findall(rf"`wattgov-{package} ([a-z]+)", text))
        assert set() == told - set(main.commands)


def test_every_alert_is_seen_silent_firing_and_over() -> None:
    """One unit test has each alert silent, then firing with its text, then silent again."""
    files = sorted((TESTS / "rules").glob("alerts-*.test.yml"))
    tests = chain.from_iterable(yaml.safe_load(file.read_text())["tests"] for file in files)
    seen = {
        name
        for test in tests
        for name in {case["alertname"] for case in test["alert_rule_test"]}
        if comes_and_goes([one for one in test["alert_rule_test"] if one["alertname"] == name])
    }

    assert {alert["alert"] for alert in alerts()} == seen | {"DeadMansSwitch"}  # it never ends


def comes_and_goes(cases: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether an alert is silent, fires later, and is silent still later."""
    states = [
        bool(case["exp_alerts"])
        for case in sorted(cases, key=lambda one: seconds(one["eval_time"]))
    ]
    return True in states and not states[0] and not states[-1]


def seconds(duration: str) -> int:
    """Return a Prometheus duration in seconds."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([dhms])", duration))


@pytest.mark.parametrize(
    "file", sorted((ALERTING / "rules").glob("*.yml")), ids=lambda one: one.name
)
def test_vmalert_takes_the_alerts(tmp_path: Path, file: Path) -> None:
    """Debian's vmalert (1.79) takes all but keep_firing_for, which it is too old for."""
    program = shutil.which("vmalert")
    if program is None:
        pytest.skip("vmalert is not installed (Debian: apt-get install victoria-metrics)")
    rules = tmp_path / file.name
    rules.write_text(re.sub(r"(?m)^ +keep_firing_for: .*\n", "", file.read_text()))

    ask(program, "-dryRun", f"-rule={rules}")


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
    """A cause mutes what follows from it at its own place, and critical the warning of its name."""
    fired = [
        {"alertname": "EnergyExporterDown", "instance": "a", "severity": "warning"},
        {"alertname": "EnergyBooksOpen", "instance": "a", "severity": "critical"},
        {"alertname": "EnergyBooksOpen", "instance": "b", "severity": "critical"},
        {"alertname": "JoulesPerRequestAboveTarget", "app": "chat", "severity": "warning"},
        {"alertname": "ActuatorDown", "instance": "a", "severity": "critical"},
        {"alertname": "ActuatorDown", "instance": "a", "severity": "warning"},
        {"alertname": "ActuatorDown", "instance": "b", "severity": "warning"},
        {"alertname": "ActuatorBlind", "instance": "a", "severity": "warning"},
        {"alertname": "GpuThermalCritical", "instance": "b", "gpu": "0", "severity": "critical"},
        {"alertname": "GpuThrottling", "instance": "b", "gpu": "0", "severity": "warning"},
        {"alertname": "GpuThrottling", "instance": "b", "gpu": "1", "severity": "warning"},
        {"alertname": "SlaBreach", "app": "search", "severity": "critical"},
        {"alertname": "JoulesPerRequestAboveTarget", "app": "search", "severity": "warning"},
        {
            "alertname": "CostBudgetBurnFast",
            "period": "month",
            "currency": "EUR",
            "severity": "critical",
        },
        {
            "alertname": "CostBudgetBurnSlow",
            "period": "month",
            "currency": "EUR",
            "severity": "warning",
        },
        {
            "alertname": "CostBudgetBurnSlow",
            "period": "day",
            "currency": "EUR",
            "severity": "warning",
        },
    ]

    call(port, "POST", "/api/v2/alerts", [{"labels": labels} for labels in fired])

    muted = {
        ("EnergyBooksOpen", "a", "critical"),
        ("ActuatorDown", "a", "warning"),
        ("ActuatorBlind", "a", "warning"),
        ("GpuThrottling", "0", "b", "warning"),
        ("JoulesPerRequestAboveTarget", "search", "warning"),
        ("CostBudgetBurnSlow", "EUR", "month", "warning"),
    }
    until(lambda: muted == suppressed(port))
