"""Numbers in words, in Grafana's units and with its number of digits."""

import math

_SI = ("n", "µ", "m", "", "k", "M", "G", "T")
_SHORT = ("", " K", " Mil", " Bil")
_SECONDS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "mins"), (1.0, "s"))
SI_UNITS = {"watt": "W", "joule": "J", "watth": "Wh", "massg": "g", "hertz": "Hz"}
COUNTED = {"reqps": " req/s", "short": ""}
"""Units that Grafana counts in thousands."""
PLAIN = {"none": (1.0, ""), "celsius": (1.0, " °C"), "percentunit": (100.0, "%")}
"""How often a value is taken, and what is written behind it."""
NOTHING = 1e-12


def written(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value with its unit; KeyError for a unit that is not known."""
    if math.isnan(value) or math.isinf(value):
        return str(value)
    if unit in SI_UNITS:
        return _si(value, SI_UNITS[unit], decimals)
    if unit in COUNTED:
        scaled, prefix = _scaled(value, _SHORT, 0)
        return f"{number(scaled, decimals)}{prefix}{COUNTED[unit]}"
    if unit == "s":
        return _seconds(value, decimals)
    factor, behind = PLAIN[unit]
    return f"{number(value * factor, decimals)}{behind}"


def number(value: float, decimals: int | None = None) -> str:
    """Return a number as Grafana does: three digits that matter, none behind a whole number."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if abs(value) < NOTHING:
        return "0"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _si(value: float, unit: str, decimals: int | None) -> str:
    scaled, prefix = _scaled(value, _SI, _SI.index(""))
    return f"{number(scaled, decimals)} {prefix}{unit}"


def _scaled(value: float, prefixes: tuple[str, ...], zero: int) -> tuple[float, str]:
    if abs(value) < NOTHING:
        return 0.0, prefixes[zero]
    steps = math.floor(math.log10(abs(value)) / 3.0)
    steps = max(-zero, min(len(prefixes) - 1 - zero, steps))
    return value / 1000.0**steps, prefixes[zero + steps]


def _seconds(value: float, decimals: int | None) -> str:
    if abs(value) < 1.0:
        return _si(value, "s", decimals)
    for length, name in _SECONDS:
        if abs(value) >= length:
            return f"{number(value / length, decimals)} {name}"
    return f"{number(value, decimals)} s"
