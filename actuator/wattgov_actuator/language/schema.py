"""A JSON Schema of rule files for editors, found by asking the reader what it would take.

The reader is run over `Asked` instead of a file, once for each knob, since units are the knob's,
and once for each backend. So a key that the reader learns is in the schema, and one that it forgets
is not. The schema takes all that the reader takes; what only the reader can judge (an expression, a
bound) it lets pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import yaml

from wattgov_actuator.document.quantity import COUNT, NUMBER, QUANTITY, UNITS, Quantity
from wattgov_actuator.document.strict import NOWHERE, REQUIRED, Fields, Mistake
from wattgov_actuator.language.descriptions import DESCRIPTIONS
from wattgov_actuator.language.rulefile import NAME, outline
from wattgov_actuator.rules import Kind, LawForm
from wattgov_actuator.selection import LABEL

Schema = dict[str, object]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE: Schema = {"type": "string", "pattern": r"\$\{"}
TEXT: Schema = {"type": ["string", "number", "boolean"]}  # YAML makes numbers of some texts
NAMED = ("groups.name", "groups.rules.action")
PLACES = {"rule": "groups.rules.knob", "entry": "knobs.knob", "backend": "knobs.backend"}
NOTHING = yaml.MappingNode("tag:yaml.org,2002:map", [], yaml.Mark("", 0, 0, 0, None, 0))


class Part(NamedTuple):
    """One mapping of a rule file."""

    path: str  # of keys, with dots between them
    backend: str  # where the keys depend on it
    required: Sequence[str]
    properties: Mapping[str, Schema]


class Asked(Fields):
    """A mapping that has every key, and notes what it is asked for.

    *chosen* are the words that stand in it: the knob, the backend.
    """

    def __init__(self, path: str, chosen: Mapping[str, str]) -> None:
        super().__init__(NOTHING, "", [], path)
        self._path, self._chosen = path, chosen
        self.properties: dict[str, Schema] = {}
        self.required: list[str] = []
        self._optional: set[str] = set()
        self._refused: set[str] = set()
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
        if must := [key for key in self.required if key not in self._optional | self._refused]:
            found["required"] = must
        taken = {key: one for key, one in self.properties.items() if key not in self._refused}
        return {**found, "additionalProperties": False, "properties": taken}

    def __contains__(self, key: str) -> bool:
        """All keys are there."""
        return True

    def strange(self, *_: str) -> bool:
        """Nothing is to be concluded from what is not there."""
        return True

    def say(self, key: str | None, message: str) -> None:
        """Nothing is wrong."""

    def refuse(self, key: str, message: str) -> None:  # noqa: ARG002 (there is no mistake)
        """Note that *key* is not taken."""
        self._refused.add(key)

    def skip(self, *keys: str) -> None:
        """Note that *keys* may be left out."""
        self._optional.update(keys)

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

    def meant(self, key: str, _choices: Sequence[str]) -> str | None:
        """Return what is asked about."""
        return self._chosen.get(self._under(key))

    def name(self, key: str, _known: Sequence[str], default: str | object = REQUIRED) -> str:
        """Note a name that the file gives."""
        return self.text(key, default)

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

    def count(self, key: str, default: int | object = REQUIRED, at_least: int = 0) -> int:
        """Note a whole number."""
        text: Schema = {"type": "string", "pattern": rf"^\s*{COUNT.pattern}\s*$"}
        self._take(
            key, _or_variable({"type": "integer", "minimum": at_least}, text), "a whole number"
        )
        self._default(key, default, "")
        return default if isinstance(default, int) else at_least

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
        return self._inner.setdefault(key, Asked(self._under(key), self._chosen))

    def blocks(self, key: str, _what: str) -> list[Fields]:
        """Note a list of mappings."""
        self._take(key, {"type": "array", "minItems": 1}, "a list of mappings")
        self.required.append(key)
        return [self._inner.setdefault(key, Asked(self._under(key), self._chosen))]

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

    def told(**chosen: str) -> Schema:
        asked = Asked("", {PLACES[key]: word for key, word in chosen.items()})
        outline(asked, laws, kinds)
        return asked.schema()

    whole, *others = [told(rule=knob) for knob in kinds]
    rules = [_items(each, "groups", "rules") for each in (whole, *others)]
    rules[0].update(_of_all_knobs(rules, list(kinds), laws))
    ways = [(knob, name) for knob, kind in kinds.items() for name in kind.backends]
    entries = [_items(told(entry=knob, backend=name), "knobs") for knob, name in ways]
    _properties(whole)["knobs"]["items"] = _of_all_backends(entries, ways)
    whole["anyOf"] = [{"required": ["groups"]}, {"required": ["include"]}]
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
    found = {key: [each.get(key) for each in every] for each in every for key in each}
    loose = {key: _loose([each for each in forms if each]) for key, forms in found.items()}
    own = [key for key, forms in found.items() if any(each != forms[0] for each in forms)]
    kinds: list[tuple[Schema, list[str]]] = []
    for knob, properties in zip(knobs, every, strict=True):
        mine: Schema = {key: properties.get(key, False) for key in own}
        same = next((names for found, names in kinds if found == mine), None)
        if same is None:
            kinds.append((mine, [knob]))
        else:
            same.append(knob)
    keys = [key for form in laws.values() for key in form.keys]
    return {
        "properties": loose,
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


def _of_all_backends(entries: Sequence[Schema], ways: Sequence[tuple[str, str]]) -> Schema:
    """Return an entry of `knobs`: each backend has its own keys, of which some are a knob's."""
    forms: list[Schema] = []
    taken = [_keys(entry) for entry in entries]
    for entry, keys, (_, name) in zip(entries, taken, ways, strict=True):
        knobs = [
            knob
            for (knob, other), theirs in zip(ways, taken, strict=True)
            if (other, theirs) == (name, keys)
        ]
        own = {"knob": _or_variable({"enum": knobs}), "backend": _or_variable({"const": name})}
        found = _properties(entry)
        titles = {"knob": ", ".join(knobs), "backend": name}
        words = {key: {**found[key], "title": titles[key], **own[key]} for key in own}
        form = {"title": name, **entry, "properties": {**found, **words}}
        forms += [] if form in forms else [form]
    return {"type": "object", "anyOf": forms}


