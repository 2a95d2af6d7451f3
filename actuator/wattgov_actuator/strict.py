"""YAML to plain values, strictly: every mistake at once, each as FILE:LINE:COLUMN: message.

The nodes of `yaml.compose` are read instead of `yaml.safe_load`'s values, because only nodes know
their line, and because YAML would turn `+20` or `1:30` into numbers that nobody wrote.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite

import yaml

# symbol -> (what it measures, size of one in the base unit)
UNITS = {
    "": ("count", 1.0),
    "W": ("watts", 1.0),
    "kW": ("watts", 1000.0),
    "mW": ("watts", 0.001),
    "%": ("percent", 1.0),
    "MHz": ("hertz", 1e6),
    "GHz": ("hertz", 1e9),
    "C": ("celsius", 1.0),
    "ms": ("seconds", 0.001),
    "s": ("seconds", 1.0),
    "m": ("seconds", 60.0),
    "h": ("seconds", 3600.0),
    "d": ("seconds", 86400.0),
}
SYMBOLS = {
    "watts": "W",
    "percent": "%",
    "seconds": "s",
    "hertz": "MHz",
    "celsius": "C",
    "count": "",
    "level": "",
}
QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([A-Za-z%]*)")
NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(ms|s|m|h)?")
REQUIRED = object()


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing wrong with a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """Return the form that editors jump to."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class Invalid(Exception):
    """Input that cannot be used; holds every mistake found, in file order."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, in base units (watts, seconds) or percent."""

    value: float
    unit: str

    def of(self, whole: float) -> float:
        """Return the value in base units; percent is taken of *whole*."""
        return whole * self.value / 100 if self.unit == "percent" else self.value

    def __str__(self) -> str:
        """Return it as a person would write it."""
        symbol = SYMBOLS[self.unit]
        return f"{self.value / UNITS[symbol][1]:g}{symbol}"


def compose(text: str, file: str) -> yaml.Node:
    """Return the root node of one YAML document; raises Invalid."""
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Invalid([Mistake(file, line, column, f"not YAML: {error.problem}")]) from None
    except yaml.reader.ReaderError as error:
        where = text[: error.position]
        line, column = where.count("\n") + 1, len(where) - where.rfind("\n")
        message = f"not YAML: the character {error.character!r} is not allowed"
        raise Invalid([Mistake(file, line, column, message)]) from None
    except RecursionError:
        raise Invalid([Mistake(file, 1, 1, "not YAML: nested too deeply")]) from None
    if root is None:
        raise Invalid([Mistake(file, 1, 1, "the file is empty")])
    return root


