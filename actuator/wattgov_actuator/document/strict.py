"""YAML to plain values, strictly: every mistake at once, each as FILE:LINE:COLUMN: message.

The nodes of `yaml.compose` are read instead of `yaml.safe_load`'s values, because only nodes know
their line, and because YAML would turn `+20` or `1:30` into numbers that nobody wrote.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite

import yaml

from wattgov_actuator.document.expressions import syntax
from wattgov_actuator.document.hints import closest, hint
from wattgov_actuator.document.mistakes import Invalid, Mistake, compose, mistake_at
from wattgov_actuator.document.quantity import (
    COUNT,
    DIGITS,
    NUMBER,
    QUANTITY,
    SYMBOLS,
    UNITS,
    Quantity,
    symbol_like,
)
from wattgov_actuator.document.tree import MERGE, brackets, is_nothing, kind, line_of

# With what whoever reads a file needs, too.
__all__ = ["NOWHERE", "REQUIRED", "UNITS", "Fields", "Invalid", "Mistake", "Quantity", "compose"]

FLAGS = dict.fromkeys(("true", "yes", "on", "1"), "true")
FLAGS |= dict.fromkeys(("false", "no", "off", "0"), "false")
REQUIRED = object()
NOWHERE: Mapping[str, str] = {}


class Fields:
    """One YAML mapping, read key by key; `end` reports what nobody asked for."""

    def __init__(
        self,
        node: yaml.Node,
        file: str,
        mistakes: list[Mistake],
        what: str,
        told: set[int] | None = None,
    ) -> None:
        self._node, self._file, self._mistakes, self.what = node, file, mistakes, what
        self._told = set[int]() if told is None else told  # ids of nodes: one mistake each
        self._values: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self._known: dict[str, None] = {}  # a set that keeps the order of asking
        self._missing: dict[str, str] = {}  # with what is known of it
        self._odd = False  # has keys that cannot be read, so that others may not be missing
        if not isinstance(node, yaml.MappingNode):
            self.say(None, f"{what} must be a mapping (key: value), found {kind(node)}")
            return
        for key, value in node.value:
            name = str(key.value)
            if not isinstance(key, yaml.ScalarNode) or is_nothing(key):
                self._odd = True
                self._note(key, f"a key must be text, found {kind(key)}")
            elif key.tag == MERGE:
                self._odd = True
                self._note(key, "'<<' merges nothing here; write the keys out")
            elif name in self._values:
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
                self._note(key, f"{self.what}: unknown '{name}'{hint(name, choices)}")
        return tuple(name for name in self._values if name in choices)

    def maps(self, key: str) -> bool:
        """Tell whether there is a mapping at *key*."""
        return key in self._values and isinstance(self._values[key][1], yaml.MappingNode)

    def strange(self, *more: str) -> bool:
        """Tell whether it has keys that nobody asked for, besides *more*, or is no mapping."""
        known = {*self._known, *more}
        mapping = isinstance(self._node, yaml.MappingNode)
        return not mapping or self._odd or any(k not in known for k in self._values)

    def say(self, key: str | None, message: str) -> None:
        """Report a mistake at *key*'s value, or at the mapping itself."""
        self._note(self._at(key), message)

    def placed(self, key: str | None, message: str) -> Mistake:
        """Return, and do not report, a mistake at *key*'s value, or at the mapping itself."""
        return mistake_at(self._at(key), self._file, message)

    def refuse(self, key: str, message: str) -> None:
        """Report a mistake at *key*, if it is there, and take it as not there."""
        if key in self._values:
            self.say(key, message)
            del self._values[key]

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

    def expression(self, key: str, default: str | object = REQUIRED) -> str:
        """Return the PromQL at *key*; where a parser is installed, a syntax error is a mistake."""
        found = self.text(key, default)
        if found.strip() and key in self._values and (wrong := syntax(found)):
            self.say(key, f"{key} is not PromQL: {wrong}")
        return found

    def word(
        self,
        key: str,
        choices: Sequence[str],
        default: str | object = REQUIRED,
        elsewhere: Mapping[str, str] = NOWHERE,
    ) -> str:
        """Return the one of *choices* at *key*; *elsewhere* says where other words have gone."""
        node = self._scalar(key, default, "a word", choices)
        usual = default if isinstance(default, str) else choices[0]
        if node is None or node.value in choices:
            return usual if node is None else str(node.value)
        shown = line_of(node.value)
        if node.value in elsewhere:
            self._note(node, f"{key}: '{shown}' {elsewhere[node.value]}")
        elif len(choices) == 1:
            self._note(node, f"{key} must be {choices[0]}, found {kind(node)}")
        else:
            self._note(node, f"{key}: unknown '{shown}'{hint(shown, choices)}")
        return usual

    def name(self, key: str, known: Sequence[str], default: str | object = REQUIRED) -> str:
        """Return the one of *known*, which the file itself names, at *key*."""
        found = self.text(key, default)
        if key in self._values and found.strip() and found not in known:
            shown = line_of(found)
            self.say(key, f"{key}: unknown '{shown}'{hint(shown, known)}")
        return found

    def meant(self, key: str, choices: Sequence[str]) -> str | None:
        """Return the one of *choices* that is, or is nearly, at *key*, which stays to be read."""
        node = self._values[key][1] if key in self._values else None
        name = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
        return name if name in choices else closest(name, choices)

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
            guess = FLAGS.get(node.value.strip().lower())
            maybe = f": did you mean '{guess}'?" if guess else ""
            self._note(node, f"{key} must be true or false, found {kind(node)}{maybe}")
        return bool(node.value == "true")

    def quantity(
        self, key: str, accepts: Sequence[str], taker: str, default: Quantity | None = None
    ) -> Quantity | None:
        """Return the quantity at *key* in one of the units that *taker* accepts, or *default*."""
        node = self._scalar(key, default, "a quantity")
        if node is None:
            return default
        written = str(node.value).strip()
        takes = f"{taker} takes {' or '.join(accepts) or 'a number with its unit'}"
        match, shown = QUANTITY.fullmatch(written), line_of(written)
        if not accepts and (match is None or match[2] not in UNITS):
            return default  # nobody knows what would be right
        if match is None or len(match[1]) > DIGITS:
            example = f"20{SYMBOLS[accepts[0] if accepts else 'watts']}"
            trouble = "is not a quantity" if match is None else "is larger than anything here"
            self._note(node, f"{key}: '{shown}' {trouble}; {takes}, such as '{example}'")
            return default
        number, symbol = match.groups()
        unit, size = UNITS.get(symbol, ("", 0.0))
        if accepts and unit not in accepts:
            guess = f"{number}{symbol_like(symbol, accepts)}"
            if not symbol and accepts == ("percent",) and 0 < abs(float(number)) <= 1:
                guess = f"{float(number) * 100:g}%"
            trouble = f"'{shown}': " if symbol else f"'{shown}' has no unit: "
            end = f": did you mean '{guess}'?"
            if size not in {0.0, 1.0}:  # 2GHz is no slip of the pen for 2W
                end = f", such as '20{SYMBOLS[accepts[0]]}'"
            self._note(node, f"{key}: {trouble}{takes}{end}")
            return default
        return Quantity(float(number) * size, unit)

    def number(self, key: str, default: float | object = REQUIRED) -> float:
        """Return the bare number at *key*, or a duration in seconds."""
        node = self._scalar(key, default, "a number")
        if node is None:
            return default if isinstance(default, float) else 0.0
        written = str(node.value).strip()
        match = NUMBER.fullmatch(written)
        size = UNITS[match[2]][1] if match and match[2] else 1.0
        if match is None or not isfinite(float(match[1]) * size):
            trouble = "is not a number" if match is None else "is larger than anything here"
            self._note(node, f"{key}: '{line_of(written)}' {trouble}, such as '0.2' or '200ms'")
            return default if isinstance(default, float) else 0.0
        return float(match[1]) * size

    def count(self, key: str, default: int | object = REQUIRED, at_least: int = 0) -> int:
        """Return the whole number at *key*."""
        node = self._scalar(key, default, "a whole number")
        usual = default if isinstance(default, int) else at_least
        if node is None:
            return usual
        written = str(node.value).strip()
        if not COUNT.fullmatch(written) or int(written) < at_least:
            shown = line_of(written)
            self._note(node, f"{key} must be a whole number, {at_least} or more, found '{shown}'")
            return usual
        return int(written)

    def texts(self) -> dict[str, str]:
        """Return the text at every key, whatever the keys are."""
        return {key: self.text(key) for key in self._values}

    def listed(self, key: str) -> list[tuple[str, Callable[[str], None]]]:
        """Return the texts of the list at *key*, or its one text, each with a way to say something.

        None when the file has none.
        """
        self._known[key] = None
        if key not in self._values:
            return []
        node = self._values[key][1]
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: list[tuple[str, Callable[[str], None]]] = []
        for each in nodes:
            if isinstance(each, yaml.ScalarNode) and each.value.strip() and not is_nothing(each):
                found.append((str(each.value), partial(self._note, each)))
            else:
                self._note(each, f"{key} takes texts, found {kind(each)}")
        return found

    def seconds(self, key: str, default: float, at_least: float = 0.0) -> float:
        """Return the duration at *key* in seconds."""
        found = self.quantity(key, ("seconds",), key, Quantity(default, "seconds"))
        value = default if found is None else found.value
        if key in self._values and value < at_least:
            limit = f"be at least {at_least:g}s" if at_least else "not be negative"
            self.say(key, f"{key} must {limit}, found {line_of(str(self._at(key).value))}")
        return value

    def block(self, key: str) -> "Fields | None":
        """Return the mapping at *key*, None when the file has none."""
        self._known[key] = None
        if key not in self._values:
            return None
        return Fields(self._values[key][1], self._file, self._mistakes, key, self._told)

    def blocks(self, key: str, what: str) -> "list[Fields]":
        """Return the mappings of the list at *key*; there must be at least one."""
        self._known[key] = None
        if key not in self._values:
            self._missing[key] = ""
            return []
        node = self._values[key][1]
        if not isinstance(node, yaml.SequenceNode):
            dash = "; begin each item with '- '" if isinstance(node, yaml.MappingNode) else ""
            self._note(node, f"{key} must be a list, found {kind(node)}{dash}")
            return []
        if not node.value:
            self._note(node, f"{key} is empty; it takes at least one item")
        return [Fields(each, self._file, self._mistakes, what, self._told) for each in node.value]

    def end(self) -> None:
        """Report the keys that are missing and those that nobody asked for."""
        if not isinstance(self._node, yaml.MappingNode):
            return
        meant = set()
        for name, (key, _) in self._values.items():
            if name not in self._known:
                absent = [known for known in self._known if known not in self._values]
                meant.add(closest(name, absent))
                told = hint(name, absent, else_list=sorted(self._known), what=self.what)
                self._note(key, f"unknown key '{line_of(name)}'{told}")
        for name, advice in self._missing.items():
            if name not in meant and not self._odd:  # a misspelt key is one mistake, not two
                self._note(self._node, f"{self.what} has no '{name}'{advice}")

    def _scalar(
        self, key: str, default: object, wanted: str, choices: Sequence[str] = ()
    ) -> yaml.ScalarNode | None:
        self._known[key] = None
        if key not in self._values:
            if default is REQUIRED:
                advice = f"; write {key}: {choices[0]}" if len(choices) == 1 else _known(choices)
                self._missing[key] = advice
            return None
        node = self._values[key][1]
        if is_nothing(node):
            self._note(node, f"{key} is empty{_known(choices)}")
            return None
        if isinstance(node, yaml.ScalarNode):
            return node
        self._note(node, f"{key} must be {wanted}, found {kind(node)}{brackets(node, wanted)}")
        return None

    def _at(self, key: str | None) -> yaml.Node:
        return self._values[key][1] if key is not None and key in self._values else self._node

    def _note(self, node: yaml.Node, message: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            if id(node) in self._told:
                return
            self._told.add(id(node))
        self._mistakes.append(mistake_at(node, self._file, message))


def _known(choices: Sequence[str]) -> str:
    return f"; known: {', '.join(choices)}" if choices else ""
