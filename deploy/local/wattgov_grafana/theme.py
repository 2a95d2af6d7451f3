"""Colours and sizes in the manner of Grafana's dark theme."""

PAGE, PANEL, BORDER = "#111217", "#181b1f", "#2a2e34"
TEXT, MUTED, GRID = "#ccccdc", "#8e8e9c", "#2b2e35"
UNFILLED = "#23262b"
PALETTE = (
    "#7EB26D",
    "#EAB839",
    "#6ED0E0",
    "#EF843C",
    "#E24D42",
    "#1F78C1",
    "#BA43A9",
    "#705DA0",
    "#508642",
    "#CCA300",
    "#447EBC",
    "#C15C17",
    "#890F02",
    "#0A437C",
    "#6D1F62",
    "#584477",
)
NAMED = {
    "green": "#73BF69",
    "dark-green": "#37872D",
    "light-green": "#96D98D",
    "yellow": "#F2CC0C",
    "orange": "#FF9830",
    "dark-orange": "#FA6400",
    "red": "#F2495C",
    "dark-red": "#C4162A",
    "blue": "#5794F2",
    "light-blue": "#8AB8FF",
    "dark-blue": "#1F60C4",
    "purple": "#B877D9",
    "light-purple": "#CA95E5",
    "text": TEXT,
    "gray": "#808080",
}
KEPT = (*PALETTE, *NAMED.values())
"""Colours that mean something, of which a picture may have few pixels."""
CELL_PIXELS, GAP_PIXELS, EDGE_PIXELS = 30, 8, 16
COLUMNS = 24


def colour(name: str) -> str:
    """Return a colour by Grafana's name or as it is; KeyError for a name that is not known."""
    return name if name.startswith("#") else NAMED[name]


def step(value: float, steps: list[dict[str, object]]) -> str:
    """Return the colour of the highest threshold that *value* reaches."""
    held = [one for one in steps if one["value"] is None or value >= float(str(one["value"]))]
    return colour(str(held[-1]["color"]))
