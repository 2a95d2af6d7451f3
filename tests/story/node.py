"""A metered node as its exporter shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from story.cards import HOT_CELSIUS, IDLE_WATTS, LIMITS_WATTS, Card
from story.tape import Tape, key

Shares = Mapping[str, Mapping[str, float]]
"""By component, the part of its active energy that each app used; the rest is `_other`'s."""

CONTRACT_WATTS = 12e3
DAY_JOULES, DAY_GRAMS, DAY_MONEY = 200 * 3.6e6, 60e3, 60.0
"""What the site may draw, and use in a day: about twice what it does."""


@dataclass(frozen=True, slots=True)
class Site:
    """What nothing measures."""

    zone: str
    grams: float
    price: float
    currency: str = "EUR"
    pue: float = 1.25


@dataclass(frozen=True, slots=True)
class Node:
    """One machine and its meters: source and method by component."""

    name: str
    cards: Sequence[Card]
    meters: Mapping[str, tuple[str, str]]
    down: Mapping[str, str]
    idle_watts: Mapping[str, float]
    site: Site
    objectives: Mapping[str, tuple[float, float]]

    def scrape(
        self, tape: Tape, active: Mapping[str, float], shares: Shares, seconds: float, noise: Random
    ) -> None:
        """Store one scrape; *active* are watts above idle by component."""
        who = {"job": "wattgov-exporter", "instance": f"{self.name}:9470"}
        watts = {
            part: self.idle_watts[part] + active.get(part, 0.0) for part in self.idle_watts
        } | ({"gpu": sum(card.watts for card in self.cards)} if self.cards else {})
        idle = dict(self.idle_watts)
        if self.cards:
            idle["gpu"] = IDLE_WATTS * len(self.cards)
        for part, power in watts.items():
            self._book(tape, part, idle[part] * seconds, power * seconds, shares, who)
            tape.gauge("node_idle_power_watts", idle[part], component=part, basis="observed", **who)
        self._cards(tape, seconds, who)
        self._meters(tape, watts, seconds, noise, who)
        self._sources(tape, seconds, noise, who)
        self._apps(tape, shares, active, seconds, who)
        self._site(tape, who)
        self._itself(tape, seconds, who)

    def _book(
        self,
        tape: Tape,
        part: str,
        idle: float,
        joules: float,
        shares: Shares,
        who: Mapping[str, str],
    ) -> None:
        name, used = "app_energy_joules_total", max(joules - idle, 0.0)
        given = 0.0
        for app, share in shares.get(part, {}).items():
            tape.count(name, used * share, app=app, component=part, share="active", **who)
            tape.count(name, idle * share * 0.6, app=app, component=part, share="idle", **who)
            given += used * share + idle * share * 0.6
        idle_left = idle * (1.0 - 0.6 * sum(shares.get(part, {}).values()))
        tape.count(name, idle_left, app="_unattributed", component=part, share="idle", **who)
        rest = joules - given - idle_left
        tape.count(name, rest, app="_other", component=part, share="active", **who)
        tape.count("node_energy_joules_total", joules, component=part, **who)

    def _cards(self, tape: Tape, seconds: float, who: Mapping[str, str]) -> None:
        for card in self.cards:
            one = {"gpu": str(card.number), "uuid": card.uuid, **who}
            meter = {**one, "source": "nvml"}
            tape.count("node_gpu_energy_joules_total", card.watts * seconds, **meter)
            tape.gauge("node_gpu_power_watts", card.watts, **meter)
            set_watts = {"current": card.limit_watts, "enforced": card.limit_watts}
            for limit, watts in (LIMITS_WATTS | set_watts).items():
                tape.gauge("node_gpu_power_limit_watts", watts, limit=limit, **one)
            tape.gauge("node_gpu_temperature_celsius", round(card.celsius), **one)
            busy = min(100.0, 100.0 * card.batch / (card.batch + 1.5))
            tape.gauge("node_gpu_utilization_percent", round(busy), **one)
            tape.gauge("node_gpu_memory_used_bytes", (42.0 + card.batch * 0.3) * 2**30, **one)
            for clock, hertz in (("sm", 1.98e9 * card.pace), ("memory", 2.619e9)):
                tape.gauge("node_gpu_clock_hertz", hertz, clock=clock, **one)
            hot = 0.3 if card.celsius > HOT_CELSIUS - 10.0 else 0.0
            held = {"power_cap": card.capped, "thermal": hot, "power_brake": 0.0, "sync": 0.0}
            for reason, part in held.items():
                tape.count("node_gpu_throttle_seconds_total", part * seconds, reason=reason, **one)

    def _meters(
        self,
        tape: Tape,
        watts: Mapping[str, float],
        seconds: float,
        noise: Random,
        who: Mapping[str, str],
    ) -> None:
        for part in ("cpu", "dram"):
            zone = "package" if part == "cpu" else "dram"
            one = {"package": "0", "zone": zone, "source": self.meters[part][0], **who}
            tape.count("node_cpu_energy_joules_total", watts[part] * seconds, **one)
            tape.gauge("node_cpu_power_watts", watts[part], **one)
        total = sum(watts.values())
        if "platform" in self.meters:
            source = self.meters["platform"][0]
            tape.count("node_platform_energy_joules_total", total * seconds, source=source, **who)
            tape.gauge("node_platform_power_watts", total, source=source, **who)
            parts = total - watts.get("rest", 0.0)
            ratio = parts / total * noise.uniform(0.997, 1.003)
            tape.gauge("node_meter_ratio", ratio, a="sum", b="platform", **who)
        tape.gauge(
            "node_total_power_watts",
            total,
            basis="platform" if "platform" in self.meters else "model",
            **who,
        )

    def _sources(self, tape: Tape, seconds: float, noise: Random, who: Mapping[str, str]) -> None:
        alive = {source for source, _ in self.meters.values()}
        for component, (source, method) in self.meters.items():
            tape.gauge(
                "energy_source_info", 1.0, component=component, source=source, method=method, **who
            )
        for source in sorted(alive):
            # The BMC of gpu-2 does not answer for ten minutes.
            lost = source == "redfish" and self.name == "gpu-2" and 1800 <= tape.now % 5400 < 2400
            reason, up = ("timeout", 0.0) if lost else ("ok", 1.0)
            tape.gauge("energy_source_up", up, source=source, reason=reason, **who)
            name = "energy_source_last_sample_timestamp_seconds"
            at = tape.now - tape.now % 5400 + 1800 if lost else tape.now - noise.uniform(0.1, 0.9)
            tape.gauge(name, at, source=source, **who)
            took = {"redfish": 0.42, "nvml": 0.011}.get(source, 0.0009)
            took *= noise.uniform(0.8, 1.3)
            tape.gauge("energy_source_read_seconds", took, source=source, **who)
            for kind in ("reset", "spike", "nan"):
                odd = kind == "spike" and source == "nvml" and tape.now % 2700 < seconds
                one = {"source": source, "kind": kind, **who}
                tape.count("energy_source_anomalies_total", float(odd), **one)
        for source, reason in self.down.items():
            tape.gauge("energy_source_up", 0.0, source=source, reason=reason, **who)

    def _apps(
        self,
        tape: Tape,
        shares: Shares,
        active: Mapping[str, float],
        seconds: float,
        who: Mapping[str, str],
    ) -> None:
        for app in {"_other": 0.0, **shares["cpu"]}:
            cpus = active.get("cpu", 0.0) / 12.0 * shares["cpu"].get(app, 0.2)
            tape.count("app_cpu_seconds_total", cpus * seconds, app=app, **who)
            tape.gauge("app_processes", 41.0 if app == "_other" else 5.0, app=app, **who)
            if app != "_other":
                busy = cpus > 0.01
                one = {"app": app, **who}
                name = "app_last_active_timestamp_seconds"
                before = tape.series.get(key(name, one), [(0.0, tape.now)])[-1][1]
                tape.gauge(name, tape.now if busy else before, **one)
        for app in shares.get("gpu", {}):
            used = sum((42.0 + card.batch * 0.3) * 2**30 for card in self.cards)
            tape.gauge("app_gpu_memory_used_bytes", used, app=app, **who)

    def _site(self, tape: Tape, who: Mapping[str, str]) -> None:
        site = self.site
        tape.gauge("site_pue_ratio", site.pue, **who)
        tape.gauge(
            "grid_carbon_intensity_grams_per_kilowatthour",
            site.grams,
            zone=site.zone,
            source="static",
            signal="average",
            basis="lifecycle",
            estimated="true",
            **who,
        )
        name = "grid_electricity_price_per_kilowatthour"
        tape.gauge(name, site.price, zone=site.zone, currency=site.currency, **who)
        tape.gauge("site_contract_power_watts", CONTRACT_WATTS, **who)
        for period, part in (("day", 1.0), ("month", 30.0)):
            tape.gauge("site_budget_energy_joules", part * DAY_JOULES, period=period, **who)
            tape.gauge("site_budget_carbon_grams", part * DAY_GRAMS, period=period, **who)
            money = {"period": period, "currency": site.currency}
            tape.gauge("site_budget_electricity_cost", part * DAY_MONEY, **money, **who)
        for app, (joules, p95) in self.objectives.items():
            tape.gauge("app_target_joules_per_request", joules, app=app, **who)
            tape.gauge("app_target_p95_latency_seconds", p95, app=app, **who)

    def _itself(self, tape: Tape, seconds: float, who: Mapping[str, str]) -> None:
        tape.gauge("up", 1.0, **who)
        tape.count("wattgov_exporter_cpu_seconds_total", 0.004 * seconds, **who)
        tape.count("wattgov_exporter_energy_joules_total", 0.019 * seconds, **who)
        tape.gauge("wattgov_exporter_config_last_reload_successful", 1.0, **who)
        name = "wattgov_exporter_config_last_reload_success_timestamp_seconds"
        tape.gauge(name, tape.now - tape.now % 86400, **who)
        tape.gauge("wattgov_exporter_config_hash", 1.0, sha256="5f1d0c2a7be9", **who)
        tape.gauge("wattgov_exporter_build_info", 1.0, version="0.1.0", **who)
        tape.count("wattgov_exporter_web_config_failures_total", 0.0, **who)
        tape.count("wattgov_exporter_series_dropped_total", 0.0, **who)
        tape.gauge("wattgov_exporter_web_config_last_reload_successful", 1.0, **who)
