"""What `exporter.yml` may say. All mistakes are told at once, each with file:line:col."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from wattgov_exporter import endpoint
from wattgov_exporter.config import (
    APPS_BY,
    CPU_WEIGHTS,
    KINDS,
    POLICIES,
    App,
    Budget,
    Budgets,
    Config,
    Embodied,
    Ipmi,
    Kubernetes,
    Redfish,
    Scrape,
    Site,
    Sources,
)
from wattgov_web import fields
from wattgov_web.fields import Field, Mistake, Parse, Reader
from wattgov_web.mistakes import Invalid

APP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")


def load(path: Path, sources: Collection[str]) -> Config:
    """Read a file; raise Invalid with every mistake, or OSError when it cannot be read.

    *sources* are the names that `sources.off` may give.
    """
    reader = Reader(str(path))
    tables = _tables(sources)
    values = reader.mapping(fields.compose(path), tables, required=("version",))
    if reader.mistakes:
        raise Invalid(reader.mistakes)
    values.pop("version")
    return Config(**values)


def app_name(reader: Reader, node: yaml.Node) -> str:
    """Take the name of an app."""
    name = fields.text(reader, node)
    if not APP_NAME.fullmatch(name):
        raise Mistake(f"{name!r} cannot name an app: letters, digits, . _ : / -, no leading _")
    return name


def url(reader: Reader, node: yaml.Node) -> str:
    """Take the URL of a server, without a login."""
    found = fields.text(reader, node)
    if not re.fullmatch(r"https?://[^/@\s]+(/[^@\s]*)?", found):
        # What was found is not repeated: it may hold a password.
        raise Mistake("expected a URL such as https://bmc.example, with no user or password in it")
    return found.rstrip("/")


def _private_url(reader: Reader, node: yaml.Node) -> str:
    found = url(reader, node)
    if endpoint.is_clear_text(found):
        raise Mistake("give an https:// URL: a token, and what pods hold, would go in clear text")
    return found


def _kubernetes(reader: Reader, node: yaml.Node) -> Kubernetes | None:
    found: Kubernetes | None = fields.block(Kubernetes, _KUBERNETES)(reader, node)
    if found is not None and (found.kubelet is None) == (found.api is None):
        reader.wrong(node, "give one of kubelet: and api:")
    if found is not None and found.node and not found.api:
        reader.wrong(node, "node: goes with api:, a kubelet knows its own")
    return found


def _app(reader: Reader, node: yaml.Node) -> App | None:
    before = len(reader.mistakes)
    values = reader.mapping(node, _APP, required=("name",))
    targets = values.pop("objectives", {})
    if len(reader.mistakes) > before:
        return None
    app = App(**values, **targets)
    if not (app.process or app.command or app.cgroup or app.unit):
        reader.wrong(
            node, f"app {app.name!r} fits no process: give process, command, cgroup or unit"
        )
    return app


def _apps(reader: Reader, node: yaml.Node) -> tuple[App, ...]:
    apps: tuple[App | None, ...] = fields.items(_app, "apps")(reader, node)
    seen: set[str] = set()
    for item, app in zip(node.value, apps, strict=True):
        if app is not None and app.name in seen:
            reader.wrong(item, f"app {app.name!r} stands twice")
        seen.add(app.name if app else "")
    return tuple(app for app in apps if app is not None)


_MANY = 1e12
_WATTS = fields.number(0, 1e6, "watts")
_SLOW: Mapping[str, Field] = {
    "interval": ("interval_seconds", fields.seconds(1, 3600)),
    "timeout": ("timeout_seconds", fields.seconds(0.1, 120)),
}
_LOGIN: Mapping[str, Field] = {
    "username": ("username", fields.text),
    "password_file": ("password_file", fields.path),
}
_REDFISH: Mapping[str, Field] = {
    "url": ("url", url),
    **_LOGIN,
    "chassis": ("chassis", fields.text),
    "ca_file": ("ca_file", fields.path),
    "insecure": ("insecure", fields.flag),
    **_SLOW,
}
_IPMI: Mapping[str, Field] = {
    "host": ("host", fields.text),
    "port": ("port", fields.whole(1, 65535, "(a port)")),
    **_LOGIN,
    **_SLOW,
}
_SCRAPE: Mapping[str, Field] = {
    "url": ("url", url),
    "kind": ("kind", fields.choice(*KINDS)),
    **_SLOW,
}
_KUBERNETES: Mapping[str, Field] = {
    "kubelet": ("kubelet", _private_url),
    "api": ("api", _private_url),
    "node": ("node", fields.text),
    "token_file": ("token_file", fields.path),
    "ca_file": ("ca_file", fields.path),
    "insecure": ("insecure", fields.flag),
    **_SLOW,
}
_OBJECTIVES: Mapping[str, Field] = {
    "joules_per_request": ("target_joules_per_request", fields.number(0, _MANY, "joules")),
    "p95_latency": ("target_p95_latency_seconds", fields.seconds(0, 86400)),
}
CARBON = fields.quantity(
    "grams of CO2e such as 250kg or 1.3t", {"g": 1.0, "kg": 1e3, "t": 1e6}, (0, 1e9), "kg"
)
LIFETIME = fields.quantity(
    "a time such as 4y or 1500d", {"d": 86400.0, "y": 365.25 * 86400}, (0.01, 100), "y"
)
_POWER = fields.quantity(
    "power such as 40kW or 1.2MW", {"W": 1.0, "kW": 1e3, "MW": 1e6}, (0.001, 1e6), "kW"
)
_ENERGY = fields.quantity(
    "energy such as 500kWh or 2MWh", {"kWh": 3.6e6, "MWh": 3.6e9, "GWh": 3.6e12}, (0, 1e9), "kWh"
)


def _periods(parse: Parse) -> Parse:
    each: Mapping[str, Field] = {period: (period, parse) for period in ("day", "month")}
    return lambda reader, node: reader.mapping(node, each)


_BUDGETS: Mapping[str, Field] = {
    "energy": ("energy_joules", _periods(_ENERGY)),
    "carbon": ("carbon_grams", _periods(CARBON)),
    "cost": ("electricity_cost", _periods(fields.number(0, _MANY, "the site's currency"))),
}
SITE: Mapping[str, Field] = {
    "zone": ("zone", fields.text),
    "carbon_intensity": (
        "carbon_intensity_grams_per_kilowatthour",
        fields.number(0, 5000, "grams per kilowatt-hour"),
    ),
    "pue": ("pue_ratio", fields.number(1, 10, "(a ratio)")),
    "price": ("price_per_kilowatthour", fields.number(-1000, 1000, "per kilowatt-hour")),
    "currency": ("currency", fields.text),
    "contract_power": ("contract_power_watts", _POWER),
    "budgets": ("budgets", fields.block(Budgets, _BUDGETS)),
}
_EMBODIED: Mapping[str, Field] = {
    "carbon": ("carbon_grams", CARBON),
    "lifetime": ("lifetime_seconds", LIFETIME),
}
_BUDGET: Mapping[str, Field] = {
    "apps": ("apps", fields.whole(1, 10_000, "(apps)")),
    "series": ("series", fields.whole(500, 1_000_000, "(series)")),
    "label_length": ("label_length", fields.whole(32, 1024, "bytes")),
}
_APP: Mapping[str, Field] = {
    "name": ("name", app_name),
    "process": ("process", fields.text),
    "command": ("command", fields.regex),
    "cgroup": ("cgroup", fields.text),
    "unit": ("unit", fields.text),
    "objectives": ("objectives", lambda reader, node: reader.mapping(node, _OBJECTIVES)),
}


def _tables(sources: Collection[str]) -> Mapping[str, Field]:
    """Return the fields of the file, where *sources* are the known ones."""
    idle: Mapping[str, Field] = {name: (name, _WATTS) for name in ("cpu", "dram", "gpu")}
    used: Mapping[str, Field] = {
        "off": ("off", fields.items(fields.choice(*sources), "sources, such as [nvml]")),
        "redfish": ("redfish", fields.block(Redfish, _REDFISH, "url")),
        "ipmi": ("ipmi", fields.block(Ipmi, _IPMI)),
        "scrape": ("scrape", fields.items(fields.block(Scrape, _SCRAPE, "url", "kind"), "URLs")),
        "kubernetes": ("kubernetes", _kubernetes),
    }
    return {
        "version": ("version", fields.choice("1")),
        "interval": ("interval_seconds", fields.seconds(0.1, 60)),
        "policy": ("policy", fields.choice(*POLICIES)),
        "cpu_weight": ("cpu_weight", fields.choice(*CPU_WEIGHTS)),
        "idle_watts": ("idle_watts", lambda reader, node: reader.mapping(node, idle)),
        "site": ("site", fields.block(Site, SITE)),
        "embodied": ("embodied", fields.block(Embodied, _EMBODIED, "carbon", "lifetime")),
        "sources": ("sources", fields.block(Sources, used)),
        "apps": ("apps", _apps),
        "apps_by": ("apps_by", fields.items(fields.choice(*APPS_BY), "kinds, such as [unit]")),
        "budget": ("budget", fields.block(Budget, _BUDGET)),
        "state_file": ("state_file", fields.path),
    }
