"""exporter.yml: what it says is what is meant, and every mistake is told at once."""

from pathlib import Path

import pytest

from wattgov_exporter.config import (
    Budget,
    Budgets,
    Config,
    Embodied,
    Kubernetes,
    Redfish,
    Scrape,
)
from wattgov_exporter.configfile import load
from wattgov_web.mistakes import Invalid

NAMES = ("rapl", "nvml")

GOOD = """\
version: 1
interval: 500ms
policy: full
idle_watts: {cpu: 40}
site: {zone: FR, carbon_intensity: 56, pue: 1.2, price: 0.2, currency: EUR}
apps:
  - name: chat
    process: vllm
    objectives: {joules_per_request: 150, p95_latency: 200ms}
  - {name: web, command: 'gunicorn .*', unit: web.service, cgroup: /system.slice}
"""


def test_a_full_file(tmp_path: Path) -> None:
    """Units are converted, apps keep their order."""
    file = tmp_path / "exporter.yml"
    file.write_text(GOOD)

    config = load(file, NAMES)

    assert config.interval_seconds == 0.5
    assert config.idle_watts == {"cpu": 40.0}
    assert config.site.pue_ratio == 1.2
    assert ["chat", "web"] == [app.name for app in config.apps]
    assert config.apps[0].target_p95_latency_seconds == pytest.approx(0.2)


def test_where_sources_are(tmp_path: Path) -> None:
    """A BMC and another exporter are named with what it takes to reach them."""
    file = tmp_path / "exporter.yml"
    file.write_text(
        "version: 1\nsources:\n  off: [nvml]\n  redfish: {url: 'https://bmc/', interval: 30s}\n"
        "  scrape: [{url: 'http://127.0.0.1:9400', kind: dcgm}]\n"
    )

    sources = load(file, NAMES).sources

    assert ("nvml",) == sources.off
    assert Redfish("https://bmc", interval_seconds=30.0) == sources.redfish
    assert (Scrape("http://127.0.0.1:9400", "dcgm"),) == sources.scrape


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:10255", "http://[::1]:10255", "http://localhost", "https://node-1"]
)
def test_who_names_the_pods(tmp_path: Path, url: str) -> None:
    """The kubelet, over TLS or on this machine."""
    file = tmp_path / "exporter.yml"
    file.write_text(
        f"version: 1\nsources: {{kubernetes: {{kubelet: '{url}', token_file: /token}}}}\n"
    )

    assert (
        Kubernetes(kubelet=url, token_file=Path("/token")) == load(file, NAMES).sources.kubernetes
    )


def test_automatic_names(tmp_path: Path) -> None:
    """What no app claims may be named by what it runs in, up to a number of names."""
    file = tmp_path / "exporter.yml"
    file.write_text(
        "version: 1\napps_by: [pod, unit]\nbudget: {apps: 20, series: 900, label_length: 64}\n"
    )

    config = load(file, NAMES)

    assert ("pod", "unit") == config.apps_by
    assert Budget(apps=20, series=900, label_length=64) == config.budget


def test_budgets_and_what_making_the_machine_took(tmp_path: Path) -> None:
    """Energy is joules inside, carbon grams, a lifetime seconds; money stays money."""
    file = tmp_path / "exporter.yml"
    file.write_text(
        "version: 1\n"
        "site:\n"
        "  budgets:\n"
        "    energy: {day: 480kWh, month: 14.4MWh}\n"
        "    carbon: {month: 0.9t}\n"
        "    cost: {day: 120}\n"
        "embodied: {carbon: 1300kg, lifetime: 4y}\n"
    )

    config = load(file, NAMES)

    assert config.site.budgets == Budgets(
        energy_joules={"day": 1.728e9, "month": 5.184e10},
        carbon_grams={"month": 9e5},
        electricity_cost={"day": 120.0},
    )
    assert Embodied(1.3e6, 126230400.0) == config.embodied


def test_the_shortest_file(tmp_path: Path) -> None:
    """Only the version is required; all else has a default."""
    file = tmp_path / "exporter.yml"
    file.write_text("version: 1\n")

    assert Config() == load(file, NAMES)


