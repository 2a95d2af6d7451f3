"""What `exporter.yml` may say. All mistakes are told at once, each with file:line:col."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

POLICIES = ("capacity", "dynamic", "full")
UNITS_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
APP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")


class Invalid(Exception):
    """The file has mistakes; one sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class App:
    """A name and how to know its processes; the first app of the file that fits has them."""

    name: str
    process: str | None = None
    command: re.Pattern[str] | None = None
    cgroup: str | None = None
    unit: str | None = None
    target_joules_per_request: float | None = None
    target_p95_latency_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """Facts about the place that no sensor tells; None is published as no series."""

    zone: str = "unknown"
    carbon_intensity_grams_per_kilowatthour: float | None = None
    pue_ratio: float | None = None
    price_per_kilowatthour: float | None = None
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file; every field has a default, so no file is needed to start."""

    interval_seconds: float = 1.0
    policy: str = "dynamic"
    idle_watts: Mapping[str, float] = field(default_factory=dict)
    site: Site = field(default_factory=Site)
    apps: tuple[App, ...] = ()


def load(path: Path) -> Config:
    """Read a file; raise Invalid with every mistake, or OSError when it cannot be read."""
    reader = _Reader(str(path))
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise Invalid([f"{path}:1:1: not UTF-8 text: {error}"]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise Invalid([f"{place}: not YAML: {error.problem}"]) from error
    values = reader.mapping(node, _CONFIG, required=("version",)) if node else {}
    if not node:
        reader.mistakes.append(f"{path}:1:1: the file is empty; it begins with `version: 1`")
    if reader.mistakes:
        raise Invalid(sorted(reader.mistakes, key=_place))
    values.pop("version")
    return Config(**values)


def _place(mistake: str) -> tuple[int, int]:
    found = re.search(r":(\d+):(\d+): ", mistake)
    return (int(found[1]), int(found[2])) if found else (0, 0)


class _Mistake(Exception):
    """One value is not what it should be."""


class _Reader:
    """Walks YAML nodes, which still know their place, and collects what is wrong."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.mistakes: list[str] = []

    def wrong(self, node: yaml.Node, message: str) -> None:
        mark = node.start_mark
        self.mistakes.append(f"{self._name}:{mark.line + 1}:{mark.column + 1}: {message}")

    def mapping(
        self, node: yaml.Node, fields: Mapping[str, "Field"], required: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"expected a mapping with {', '.join(fields)}")
            return {}
        values: dict[str, Any] = {}
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name not in fields:
                close = difflib.get_close_matches(name, fields, 1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(fields)}"
                self.wrong(key, f"unknown key {name!r}{hint}")
                continue
            if name in seen:
                self.wrong(key, f"key {name!r} stands twice")
            seen.add(name)
            into, parse = fields[name]
            try:
                values[into] = parse(self, value)
            except _Mistake as mistake:
                self.wrong(value, f"{name}: {mistake}")
        for name in required:
            if name not in seen:
                self.wrong(node, f"key {name!r} is missing")
        return values


Field = tuple[str, Callable[[_Reader, yaml.Node], Any]]


