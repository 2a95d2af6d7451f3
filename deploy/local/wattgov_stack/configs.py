"""Write the servers' configurations from rules/ and alerting/."""

import shutil
import stat
from pathlib import Path
from typing import Any

import yaml

from wattgov_stack.layout import LOOPBACK, Layout


def write(layout: Layout) -> None:
    """Write everything that the servers read into the state folder."""
    for folder in ("prometheus", "alertmanager", "actuator", "targets", "logs"):
        (layout.state / folder).mkdir(parents=True, exist_ok=True)
    _dump(layout.state / "prometheus.yml", prometheus(layout))
    shipped = (layout.alerting / "alertmanager.yml").read_text(encoding="utf-8")
    _dump(layout.state / "alertmanager.yml", alertmanager(yaml.safe_load(shipped), layout))


def prometheus(layout: Layout) -> dict[str, Any]:
    """Return the Prometheus configuration."""
    ports = layout.ports
    every = f"{layout.scrape_seconds}s"
    return {
        "global": {
            "scrape_interval": every,
            "scrape_timeout": every,
            "evaluation_interval": every,
        },
        "rule_files": [
            str(layout.recording_rules.resolve() / "*.yml"),
            str(layout.alerting.resolve() / "rules" / "*.yml"),
        ],
        "alerting": {
            "alertmanagers": [
                {"static_configs": [{"targets": [f"{LOOPBACK}:{ports.alertmanager}"]}]}
            ]
        },
        "scrape_configs": [
            _job("wattgov-exporter", ports.exporter),
            _job("wattgov-actuator", ports.actuator),
            # The first app a newcomer sees is Prometheus: its own HTTP metrics in the usual names.
            _job("prometheus", ports.prometheus)
            | {
                "metric_relabel_configs": [
                    {
                        "source_labels": ["__name__"],
                        "regex": "prometheus_(http_request_duration_seconds_.+)",
                        "target_label": "__name__",
                        "replacement": "$1",
                    }
                ]
            },
            # A file dropped here is scraped at once; give each app its label `app`.
            {
                "job_name": "apps",
                "file_sd_configs": [{"files": [str(layout.state.resolve() / "targets" / "*.yml")]}],
            },
        ],
    }


def alertmanager(shipped: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """Return the shipped configuration with its webhooks turned to this stack's own receiver."""
    config = dict(shipped)
    for receiver in config["receivers"]:
        for webhook in receiver.get("webhook_configs", ()):
            webhook["url"] = f"{layout.ports.url('alerts')}/alerts"
    if "templates" in config:
        config["templates"] = [str(layout.alerting.resolve() / one) for one in config["templates"]]
    return config


def trusted(rules: Path, state: Path) -> Path:
    """Return a rule file that nobody else can write, as the actuator demands.

    A checkout made under umask 002 is group-writable; the copy in the state folder is not.
    """
    if not rules.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return rules
    copy = state / "rules" / rules.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(rules, copy)
    copy.chmod(0o644)
    return copy


def target(layout: Layout, app: str, address: str) -> None:
    """Have one app's metrics scraped; Prometheus notices the file by itself."""
    path = layout.state / "targets" / f"{app}.yml"
    _dump(path, [{"targets": [address], "labels": {"app": app}}])


def _job(name: str, port: int) -> dict[str, Any]:
    return {
        "job_name": name,
        "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}],
    }


def _dump(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