BAD = {
    "version: 1\nintervall: 1s\n": "2:1: unknown key 'intervall'; did you mean 'interval'?",
    "version: 1\ninterval: 20W\n": "2:11: interval: expected a duration such as 1s or 200ms, "
    "found '20W'",
    "version: 1\ninterval: 1ms\n": "2:11: interval: 1ms is outside 0.1s to 60s",
    "version: 1\npolicy: fair\n": "2:9: policy: expected capacity or dynamic or full, found 'fair'",
    "version: 2\n": "1:10: version: expected 1, found '2'",
    "interval: 1s\n": "1:1: key 'version' is missing",
    "version: 1\nsite: {pue: 0.5}\n": "2:13: pue: 0.5 is outside 1 to 10 (a ratio)",
    "version: 1\nsite: {pue: nan}\n": "2:13: pue: nan is outside 1 to 10 (a ratio)",
    "version: 1\napps: {name: x}\n": "2:7: apps: expected a list of apps",
    "version: 1\napps:\n  - name: _mine\n    process: x\n": "3:11: name: '_mine' cannot name an "
    "app: letters, digits, . _ : / -, no leading _",
    "version: 1\napps:\n  - name: a\n": "3:5: app 'a' fits no process: give process, command, "
    "cgroup or unit",
    "version: 1\napps:\n  - {name: a, command: '('}\n": "3:24: command: not a regular expression: "
    "missing ), unterminated subpattern at position 0",
    "version: 1\ninterval: 1s\ninterval: 2s\n": "3:1: key 'interval' stands twice",
    "version: 1\nsources: {off: [rapl, dcgm]}\n": "2:23: expected rapl or nvml, found 'dcgm'",
    "version: 1\nsources: {redfish: {username: a}}\n": "2:20: key 'url' is missing",
    "version: 1\nsources: {redfish: {url: 'https://me:secret@bmc'}}\n": "2:26: url: expected a URL "
    "such as https://bmc.example, with no user or password in it",
    "version: 1\nsources: {ipmi: {port: 70000}}\n": "2:24: port: 70000 is outside 1 to 65535 "
    "(a port)",
    "version: 1\napps_by: [pods]\n": "2:11: expected pod or container or unit or slurm or command, "
    "found 'pods'",
    "version: 1\nbudget: {apps: 0}\n": "2:16: apps: 0 is outside 1 to 10000 (apps)",
    "version: [\n": "2:1: not YAML: expected the node content, but found '<stream end>'",
    "": "1:1: the file is empty; it begins with `version: 1`",
    "version: 1\nsources: {kubernetes: {kubelet: 'http://10.0.0.7:10255'}}\n": "2:33: kubelet: "
    "give an https:// URL: a token, and what pods hold, would go in clear text",
    "version: 1\nsources: {kubernetes: {token_file: /t}}\n": "2:23: give one of kubelet: and api:",
    "version: 1\nsources: {kubernetes: {kubelet: 'https://k', api: 'https://a'}}\n": "2:23: give "
    "one of kubelet: and api:",
    "version: 1\nsources: {kubernetes: {kubelet: 'https://k', node: a}}\n": "2:23: node: goes with "
    "api:, a kubelet knows its own",
    "version: 1\nsources: {kubernetes: {kubelet: 'https://k', token: abc}}\n": "2:46: unknown key "
    "'token'; did you mean 'token_file'?",
    "version: 1\ncpu_weight: ghz\n": "2:13: cpu_weight: expected none or capacity or clock, found "
    "'ghz'",
    "version: 1\nsite: {budgets: {energy: {day: 500}}}\n": "2:32: day: expected energy such as "
    "500kWh or 2MWh, found '500'",
    "version: 1\nsite: {budgets: {carbon: {month: 5kWh}}}\n": "2:34: month: expected grams of CO2e "
    "such as 250kg or 1.3t, found '5kWh'",
    "version: 1\nsite: {budgets: {energy: {week: 5kWh}}}\n": "2:27: unknown key 'week'; known: "
    "day, month",
    "version: 1\nembodied: {carbon: 1t}\n": "2:11: key 'lifetime' is missing",
    "version: 1\nembodied: {carbon: 1t, lifetime: 4h}\n": "2:34: lifetime: expected a time such as "
    "4y or 1500d, found '4h'",
    "- a\n": "1:1: expected a mapping with version, interval, policy, cpu_weight, idle_watts, "
    "site, embodied, sources, apps, apps_by, budget, state_file",
}


@pytest.mark.parametrize("text", BAD)
def test_one_mistake_one_sentence(tmp_path: Path, text: str) -> None:
    """The message has the place, what is wrong, and what would be right."""
    file = tmp_path / "exporter.yml"
    file.write_text(text)

    with pytest.raises(Invalid) as raised:
        load(file, NAMES)

    assert [f"{file}:{BAD[text]}"] == raised.value.mistakes


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    """Three mistakes give three sentences, in the order of the file."""
    file = tmp_path / "exporter.yml"
    file.write_text("version: 1\nintervall: 1s\npolicy: fair\nsite: {price: cheap}\n")

    with pytest.raises(Invalid) as raised:
        load(file, NAMES)

    assert [":2:1:", ":3:9:", ":4:15:"] == [
        one.removeprefix(str(file)).partition(" ")[0] for one in raised.value.mistakes
    ]