def _text(_reader: _Reader, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _Mistake("expected a text")
    return str(node.value)


def _number(low: float, high: float, unit: str) -> Callable[[_Reader, yaml.Node], float]:
    def parse(reader: _Reader, node: yaml.Node) -> float:
        text = _text(reader, node)
        try:
            number = float(text)
        except ValueError:
            raise _Mistake(f"expected a number of {unit}, found {text!r}") from None
        if not low <= number <= high:
            raise _Mistake(f"{number:g} is outside {low:g} to {high:g} {unit}")
        return number

    return parse


def _seconds(low: float, high: float) -> Callable[[_Reader, yaml.Node], float]:
    def parse(reader: _Reader, node: yaml.Node) -> float:
        text = _text(reader, node)
        found = re.fullmatch(r"([0-9.]+)(ms|s|m|h)", text)
        if not found:
            raise _Mistake(f"expected a duration such as 1s or 200ms, found {text!r}")
        seconds = float(found[1]) * UNITS_SECONDS[found[2]]
        if not low <= seconds <= high:
            raise _Mistake(f"{text} is outside {low:g}s to {high:g}s")
        return seconds

    return parse


def _choice(*words: str) -> Callable[[_Reader, yaml.Node], str]:
    def parse(reader: _Reader, node: yaml.Node) -> str:
        text = _text(reader, node)
        if text not in words:
            raise _Mistake(f"expected {' or '.join(words)}, found {text!r}")
        return text

    return parse


def _app_name(reader: _Reader, node: yaml.Node) -> str:
    text = _text(reader, node)
    if text.startswith("_") or not APP_NAME.fullmatch(text):
        raise _Mistake(f"{text!r} cannot name an app: letters, digits, . _ : / -, no leading _")
    return text


def _regex(reader: _Reader, node: yaml.Node) -> re.Pattern[str]:
    try:
        return re.compile(_text(reader, node))
    except re.error as error:
        raise _Mistake(f"not a regular expression: {error}") from error


def _site(reader: _Reader, node: yaml.Node) -> Site:
    return Site(**reader.mapping(node, _SITE))


def _idle(reader: _Reader, node: yaml.Node) -> dict[str, float]:
    return reader.mapping(node, _IDLE)


def _objectives(reader: _Reader, node: yaml.Node) -> dict[str, float]:
    return reader.mapping(node, _OBJECTIVES)


def _apps(reader: _Reader, node: yaml.Node) -> tuple[App, ...]:
    if not isinstance(node, yaml.SequenceNode):
        raise _Mistake("expected a list of apps")
    apps: dict[str, App] = {}
    for item in node.value:
        mistakes = len(reader.mistakes)
        values = reader.mapping(item, _APP, required=("name",))
        targets = values.pop("objectives", {})
        if len(reader.mistakes) > mistakes:
            continue
        app = App(**values, **targets)
        if app.name in apps:
            reader.wrong(item, f"app {app.name!r} stands twice")
        if not (app.process or app.command or app.cgroup or app.unit):
            reader.wrong(
                item, f"app {app.name!r} fits no process: give process, command, cgroup or unit"
            )
        apps[app.name] = app
    return tuple(apps.values())


_MANY = 1e12
_IDLE: Mapping[str, Field] = {
    name: (name, _number(0, 1e6, "watts")) for name in ("cpu", "dram", "gpu")
}
_OBJECTIVES: Mapping[str, Field] = {
    "joules_per_request": ("target_joules_per_request", _number(0, _MANY, "joules")),
    "p95_latency": ("target_p95_latency_seconds", _seconds(0, 86400)),
}
_SITE: Mapping[str, Field] = {
    "zone": ("zone", _text),
    "carbon_intensity": (
        "carbon_intensity_grams_per_kilowatthour",
        _number(0, 5000, "grams per kilowatt-hour"),
    ),
    "pue": ("pue_ratio", _number(1, 10, "(a ratio)")),
    "price": ("price_per_kilowatthour", _number(-1000, 1000, "per kilowatt-hour")),
    "currency": ("currency", _text),
}
_APP: Mapping[str, Field] = {
    "name": ("name", _app_name),
    "process": ("process", _text),
    "command": ("command", _regex),
    "cgroup": ("cgroup", _text),
    "unit": ("unit", _text),
    "objectives": ("objectives", _objectives),
}
_CONFIG: Mapping[str, Field] = {
    "version": ("version", _choice("1")),
    "interval": ("interval_seconds", _seconds(0.1, 60)),
    "policy": ("policy", _choice(*POLICIES)),
    "idle_watts": ("idle_watts", _idle),
    "site": ("site", _site),
    "apps": ("apps", _apps),
}
