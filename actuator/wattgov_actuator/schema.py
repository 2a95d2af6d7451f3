"""A JSON Schema of rule files for editors, found by asking the reader what it would take.

The reader is run over `Asked` instead of a file, once for each knob, since units are the knob's. So
a key that the reader learns is in the schema, and one that it forgets is not. The schema takes all
that the reader takes; what only the reader can judge (an expression, a bound) it lets pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import yaml

from wattgov_actuator.descriptions import DESCRIPTIONS
from wattgov_actuator.rulefile import NAME, outline
from wattgov_actuator.rules import Kind, LawForm
from wattgov_actuator.selection import LABEL
from wattgov_actuator.strict import (
    NOWHERE,
    NUMBER,
    QUANTITY,
    REQUIRED,
    UNITS,
    Fields,
    Mistake,
    Quantity,
)

Schema = dict[str, object]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE: Schema = {"type": "string", "pattern": r"\$\{"}
TEXT: Schema = {"type": ["string", "number", "boolean"]}  # YAML makes numbers of some texts
NAMED = ("groups.name", "groups.rules.action")
NOTHING = yaml.MappingNode("tag:yaml.org,2002:map", [], yaml.Mark("", 0, 0, 0, None, 0))


class Asked(Fields):
    """A mapping that has every key, and notes what it is asked for."""

    def __init__(self, path: str, knob: str) -> None:
        super().__init__(NOTHING, "", [], path)
        self._path, self._knob = path, knob
        self.properties: dict[str, Schema] = {}
        self.required: list[str] = []
        self._inner: dict[str, Asked] = {}
        self._others: Schema | None = None  # of keys that are not the language's

    def schema(self) -> Schema:
        """Return the schema of the mapping."""
        found: Schema = {"type": "object"}
        if self._others is not None:
            names = {"pattern": f"^{LABEL.pattern}$"}
            return {
                **found,
                "minProperties": 1,
                "propertyNames": names,
                "additionalProperties": TEXT,
            }
        for key, inner in self._inner.items():
            is_list = self.properties[key].get("type") == "array"
            more = inner.schema()
            self.properties[key].update({"items": more} if is_list else more)
        for key, one in self.properties.items():
            words = DESCRIPTIONS.get(self._under(key))
            self.properties[key] = {"description": words, **one} if words else one
        if self.required:
            found["required"] = self.required
        return {**found, "additionalProperties": False, "properties": self.properties}

    def __contains__(self, key: str) -> bool:
        """All keys are there."""
        return True

    def strange(self, *_: str) -> bool:
        """Nothing is to be concluded from what is not there."""
        return True

    def say(self, key: str | None, message: str) -> None:
        """Nothing is wrong."""

    def placed(self, _: str | None, message: str) -> Mistake:
        """Nothing is wrong."""
        return Mistake("", 1, 1, message)

    def end(self) -> None:
        """Nothing is missing."""

    def text(self, key: str, default: str | object = REQUIRED) -> str:
        """Note a text."""
        form = NAME.pattern if self._under(key) in NAMED else ""
        name = _or_variable({"type": "string", "pattern": f"^{form}$"})
        self._take(key, name if form else TEXT, "text")
        return self._default(key, default, "")

    def expression(self, key: str, default: str | object = REQUIRED) -> str:
        """Note an expression."""
        self._take(key, TEXT, "PromQL")
        return self._default(key, default, "")

    def word(
        self,
        key: str,
        choices: Sequence[str],
        default: str | object = REQUIRED,
        _elsewhere: Mapping[str, str] = NOWHERE,
    ) -> str:
        """Note words."""
        plain = [each for choice in choices for each in _plain(choice)]
        self._take(key, _or_variable({"enum": plain}), ", ".join(choices))
        return self._default(key, default, choices[0])

    def meant(self, _key: str, _choices: Sequence[str]) -> str | None:
        """Return the knob that is asked about."""
        return self._knob

    def one_of(self, key: str, choices: Sequence[str]) -> str | None:
        """Note words; something else may stand there too."""
        self._take(key, {"enum": list(choices)}, ", ".join(choices))
        return None

    def peek(self, _key: str, _inner: str) -> str | None:
        """Return nothing."""
        return None

    def flag(self, key: str, default: bool) -> bool:
        """Note a flag."""
        words: Schema = {"type": "string", "pattern": r"^(true|false)$|\$\{"}
        self._take(key, {"anyOf": [{"type": "boolean"}, words]}, "true or false")
        return default

    def quantity(
        self, key: str, accepts: Sequence[str], _taker: str, default: Quantity | None = None
    ) -> Quantity | None:
        """Note a quantity in these units."""
        symbols = [symbol for symbol, (unit, _) in UNITS.items() if unit in accepts]
        number = QUANTITY.pattern.partition(")\\s")[0]
        forms: list[Schema] = [{"type": "number"}] if "" in symbols else []
        pattern = rf"^\s*{number})\s*({'|'.join(symbols)})\s*$"
        text: Schema = {"type": "string", "pattern": pattern}
        self._take(key, _or_variable(*forms, text), " or ".join(accepts))
        return default

    def number(self, key: str, default: float | object = REQUIRED) -> float:
        """Note a number, or a duration for one."""
        text: Schema = {"type": "string", "pattern": rf"^\s*{NUMBER.pattern}\s*$"}
        self._take(key, _or_variable({"type": "number"}, text), "a number or a time")
        self._default(key, default, "")
        return default if isinstance(default, float) else 0.0

    def texts(self) -> dict[str, str]:
        """Note that the keys are free."""
        self._others = TEXT
        return {}

    def listed(self, key: str) -> list[tuple[str, Callable[[str], None]]]:
        """Note one text or more."""
        many: Schema = {"type": "array", "items": TEXT}
        self._take(key, {"anyOf": [TEXT, many]}, "text, or a list of texts")
        return []

    def block(self, key: str) -> Fields | None:
        """Note a mapping."""
        self._take(key, {}, "a mapping")
        return self._inner.setdefault(key, Asked(self._under(key), self._knob))

    def blocks(self, key: str, _what: str) -> list[Fields]:
        """Note a list of mappings."""
        self._take(key, {"type": "array", "minItems": 1}, "a list of mappings")
        self.required.append(key)
        return [self._inner.setdefault(key, Asked(self._under(key), self._knob))]

    def _under(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _take(self, key: str, schema: Schema, title: str) -> None:
        """Note one more thing that may stand at *key*."""
        before = self.properties.get(key)
        self.properties[key] = {"title": title, **schema}
        if before is not None and before != self.properties[key]:
            both = f"{before['title']} or {title}"
            forms = [each for one in (before, schema) for each in _forms(one)]
            self.properties[key] = {"title": both, "anyOf": forms}

    def _default(self, key: str, default: object, usual: str) -> str:
        if default is REQUIRED:
            self.required.append(key)
        return default if isinstance(default, str) else usual


def schema(laws: Mapping[str, LawForm], kinds: Mapping[str, Kind]) -> Schema:
    """Return the schema of a rule file."""
    asked = {knob: Asked("", knob) for knob in kinds}
    for each in asked.values():
        outline(each, laws, kinds)
    whole, *others = [each.schema() for each in asked.values()]
    rules = [_rule(each) for each in (whole, *others)]
    _rule(whole).update(_of_all_knobs(rules, list(kinds), laws))
    _either_key(whole, "groups", "include")
    return {
        "$schema": DIALECT,
        "title": "Rules of wattgov-actuator",
        "$defs": {"variable": VARIABLE},
        **whole,
    }


def _of_all_knobs(
    rules: Sequence[Schema], knobs: Sequence[str], laws: Mapping[str, LawForm]
) -> Schema:
    """Return a rule: what is the knob's own stands behind a condition, and loosely before it."""
    every = [_properties(rule) for rule in rules]
    own = [key for key in every[0] if any(each[key] != every[0][key] for each in every)]
    loose = {key: _loose([each[key] for each in every]) for key in own}
    kinds: list[tuple[Schema, list[str]]] = []
    for knob, properties in zip(knobs, every, strict=True):
        mine: Schema = {key: properties[key] for key in own}
        same = next((names for found, names in kinds if found == mine), None)
        if same is None:
            kinds.append((mine, [knob]))
        else:
            same.append(knob)
    keys = [key for form in laws.values() for key in form.keys]
    return {
        "properties": {**every[0], **loose},
        "oneOf": [{"required": [key]} for key in keys],
        "anyOf": [{"required": ["expr"]}, {"required": ["minimise"]}],
        "allOf": [
            {
                "if": {"properties": {"knob": {"enum": names}}, "required": ["knob"]},
                "then": {"properties": mine},
            }
            for mine, names in kinds
        ],
    }


