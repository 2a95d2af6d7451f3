"""The real Alertmanager, with a login, tells the service of an alert."""

import json
import subprocess
from http.client import HTTPConnection
from pathlib import Path

import bcrypt
import pytest
import yaml

from actuator.builders import group, rule
from actuator.fakes import FileKnob
from actuator.serving import Acting, serving
from actuator.stage import Stage
from wattgov_actuator.rules import RuleSet
from wattgov_stack.layout import free_ports

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
SLOW = RuleSet((group(rule("trim", "quiet"), interval_seconds=600),))


def snippet(port: int, password_file: Path) -> dict[str, object]:
    """Return the receiver that the documentation shows, for our port and password."""
    text = DOCS.read_text().partition("# alertmanager.yml\n")[2].partition("```")[0]
    config: dict[str, object] = yaml.safe_load(
        text.replace("node:9471", f"127.0.0.1:{port}")
        .replace("https://", "http://")
        .replace("/etc/alertmanager/secrets/wattgov", str(password_file))
    )
    return config


def call(port: int, path: str, body: object = None) -> int:
    """Return the status of Alertmanager's answer, 0 while it does not listen."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


@pytest.mark.e2e
def test_alertmanager_has_the_rule_of_an_alert_looked_at(
    each_alertmanager: str, tmp_path: Path, knob: FileKnob
) -> None:
    """By the receiver of the documentation: its group is asked long before its interval is over."""
    hashed = bcrypt.hashpw(b"a password", bcrypt.gensalt(4)).decode()
    web, password = tmp_path / "web.yml", tmp_path / "password"
    web.write_text(f"basic_auth_users:\n  alertmanager: {hashed}\n")
    password.write_text("a password")
    with (
        Acting(lambda: Stage(tmp_path, SLOW, knob)) as acting,
        serving(
            lambda: acting.stage.governor.snapshot, acting.stage.folder, acting.orders, web
        ) as client,
    ):
        acting.stage.clock.advance(2)
        port, ticks = free_ports().alertmanager, acting.stage.governor.snapshot.ticks
        route = {"receiver": "actuator", "group_wait": "0s"}
        config = {**snippet(client.port, password), "route": route}
        (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
        arguments = [
            f"--config.file={tmp_path / 'alertmanager.yml'}",
            f"--storage.path={tmp_path}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        with (
            (tmp_path / "log").open("w") as log,
            subprocess.Popen([each_alertmanager, *arguments], stdout=log, stderr=log) as process,
        ):
            try:
                acting.until(lambda: call(port, "/-/ready") == 200)
                labels = {"alertname": "GpuQuiet", "wattgov_rules": "trim"}
                assert 200 == call(port, "/api/v2/alerts", [{"labels": labels}])
                acting.ticked(ticks + 1)
            finally:
                process.terminate()
        assert set(acting.stage.asked[0]) <= set(acting.stage.asked[-1])
