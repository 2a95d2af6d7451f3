"""What a hundred nodes would export: names and labels of the exporter, the actuator and vLLM.

Every value is made up; only how many series there are, and of which kind, is meant to be true, and
that all is well: an alert that is raised also asks for the numbers in its message.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from past import key
from story.tape import Key
from testbed.exposition import (
    FINISHED_REASONS,
    FIRST_TOKEN_SECONDS,
    INTER_TOKEN_SECONDS,
    REQUEST_SECONDS,
)

COMPONENT_WATTS = {"cpu": 250.0, "dram": 40.0, "gpu": 3200.0}
LIMITS = ("current", "enforced", "default", "min", "max")
THROTTLES = ("power_cap", "thermal", "power_brake", "sync")
IDLE_PART, UNATTRIBUTED_PART = 0.2, 0.05
REQUESTS_PER_SECOND, PROMPT_TOKENS, GENERATED_TOKENS = 4.0, 600.0, 200.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """How much of everything there is; each node serves *engines* apps, a model each."""

    nodes: int
    gpus: int
    apps: int
    engines: int


@dataclass(frozen=True, slots=True)
class Line:
    """One series: a gauge at *base*, or a counter that grows by *rate* a second."""

    labels: Key
    base: float
    rate: float = 0.0

    def samples(self, start: float, end: float, step: float) -> list[tuple[float, float]]:
        """Return what is scraped; counters begin at the first scrape."""
        times = [start + number * step for number in range(int((end - start) / step) + 1)]
        return [(at, self.base + self.rate * (at - start)) for at in times]


def lines(fleet: Fleet) -> Iterator[Line]:
    """Yield all series."""
    for number in range(fleet.nodes):
        host = f"node-{number:03d}"
        apps = [
            f"model-{(number * fleet.engines + one) % fleet.apps:02d}"
            for one in range(fleet.engines)
        ]
        yield from _exporter(f"{host}:9470", fleet.gpus, apps)
        yield from _actuator(f"{host}:9471", fleet.gpus)
        for port, app in enumerate(apps, 8000):
            yield from _engine(f"{host}:{port}", app)


def _exporter(instance: str, gpus: int, apps: Sequence[str]) -> Iterator[Line]:
    who = {"job": "wattgov-exporter", "instance": instance}
    everyone = [*apps, "_other", "_unattributed"]
    yield Line(key("up", **who), 1.0)
    for component, watts in COMPONENT_WATTS.items():
        yield Line(key("node_energy_joules_total", component=component, **who), 0.0, watts)
        idle = key("node_idle_power_watts", component=component, basis="observed", **who)
        yield Line(idle, watts * IDLE_PART)
        for app in everyone:
            named = (1 - UNATTRIBUTED_PART) / (len(everyone) - 1)
            used = UNATTRIBUTED_PART if app == "_unattributed" else named
            for share, part in (("active", 1 - IDLE_PART), ("idle", IDLE_PART)):
                labels = {"app": app, "component": component, "share": share, **who}
                yield Line(key("app_energy_joules_total", **labels), 0.0, watts * used * part)
    for app in everyone:
        for name in ("app_cpu_seconds_total", "app_processes", "app_gpu_memory_used_bytes"):
            yield Line(key(name, app=app, **who), 1.0, 1.0 if name.endswith("_total") else 0.0)
        yield Line(key("app_last_active_timestamp_seconds", app=app, **who), 1.7e9)
    for app in apps:
        yield Line(key("app_target_joules_per_request", app=app, **who), 300.0)
        yield Line(key("app_target_p95_latency_seconds", app=app, **who), 90.0)
    for gpu in range(gpus):
        yield from _card({"gpu": str(gpu), "uuid": f"GPU-{instance}-{gpu}", **who})
    yield from _site(who)


def _card(who: dict[str, str]) -> Iterator[Line]:
    watts = COMPONENT_WATTS["gpu"] / 8
    yield Line(key("node_gpu_energy_joules_total", source="nvml", **who), 0.0, watts)
    yield Line(key("node_gpu_power_watts", source="nvml", **who), watts)
    for limit in LIMITS:
        yield Line(key("node_gpu_power_limit_watts", limit=limit, **who), 700.0)
    for name, value in (
        ("node_gpu_temperature_celsius", 61.0),
        ("node_gpu_utilization_percent", 80.0),
        ("node_gpu_memory_used_bytes", 6e10),
        ("node_gpu_processes", 1.0),
    ):
        yield Line(key(name, **who), value)
    for clock in ("sm", "memory"):
        yield Line(key("node_gpu_clock_hertz", clock=clock, **who), 1.7e9)
    for reason in THROTTLES:
        yield Line(key("node_gpu_throttle_seconds_total", reason=reason, **who), 0.0, 0.01)


def _site(who: dict[str, str]) -> Iterator[Line]:
    intensity = {"zone": "FR", "source": "static", "signal": "average", "basis": "lifecycle"}
    name = "grid_carbon_intensity_grams_per_kilowatthour"
    yield Line(key(name, estimated="true", **intensity, **who), 56.0)
    price = key("grid_electricity_price_per_kilowatthour", zone="FR", currency="EUR", **who)
    yield Line(price, 0.2)
    yield Line(key("site_pue_ratio", **who), 1.2)
    yield Line(key("site_budget_energy_joules", period="month", **who), 1e12)
    yield Line(key("site_budget_carbon_grams", period="month", **who), 2e7)
    money = key("site_budget_electricity_cost", period="month", currency="EUR", **who)
    yield Line(money, 8e4)
    yield Line(key("node_embodied_carbon_grams", **who), 2.4e6)
    yield Line(key("node_expected_lifetime_seconds", **who), 1.5e8)
    for source in ("rapl", "nvml", "hwmon", "redfish"):
        yield Line(key("energy_source_up", source=source, reason="ok", **who), 1.0)
        name = "energy_source_last_sample_timestamp_seconds"
        yield Line(key(name, source=source, **who), 1.7e9)


def _actuator(instance: str, gpus: int) -> Iterator[Line]:
    who = {"job": "wattgov-actuator", "instance": instance}
    yield Line(key("up", **who), 1.0)
    yield Line(key("wattgov_actuator_enforcing", **who), 1.0)
    yield Line(key("wattgov_actuator_open_undos", **who), float(gpus))
    yield Line(key("wattgov_actuator_query_age_seconds", **who), 0.4)
    name = "wattgov_actuator_last_query_success_timestamp_seconds"
    yield Line(key(name, **who), 1.7e9)
    for state in ("wanted", "in_force", "prior"):
        for gpu in range(gpus):
            knob = {"knob": "gpu_power_limit", "target": f"{instance}/gpu{gpu}", "unit": "watts"}
            yield Line(key(f"wattgov_actuator_knob_{state}", **knob, **who), 500.0)
    for rule in ("trim-quiet-gpus", "relax-busy-gpus"):
        saved = {"rule": rule, "method": "counterfactual"}
        yield Line(key("wattgov_actuator_saved_joules_total", **saved, **who), 0.0, 100.0)
        for reason in ("applied", "unchanged", "cooldown", "vetoed_sla"):
            decision = {"rule": rule, "knob": "gpu_power_limit", "reason": reason}
            yield Line(key("wattgov_actuator_decisions_total", **decision, **who), 0.0, 0.1)


def _engine(instance: str, app: str) -> Iterator[Line]:
    who = {"job": "apps", "instance": instance, "app": app, "model_name": app, "engine": "0"}
    for reason in FINISHED_REASONS:
        part = 0.99 if reason == "stop" else 0.0025
        done = key("vllm:request_success_total", finished_reason=reason, **who)
        yield Line(done, 0.0, REQUESTS_PER_SECOND * part)
    for name, each in (
        ("vllm:prompt_tokens_total", PROMPT_TOKENS),
        ("vllm:prompt_tokens_cached_total", PROMPT_TOKENS / 4),
        ("vllm:generation_tokens_total", GENERATED_TOKENS),
    ):
        yield Line(key(name, **who), 0.0, REQUESTS_PER_SECOND * each)
    for name, value in (
        ("vllm:num_requests_running", 20.0),
        ("vllm:num_requests_waiting", 2.0),
        ("vllm:kv_cache_usage_perc", 0.5),
    ):
        yield Line(key(name, **who), value)
    for name, bounds, seconds in (
        ("vllm:e2e_request_latency_seconds", REQUEST_SECONDS, 5.0),
        ("vllm:time_to_first_token_seconds", FIRST_TOKEN_SECONDS, 0.3),
        ("vllm:inter_token_latency_seconds", INTER_TOKEN_SECONDS, 0.03),
    ):
        for number, bound in enumerate(bounds, 1):
            rate = REQUESTS_PER_SECOND * min(1.0, number / (0.7 * len(bounds)))
            yield Line(key(f"{name}_bucket", le=str(bound), **who), 0.0, rate)
        yield Line(key(f"{name}_bucket", le="+Inf", **who), 0.0, REQUESTS_PER_SECOND)
        yield Line(key(f"{name}_count", **who), 0.0, REQUESTS_PER_SECOND)
        yield Line(key(f"{name}_sum", **who), 0.0, REQUESTS_PER_SECOND * seconds)