def _keys(entry: Schema) -> Mapping[str, Schema]:
    """Return what an entry says beside its knob and its backend."""
    own = {"knob", "backend"}
    return {key: each for key, each in _properties(entry).items() if key not in own}


def _loose(found: Sequence[Schema]) -> Schema:
    """Return what is true of a value whatever the knob is."""
    first = found[0]
    if all(each == first for each in found):
        return first
    if "properties" not in first:
        return {"description": first["description"], "title": "a value of the knob"}
    every = [_properties(each) for each in found]
    return {**first, "properties": {key: _loose([each[key] for each in every]) for key in every[0]}}


def parts(found: Schema, path: str = "", backend: str = "") -> Iterator[Part]:
    """Yield the mappings of a schema."""
    required, properties = found.get("required"), _properties(found)
    if properties:
        yield Part(path, backend, required if isinstance(required, list) else [], properties)
    for key, one in properties.items():
        items = one.get("items")
        inner = items if isinstance(items, dict) else one
        under = f"{path}.{key}" if path else key
        yield from parts(inner, under)
        for form in filter(_properties, _forms(inner) if "anyOf" in inner else ()):
            yield from parts(form, under, str(form["title"]))


def _items(whole: Schema, *keys: str) -> Schema:
    """Return the schema of an item of the lists at *keys*."""
    for key in keys:
        items = _properties(whole)[key]["items"]
        whole = items if isinstance(items, dict) else {}
    return whole


def _properties(found: Schema) -> dict[str, Schema]:
    inner = found.get("properties")
    return inner if isinstance(inner, dict) else {}


def _forms(schema: Schema) -> list[Schema]:
    forms = schema.get("anyOf")
    return forms if isinstance(forms, list) else [schema]


def _or_variable(*forms: Schema) -> Schema:
    return {"anyOf": [*forms, {"$ref": "#/$defs/variable"}]}


def _plain(choice: str) -> list[object]:
    """Return a word as YAML reads it, with and without quotes."""
    return [int(choice), choice] if choice.isdecimal() else [choice]
