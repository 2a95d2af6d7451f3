"""The site file: facts about the place, and who is scraped. Its words are those of exporter.yml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from wattgov_exporter.config import Site
from wattgov_exporter.configfile import CARBON, LIFETIME, SITE, app_name, url
from wattgov_web import fields
from wattgov_web.fields import Field, Mistake, Parse, Reader
from wattgov_web.mistakes import Invalid

EXPORTER_PORT, ACTUATOR_PORT, ALERTMANAGER_PORT = 9470, 9471, 9093
ADDRESS = re.compile(
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?(?P<path>/\S*)?"
)


@dataclass(frozen=True, slots=True)
class Constants:
    """Making the machines: the Impact Framework's constants for any server and any GPU."""

    server_grams: float = 1000e3
    gpu_grams: float = 150e3
    lifetime_seconds: float = 4 * 365.25 * 86400


@dataclass(frozen=True, slots=True)
class Engine:
    """Where a serving engine is scraped; without *path* at /metrics."""

    address: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """Who is scraped, and who gets the alerts: `host:port` each; engines by their app."""

    exporters: tuple[str, ...] = (f"127.0.0.1:{EXPORTER_PORT}",)
    actuators: tuple[str, ...] = (f"127.0.0.1:{ACTUATOR_PORT}",)
    alertmanagers: tuple[str, ...] = (f"127.0.0.1:{ALERTMANAGER_PORT}",)
    apps: Mapping[str, tuple[Engine, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """The whole file; without one it is this machine, and nothing is known of the site."""

    site: Site = field(default_factory=Site)
    embodied: Constants = field(default_factory=Constants)
    targets: Targets = field(default_factory=Targets)
    prometheus: str = "http://127.0.0.1:9090"
    scrape_interval_seconds: float = 15.0


def load(path: Path) -> Place:
    """Read a file; raise Invalid with every mistake, or OSError when it cannot be read."""
    reader = Reader(str(path))
    values = reader.mapping(fields.compose(path), _FILE, required=("version",))
    if reader.mistakes:
        raise Invalid(reader.mistakes)
    values.pop("version")
    return Place(**values)


def _address(reader: Reader, node: yaml.Node, port: int) -> str:
    found = fields.text(reader, node)
    match = ADDRESS.fullmatch(found)
    if not match or match["path"]:
        raise Mistake(f"expected a host such as gpu-1 or gpu-1:{port}, found {found!r}")
    return match["host"] + (match["port"] or f":{port}")


def _engine(reader: Reader, node: yaml.Node) -> Engine:
    found = fields.text(reader, node)
    match = ADDRESS.fullmatch(found)
    if not match or not match["port"]:
        raise Mistake(f"expected gpu-1:8000, or gpu-1:8000/its/metrics, found {found!r}")
    return Engine(match["host"] + match["port"], match["path"])


def _once(parse: Parse) -> Parse:
    """Take a list in which nobody stands twice: who is scraped twice is counted twice."""
    listed = fields.items(parse, "addresses, such as [gpu-1, gpu-2]")

    def each(reader: Reader, node: yaml.Node) -> tuple[str, ...]:
        found: tuple[str, ...] = listed(reader, node)
        for again in sorted({str(one) for one in found if found.count(one) > 1}):
            raise Mistake(f"{again} stands twice, and would count twice")
        return found

    return each


def _hosts(port: int) -> Parse:
    return _once(lambda reader, node: _address(reader, node, port))


def _apps(reader: Reader, node: yaml.Node) -> Mapping[str, tuple[Engine, ...]]:
    if not isinstance(node, yaml.MappingNode):
        raise Mistake("expected apps with their addresses, such as {chat: [gpu-1:8000]}")
    known: dict[str, Field] = {}
    for key, _ in node.value:
        try:
            name = app_name(reader, key)
        except Mistake as mistake:
            reader.wrong(key, str(mistake))
            name = str(key.value)
        known[name] = (name, _once(_engine))
    return reader.mapping(node, known)


_EMBODIED: Mapping[str, Field] = {
    "server": ("server_grams", CARBON),
    "gpu": ("gpu_grams", CARBON),
    "lifetime": ("lifetime_seconds", LIFETIME),
}
_TARGETS: Mapping[str, Field] = {
    "exporters": ("exporters", _hosts(EXPORTER_PORT)),
    "actuators": ("actuators", _hosts(ACTUATOR_PORT)),
    "alertmanagers": ("alertmanagers", _hosts(ALERTMANAGER_PORT)),
    "apps": ("apps", _apps),
}
_FILE: Mapping[str, Field] = {
    "version": ("version", fields.choice("1")),
    "site": ("site", fields.block(Site, SITE)),
    "embodied": ("embodied", fields.block(Constants, _EMBODIED)),
    "targets": ("targets", fields.block(Targets, _TARGETS)),
    "prometheus": ("prometheus", url),
    "scrape_interval": ("scrape_interval_seconds", fields.seconds(1, 60)),
}
