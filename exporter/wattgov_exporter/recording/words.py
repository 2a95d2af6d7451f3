"""What a source said, as paths of a recording: `said/NAME/readings/gpus/0/power_watts = 71.2`.

Any frozen dataclass of `reading.py` is taken apart by its fields, so a new field needs nothing
here. Text and the words of an enum stand as they are, other values as JSON; None and a field's
default are left out.
"""

import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from wattgov_exporter.reading import NoMeter, Readings, Reason
from wattgov_exporter.recording.format import Fact, Facts

SAID = "said"


@dataclass(frozen=True, slots=True)
class Word:
    """A source's answer at one moment, and what is known of the source itself."""

    reason: Reason
    detail: str = ""
    interval_seconds: float = 0.0
    expected_error: str = ""
    readings: Readings | None = None

    def answer(self) -> Readings:
        """Say it again: the readings, or NoMeter."""
        if self.reason is not Reason.OK:
            raise NoMeter(self.reason, self.detail)
        return self.readings or Readings(())


def facts(name: str, word: Word) -> dict[str, Fact]:
    """Return the lines of a source's word."""
    return {
        path: Fact(content.encode("utf-8", "surrogateescape") + b"\n")
        for path, content in _leaves(f"{SAID}/{name}", word)
    }


def words(state: Facts) -> dict[str, Word]:
    """Return what each source said; ValueError as `line: sentence` when a word is none."""
    tree: dict[str, Any] = {}
    for path, fact in state.items():
        root, *parts = path.split("/")
        if root != SAID:
            continue
        branch = tree
        for part in parts[:-1]:
            branch = branch.setdefault(part, {})
        branch[parts[-1]] = fact
    return {name: cast("Word", _built(Word, branch, name)) for name, branch in tree.items()}


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    if is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            part = getattr(value, one.name)
            if part is not None and part != _default(one):
                yield from _leaves(f"{path}/{one.name}", part)
    elif isinstance(value, tuple) and any(is_dataclass(one) for one in value):
        for index, one in enumerate(value):
            yield from _leaves(f"{path}/{index}", one)
    elif isinstance(value, str):
        yield path, str(value)
    else:
        yield path, json.dumps(value, default=_plain)


def _plain(value: object) -> object:
    """Return a set or a mapping as JSON knows it."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no value of a reading")


def _default(one: "Field[Any]") -> object:
    if one.default_factory is not MISSING:
        return one.default_factory()
    return one.default  # MISSING equals nothing that a field holds


def _built(kind: Any, node: object, path: str) -> object:  # noqa: ANN401  a type, or what typing makes of one
    """Return a value of *kind* from a tree of facts."""
    arms = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) in {Union, types.UnionType}:
        return _built(arms[0], node, path)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind, node, path)
    if get_origin(kind) is tuple and isinstance(node, dict):
        ordered = sorted(node, key=lambda key: (len(key), key))
        return tuple(_built(arms[0], node[key], f"{path}/{key}") for key in ordered)
    if not isinstance(node, Fact):
        raise _mistake(node, f"{path} is one value, and has parts here")
    content = node.content.decode("utf-8", "surrogateescape").removesuffix("\n")
    try:
        if isinstance(kind, type) and issubclass(kind, str):
            return kind(content)
        return _typed(kind, json.loads(content))
    except (ValueError, TypeError) as error:
        raise _mistake(node, f"{path}: {content[:50]!r} is not what it should be") from error


def _dataclass(kind: type, node: object, path: str) -> object:
    if not isinstance(node, dict):
        raise _mistake(node, f"{path} has parts, and is one value here")
    hints = get_type_hints(kind)
    values: dict[str, object] = {}
    for name, part in node.items():
        if name not in hints:
            raise _mistake(part, f"{path} has no {name!r}; another version wrote this")
        values[name] = _built(hints[name], part, f"{path}/{name}")
    for one in fields(cast("Any", kind)):
        if one.name in values or _default(one) is not MISSING:
            continue
        if get_origin(hints[one.name]) is tuple:
            values[one.name] = ()
        elif type(None) in get_args(hints[one.name]):
            values[one.name] = None
        else:
            raise _mistake(node, f"{path} lacks {one.name!r}")
    return kind(**values)


def _typed(kind: Any, value: Any) -> object:  # noqa: ANN401  JSON knows no types
    origin, arms = get_origin(kind), get_args(kind)
    if origin is tuple:
        kinds = [arms[0]] * len(value) if arms[-1] is Ellipsis else arms
        return tuple(_typed(one, part) for one, part in zip(kinds, value, strict=True))
    if origin is frozenset:
        return frozenset(_typed(arms[0], part) for part in value)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    if kind is float and isinstance(value, int):
        return float(value)
    if isinstance(kind, type) and not isinstance(value, kind):
        raise TypeError(value)
    return value


def _mistake(node: object, sentence: str) -> ValueError:
    """Return an error that begins with the line where the first fact of *node* stands."""
    while isinstance(node, dict):
        node = next(iter(node.values()))
    return ValueError(f"{node.line if isinstance(node, Fact) else 1}: {sentence}")
