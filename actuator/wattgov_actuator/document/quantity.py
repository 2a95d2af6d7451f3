"""Numbers with their units, as rule files and flags write them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

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
QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)")
NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(ms|s|m|h|d)?")
COUNT = re.compile(r"\+?[0-9]{1,15}")
DIGITS = 15  # a float holds no more


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


def symbol_like(symbol: str, accepts: Sequence[str]) -> str:
    """Return the symbol of a unit that was probably meant by *symbol*."""
    for known, (unit, _) in UNITS.items():
        if unit in accepts and known.lower() == symbol.lower():
            return known
    return SYMBOLS[accepts[0]]


def seconds_of(text: str) -> float | None:
    """Return a length of time such as that of 30m; None when *text* is none."""
    match = QUANTITY.fullmatch(text)
    unit, size = UNITS.get(match[2], ("", 0.0)) if match else ("", 0.0)
    return float(match[1]) * size if match and unit == "seconds" and float(match[1]) >= 0 else None
