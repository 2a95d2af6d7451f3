"""What a value in a YAML file may be, and where it stands when it is not."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from wattgov_web import regular
from wattgov_web.mistakes import Invalid

UNITS_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Mistake(Exception):
    """One value is not what it should be."""


class Reader:
    """Walks the nodes of one file, which still know their place, and collects what is wrong."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._mistakes: list[tuple[int, int, str]] = []

    @property
    def mistakes(self) -> list[str]:
        """What was wrong so far, in the order of the file."""
        return [
            f"{self._name}:{line}:{column}: {message}"
            for line, column, message in sorted(self._mistakes)
        ]

    def wrong(self, node: yaml.Node, message: str) -> None:
        """Note a mistake."""
        mark = node.start_mark
        self._mistakes.append((mark.line + 1, mark.column + 1, message))

    def mapping(
        self, node: yaml.Node, fields: Mapping[str, "Field"], required: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the values of a mapping by the names that *fields* gives them."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"expected a mapping with {', '.join(fields)}")
            return {}
        values: dict[str, Any] = {}
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name not in fields:
                from difflib import get_close_matches  # noqa: PLC0415  for the rare mistake

                close = get_close_matches(name, fields, 1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(fields)}"
                self.wrong(key, f"unknown key {name!r}{hint}")
                continue
            if name in seen:
                self.wrong(key, f"key {name!r} stands twice")
            seen.add(name)
            into, parse = fields[name]
            try:
                values[into] = parse(self, value)
            except Mistake as mistake:
                self.wrong(value, f"{name}: {mistake}")
        for name in required:
            if name not in seen:
                self.wrong(node, f"key {name!r} is missing")
        return values


Parse = Callable[[Reader, yaml.Node], Any]
Field = tuple[str, Parse]
"""The name of the value in its dataclass, and what makes it of a node; Mistake when it cannot."""


def compose(path: Path, begins: str = "it begins with `version: 1`") -> yaml.Node:
    """Return the root of a file; Invalid when it is no YAML, OSError when it cannot be read.

    *begins* tells, of an empty file, what should stand there.
    """
    try:
        node = yaml.compose(regular.read(path).decode(), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise Invalid([f"{path}:1:1: not UTF-8 text: {error}"]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise Invalid([f"{place}: not YAML: {error.problem}"]) from error
    except yaml.YAMLError as error:
        raise Invalid([f"{path}:1:1: not YAML: {error}"]) from error
    except RecursionError:
        raise Invalid([f"{path}:1:1: lists or mappings are nested too deeply"]) from None
    if node is None:
        raise Invalid([f"{path}:1:1: the file is empty; {begins}"])
    return node


def text(_reader: Reader, node: yaml.Node) -> str:
    """Take a text that is not empty."""
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise Mistake("expected a text")
    return str(node.value)


def path(reader: Reader, node: yaml.Node) -> Path:
    """Take the path of a file."""
    return Path(text(reader, node))


def flag(reader: Reader, node: yaml.Node) -> bool:
    """Take true or false."""
    return bool(choice("true", "false")(reader, node) == "true")


def number(low: float, high: float, unit: str) -> Parse:
    """Take a number of *unit* within bounds."""

    def parse(reader: Reader, node: yaml.Node) -> float:
        found = text(reader, node)
        try:
            value = float(found)
        except ValueError:
            raise Mistake(f"expected a number of {unit}, found {found!r}") from None
        if not low <= value <= high:
            raise Mistake(f"{value:g} is outside {low:g} to {high:g} {unit}")
        return value

    return parse


def whole(low: int, high: int, unit: str) -> Parse:
    """Take a whole number of *unit* within bounds."""

    def parse(reader: Reader, node: yaml.Node) -> int:
        value: float = number(low, high, unit)(reader, node)
        if value != int(value):
            raise Mistake(f"expected a whole number of {unit}, found {value:g}")
        return int(value)

    return parse


def seconds(low: float, high: float) -> Parse:
    """Take a duration with its unit."""
    return quantity("a duration such as 1s or 200ms", UNITS_SECONDS, (low, high), "s")


def quantity(
    expected: str, units: Mapping[str, float], bounds: tuple[float, float], shown: str
) -> Parse:
    """Take a number with one of *units*, which say how many of ours it is.

    *bounds* are in the unit *shown*; *expected* ends the sentence about what is no quantity.
    """
    low, high = bounds

    def parse(reader: Reader, node: yaml.Node) -> float:
        found = text(reader, node)
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)", found)
        if not match or match[2] not in units:
            raise Mistake(f"expected {expected}, found {found!r}")
        value = float(match[1]) * units[match[2]]
        if not low * units[shown] <= value <= high * units[shown]:
            raise Mistake(f"{found} is outside {low:g}{shown} to {high:g}{shown}")
        return value

    return parse


def choice(*words: str) -> Parse:
    """Take one of these words."""

    def parse(reader: Reader, node: yaml.Node) -> str:
        found = text(reader, node)
        if found not in words:
            raise Mistake(f"expected {' or '.join(words)}, found {found!r}")
        return found

    return parse


def regex(reader: Reader, node: yaml.Node) -> re.Pattern[str]:
    """Take a regular expression."""
    try:
        return re.compile(text(reader, node))
    except re.error as error:
        raise Mistake(f"not a regular expression: {error}") from error


def items(parse: Parse, kind: str) -> Parse:
    """Take a list; a mistake in one item keeps the others."""

    def each(reader: Reader, node: yaml.Node) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise Mistake(f"expected a list of {kind}")
        values = []
        for item in node.value:
            try:
                values.append(parse(reader, item))
            except Mistake as mistake:
                reader.wrong(item, str(mistake))
        return tuple(values)

    return each


def block(make: Callable[..., Any], fields: Mapping[str, Field], *required: str) -> Parse:
    """Take a mapping and make something of its values; nothing while it has a mistake."""

    def parse(reader: Reader, node: yaml.Node) -> Any:  # noqa: ANN401  it is what *make* makes
        before = len(reader.mistakes)
        values = reader.mapping(node, fields, required)
        return make(**values) if len(reader.mistakes) == before else None

    return parse
