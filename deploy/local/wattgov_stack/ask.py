"""Ask Prometheus and the actuator what the table shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from wattgov_stack.layout import Ports

TIMEOUT_SECONDS = 5.0

QUERIES: Mapping[str, str] = {
    "watts": "sum by (component) (irate(node_energy_joules_total[30s]))",
    "idle": "sum by (component, basis) (node_idle_power_watts)",
    "sources": "energy_source_info",
    "off": "energy_source_up == 0",
    "app_watts": "sum by (app) (irate(app_energy_joules_total[30s]))",
    "app_cpus": "sum by (app) (irate(app_cpu_seconds_total[30s]))",
    "requests": "sum by (app) (app:serving_requests:rate1m)",
    "joules": "app:joules_per_request:rate1m",
    "joules_target": "max by (app) (app_target_joules_per_request)",
    "p95": "energy:app_p95_latency_seconds",
    "p95_target": "max by (app) (app_target_p95_latency_seconds)",
    "grams": "3600 * cluster:carbon_grams:rate5m",
    "cost": "3600 * cluster:electricity_cost:rate5m",
    "unbooked": "max(instance_component:energy_unbooked_joules:ratio)",
    "alerts": 'ALERTS{alertstate="firing",severity!="none"}',
}
"""What the live table shows; names are those of docs/metrics.md and rules/recording/.

Watts by `irate`: exact from the second scrape on, where `rate` needs a full window.
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Facts:
    """One look: the answer to each query, the actuator's decisions, and what could not be asked."""

    answers: Mapping[str, tuple[Sample, ...]]
    decisions: tuple[Mapping[str, Any], ...] = ()
    silent: tuple[str, ...] = field(default=())

    def by(self, query: str, label: str) -> dict[str, float]:
        """Return a query's values by one label."""
        return {one.labels.get(label, ""): one.value for one in self.answers.get(query, ())}


def direct() -> requests.Session:
    """Return a session for loopback: a proxy of the environment is not asked."""
    session = requests.Session()
    session.trust_env = False
    return session


def query(session: requests.Session, prometheus: str, expr: str) -> tuple[Sample, ...]:
    """Run one instant query; requests.RequestException or ValueError when there is no answer."""
    answer = session.get(
        f"{prometheus}/api/v1/query", params={"query": expr}, timeout=TIMEOUT_SECONDS
    )
    answer.raise_for_status()
    return tuple(
        Sample(one["metric"], float(one["value"][1])) for one in answer.json()["data"]["result"]
    )


def look(session: requests.Session, ports: Ports) -> Facts:
    """Ask everything once; a part that does not answer is named, and the rest is shown."""
    answers: dict[str, tuple[Sample, ...]] = {}
    silent: list[str] = []
    try:
        for name, expr in QUERIES.items():
            answers[name] = query(session, ports.url("prometheus"), expr)
    except (requests.RequestException, ValueError, KeyError) as error:
        silent.append(f"Prometheus ({type(error).__name__})")
    decisions: tuple[Mapping[str, Any], ...] = ()
    try:
        answer = session.get(f"{ports.url('actuator')}/api/v1/decisions", timeout=TIMEOUT_SECONDS)
        decisions = tuple(answer.json()["decisions"])
    except (requests.RequestException, ValueError, KeyError) as error:
        silent.append(f"the actuator ({type(error).__name__})")
    return Facts(answers, decisions, tuple(silent))
