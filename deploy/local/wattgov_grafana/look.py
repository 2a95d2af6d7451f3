"""What a panel's JSON says about one series: colour, unit, whether it is dashed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wattgov_grafana import theme
from wattgov_grafana.ask import Series

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """How one series is drawn."""

    colour: str
    unit: str
    decimals: int | None
    dashed: bool
    stepped: bool
    right: bool
    hidden: bool  # from the legend


def looks(panel: Json, series: list[Series]) -> list[Look]:
    """Return how each series is drawn: the panel's defaults, then its overrides."""
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    found = []
    for number, one in enumerate(series):
        own: dict[str, Any] = {}
        for override in panel["fieldConfig"]["overrides"]:
            matcher = override["matcher"]
            if matcher["options"] == {"byFrameRefID": one.ref, "byName": one.name}[matcher["id"]]:
                own |= {each["id"]: each["value"] for each in override["properties"]}
        fixed = own.get("color", {}).get("fixedColor")
        found.append(
            Look(
                colour=theme.colour(fixed or theme.PALETTE[number % len(theme.PALETTE)]),
                unit=own.get("unit", defaults.get("unit", "none")),
                decimals=own.get("decimals", defaults.get("decimals")),
                dashed=own.get("custom.lineStyle", {}).get("fill") == "dash",
                stepped="step"
                in own.get("custom.lineInterpolation", custom.get("lineInterpolation", "")),
                right=own.get("custom.axisPlacement") == "right",
                hidden=own.get("custom.hideFrom", {}).get("legend", False),
            )
        )
    return found


def word(panel: Json, value: float) -> tuple[str, str] | None:
    """Return the text and the colour to which a value is mapped, if it is."""
    return mapped(panel["fieldConfig"]["defaults"].get("mappings", []), value)


def mapped(mappings: list[dict[str, Any]], value: object) -> tuple[str, str] | None:
    """Return the text and the colour that *mappings* give a value or a word."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    for mapping in mappings:
        if text in mapping["options"]:
            option = mapping["options"][text]
            return option["text"], theme.colour(option["color"])
    return None
