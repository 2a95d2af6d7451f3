"""Stand-ins for what would tell whose machine it is; the same one for the same name each time."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

LEAST = 3
"""A host or user with a shorter name is not looked for: it would be found in every word."""

LEAST_UUID = 8

_HEX = "[0-9A-Fa-f]"
_UUID = rf"{_HEX}{{8}}[-_]{_HEX}{{4}}[-_]{_HEX}{{4}}[-_]{_HEX}{{4}}[-_]{_HEX}{{12}}"
_PCI = re.compile(rf"{_HEX}{{4,8}}:{_HEX}{{2}}:{_HEX}{{2}}\.[0-7]")
_IPV6 = rf"(?:{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{0,6}})?"
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("http://host", re.compile(r"(?<![A-Za-z])[a-z]+://[^\s/'\",;)]+")),
    ("MIG", re.compile(rf"MIG-(?:GPU-)?{_UUID}(?:/\d+)*")),
    ("GPU", re.compile(rf"GPU-{_UUID}")),
    ("UUID", re.compile(rf"(?<!{_HEX}){_UUID}(?!{_HEX})")),
    (
        "MAC",
        re.compile(
            rf"(?<![0-9A-Za-z:]){_HEX}{{2}}([:_-])(?:{_HEX}{{2}}\1){{4,6}}{_HEX}{{2}}(?!\w)"
        ),
    ),
    ("ADDRESS", re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.])")),
    (
        "ADDRESS",
        re.compile(rf"(?<![\w:]){_IPV6}::{_IPV6}(?!\w)|(?:{_HEX}{{1,4}}:){{7}}{_HEX}{{1,4}}"),
    ),
    ("ADDRESS", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("HOST", re.compile(r"(?<![\w/.-])(?:[a-z0-9-]+\.){2,}[a-z]{2,}(?![\w.])")),
    ("/home/USER", re.compile(r"/home/[^/\s:'\"]+")),
    ("SERIAL", re.compile(r"(?<!\w)(?=[A-Z]*[0-9])[0-9A-Z]{10,}(?!\w)")),
    ("SERIAL", re.compile(rf"(?<!\w)(?={_HEX}*[0-9])(?=[0-9]*[a-f]){_HEX}{{12,}}(?!\w)")),
)
"""Kinds of names by their shape. A PCI address (0000:c1:00.0) has none of these, and stays."""


class StandIns:
    """Gives a name its number when it is first seen.

    *names* are what is hidden wherever it stands as a word: hosts and users.
    """

    def __init__(self, names: Iterable[str] = (), places: Mapping[str, str] | None = None) -> None:
        self._given: dict[str, dict[str, str]] = defaultdict(dict)
        self._places = dict(places or {})
        self._cards: dict[str, str] = {}
        kept = sorted({name for name in names if len(name) >= LEAST}, key=len, reverse=True)
        words = "|".join(map(re.escape, kept))
        self._names = re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])", re.IGNORECASE)
        self._hides = bool(kept)

    def name(self, kind: str, value: str) -> str:
        """Return the stand-in of a value, such as GPU-1."""
        given = self._given[kind]
        return given.setdefault(value, f"{kind}-{len(given) + 1}")

    def card(self, uuid: str) -> str:
        """Return the stand-in of a card's uuid, whatever its form.

        A place on the bus stays, and so does what is too short to be anybody's.
        """
        if _PCI.fullmatch(uuid) or len(uuid) < LEAST_UUID:
            return uuid
        kind = "MIG" if uuid.startswith("MIG") else "GPU"
        return self._cards.setdefault(uuid, self.name(kind, uuid))

    def text(self, text: str) -> str:
        """Return a text without the names in it."""
        for place, shown in self._places.items():
            text = text.replace(place, shown)
        for uuid, shown in self._cards.items():
            text = text.replace(uuid, shown)
        for kind, shape in _KINDS:
            text = shape.sub(partial(self._found, kind), text)
        return self._names.sub(partial(self._found, "NAME"), text) if self._hides else text

    def _found(self, kind: str, found: re.Match[str]) -> str:
        return self.name(kind, found[0].lower() if kind == "NAME" else found[0])