class Fields:
    """One YAML mapping, read key by key; `end` reports what nobody asked for."""

    def __init__(self, node: yaml.Node, file: str, mistakes: list[Mistake], what: str) -> None:
        self._node, self._file, self._mistakes, self.what = node, file, mistakes, what
        self._values: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self._known: dict[str, None] = {}  # a set that keeps the order of asking
        self._missing: list[str] = []
        if not isinstance(node, yaml.MappingNode):
            self.say(None, f"{what} must be a mapping, found {_kind(node)}")
            return
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else _kind(key)
            if name in self._values:
                first = self._values[name][0].start_mark.line + 1
                self._note(key, f"duplicate key '{name}' (first on line {first})")
            else:
                self._values[name] = (key, value)

    def __contains__(self, key: str) -> bool:
        """Tell whether the file has *key*."""
        return key in self._values

    def names(self, choices: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return the keys of a mapping that has names for keys; one not of *choices* is unknown."""
        self._known.update(dict.fromkeys(self._values))
        if choices is None:
            return tuple(self._values)
        for name, (key, _) in self._values.items():
            if name not in choices:
                self._note(key, f"{self.what}: unknown '{name}'{_hint(name, choices)}")
        return tuple(name for name in self._values if name in choices)

    def maps(self, key: str) -> bool:
        """Tell whether there is a mapping at *key*."""
        return key in self._values and isinstance(self._values[key][1], yaml.MappingNode)

    def strange(self, *more: str) -> bool:
        """Tell whether it has keys that nobody asked for, besides *more*, or is no mapping."""
        known = {*self._known, *more}
        return not isinstance(self._node, yaml.MappingNode) or any(
            k not in known for k in self._values
        )

    def say(self, key: str | None, message: str) -> None:
        """Report a mistake at *key*'s value, or at the mapping itself."""
        known = key is not None and key in self._values
        self._note(self._values[key][1] if known and key else self._node, message)

    def skip(self, *keys: str) -> None:
        """Take *keys* as known without looking at them."""
        self._known.update(dict.fromkeys(keys))

    def text(self, key: str, default: str | object = REQUIRED) -> str:
        """Return the text at *key*; empty text is a mistake."""
        node = self._scalar(key, default, "text")
        if node is None:
            return default if isinstance(default, str) else ""
        if not node.value.strip():
            self._note(node, f"{key} is empty")
        return str(node.value)

    def word(self, key: str, choices: Sequence[str], default: str | object = REQUIRED) -> str:
        """Return the one of *choices* at *key*."""
        node = self._scalar(key, default, "a word")
        if node is None:
            return default if isinstance(default, str) else choices[0]
        if node.value not in choices:
            self._note(node, f"{key}: unknown '{node.value}'{_hint(node.value, choices)}")
            return default if isinstance(default, str) else choices[0]
        return str(node.value)

    def one_of(self, key: str, choices: Sequence[str]) -> str | None:
        """Return the value at *key* when it is one of *choices*; else it is for others to read."""
        node = self._values[key][1] if key in self._values else None
        if isinstance(node, yaml.ScalarNode) and node.value in choices:
            self._known[key] = None
            return str(node.value)
        return None

    def peek(self, key: str, inner: str) -> str | None:
        """Return the text at *inner* of the mapping at *key*, which stays to be read."""
        node = self._values[key][1] if key in self._values else None
        for name, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(name, yaml.ScalarNode) and name.value == inner:
                return str(value.value) if isinstance(value, yaml.ScalarNode) else ""
        return None

    def flag(self, key: str, default: bool) -> bool:
        """Return the true or false at *key*."""
        node = self._scalar(key, default, "true or false")
        if node is None:
            return default
        if node.value not in {"true", "false"}:
            self._note(node, f"{key} must be true or false, found '{node.value}'")
        return bool(node.value == "true")

    def quantity(
        self, key: str, accepts: Sequence[str], taker: str, default: Quantity | None = None
    ) -> Quantity | None:
        """Return the quantity at *key* in one of the units that *taker* accepts, or *default*."""
        node = self._scalar(key, default, "a quantity")
        if node is None:
            return default
        written, takes = str(node.value).strip(), f"{taker} takes {' or '.join(accepts)}"
        match = QUANTITY.fullmatch(written)
        if match is None:
            example = f"20{SYMBOLS[accepts[0]]}"
            self._note(node, f"{key}: '{written}' is not a quantity; {takes}, such as '{example}'")
            return default
        number, symbol = match.groups()
        unit, size = UNITS.get(symbol, ("", 0.0))
        if unit not in accepts:
            guess = f"{number}{_close_symbol(symbol, accepts)}"
            trouble = f"'{written}': " if symbol else f"'{written}' has no unit: "
            self._note(node, f"{key}: {trouble}{takes}: did you mean '{guess}'?")
            return default
        return Quantity(float(number) * size, unit)

    def number(self, key: str, default: float | object = REQUIRED) -> float:
        """Return the bare number at *key*, or a duration in seconds."""
        node = self._scalar(key, default, "a number")
        if node is None:
            return default if isinstance(default, float) else 0.0
        written = str(node.value).strip()
        match = NUMBER.fullmatch(written)
        if match is None or not isfinite(float(match[1])):
            self._note(node, f"{key}: '{written}' is not a number, such as '0.2' or '200ms'")
            return default if isinstance(default, float) else 0.0
        return float(match[1]) * (UNITS[match[2]][1] if match[2] else 1.0)

    def texts(self) -> dict[str, str]:
        """Return the text at every key, whatever the keys are."""
        return {key: self.text(key) for key in self._values}

    def listed(self, key: str) -> list[str]:
        """Return the texts of the list at *key*, or its one text; none when the file has none."""
        self._known[key] = None
        if key not in self._values:
            return []
        node = self._values[key][1]
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found = []
        for each in nodes:
            if isinstance(each, yaml.ScalarNode) and each.value.strip():
                found.append(str(each.value))
            else:
                self._note(each, f"{key} takes texts, found {_kind(each)}")
        return found

    def seconds(self, key: str, default: float, at_least: float = 0.0) -> float:
        """Return the duration at *key* in seconds."""
        found = self.quantity(key, ("seconds",), key, Quantity(default, "seconds"))
        value = default if found is None else found.value
        if value < at_least:
            limit = f"be at least {at_least:g}s" if at_least else "not be negative"
            self.say(key, f"{key} must {limit}, found {self._values[key][1].value}")
        return value

    def block(self, key: str) -> "Fields | None":
        """Return the mapping at *key*, None when the file has none."""
        self._known[key] = None
        if key not in self._values:
            return None
        return Fields(self._values[key][1], self._file, self._mistakes, key)

    def blocks(self, key: str, what: str) -> "list[Fields]":
        """Return the mappings of the list at *key*; there must be at least one."""
        self._known[key] = None
        if key not in self._values:
            self._missing.append(key)
            return []
        node = self._values[key][1]
        if not isinstance(node, yaml.SequenceNode):
            self._note(node, f"{key} must be a list, found {_kind(node)}")
            return []
        if not node.value:
            self._note(node, f"{key} is empty")
        return [Fields(each, self._file, self._mistakes, what) for each in node.value]

    def end(self) -> None:
        """Report the keys that are missing and those that nobody asked for."""
        if not isinstance(self._node, yaml.MappingNode):
            return
        meant = set()
        for name, (key, _) in self._values.items():
            if name not in self._known:
                absent = [known for known in self._known if known not in self._values]
                hint = _hint(name, absent, else_list=sorted(self._known), what=self.what)
                meant.update(get_close_matches(name, absent, n=1))
                self._note(key, f"unknown key '{name}'{hint}")
        for name in self._missing:
            if name not in meant:  # a misspelt key is one mistake, not two
                self._note(self._node, f"{self.what} has no '{name}'")

    def _scalar(self, key: str, default: object, wanted: str) -> yaml.ScalarNode | None:
        self._known[key] = None
        if key not in self._values:
            if default is REQUIRED:
                self._missing.append(key)
            return None
        node = self._values[key][1]
        if isinstance(node, yaml.ScalarNode):
            return node
        self._note(node, f"{key} must be {wanted}, found {_kind(node)}")
        return None

    def _note(self, node: yaml.Node, message: str) -> None:
        mark = node.start_mark
        self._mistakes.append(Mistake(self._file, mark.line + 1, mark.column + 1, message))


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"'{node.value}'" if node.value else "nothing"


def _hint(
    name: str, known: Sequence[str], else_list: Sequence[str] | None = None, what: str = ""
) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f": did you mean '{close[0]}'?"
    takes = f"; in this version {what} takes " if what else "; known: "
    return takes + ", ".join(known if else_list is None else else_list)


def _close_symbol(symbol: str, accepts: Sequence[str]) -> str:
    for known, (unit, _) in UNITS.items():
        if unit in accepts and known.lower() == symbol.lower():
            return known
    return SYMBOLS[accepts[0]]


def seconds_of(text: str) -> float | None:
    """Return a length of time such as that of 30m; None when *text* is none."""
    match = QUANTITY.fullmatch(text)
    unit, size = UNITS.get(match[2], ("", 0.0)) if match else ("", 0.0)
    return float(match[1]) * size if match and unit == "seconds" and float(match[1]) >= 0 else None