def _loose(found: Sequence[Schema]) -> Schema:
    """Return what is true of a value whatever the knob is."""
    first = found[0]
    if all(each == first for each in found):
        return first
    if "properties" not in first:
        return {"description": first["description"], "title": "a quantity of the knob"}
    every = [_properties(each) for each in found]
    return {**first, "properties": {key: _loose([each[key] for each in every]) for key in every[0]}}


def parts(found: Schema, path: str = "") -> Iterator[tuple[str, Sequence[str], dict[str, Schema]]]:
    """Yield the mappings: where they stand, the keys they must have, and all their keys."""
    required, properties = found.get("required"), _properties(found)
    if properties:
        yield path, required if isinstance(required, list) else [], properties
    for key, one in properties.items():
        items = one.get("items")
        inner = items if isinstance(items, dict) else one
        yield from parts(inner, f"{path}.{key}" if path else key)


def _either_key(found: Schema, *keys: str) -> None:
    required = found["required"]
    if isinstance(required, list):
        found["required"] = [key for key in required if key not in keys]
    found["anyOf"] = [{"required": [key]} for key in keys]


def _rule(whole: Schema) -> Schema:
    """Return the part of the schema that is a rule."""
    groups = _properties(whole)["groups"]["items"]
    rules = _properties(groups)["rules"]["items"] if isinstance(groups, dict) else {}
    return rules if isinstance(rules, dict) else {}


def _properties(found: Schema) -> dict[str, Schema]:
    inner = found.get("properties")
    return inner if isinstance(inner, dict) else {}


def _forms(schema: Schema) -> list[object]:
    forms = schema.get("anyOf")
    return forms if isinstance(forms, list) else [schema]


def _or_variable(*forms: Schema) -> Schema:
    return {"anyOf": [*forms, {"$ref": "#/$defs/variable"}]}


def _plain(choice: str) -> list[object]:
    """Return a word as YAML reads it, with and without quotes."""
    return [int(choice), choice] if choice.isdecimal() else [choice]
