"""Rows of text under one another, and the values in them."""

from collections.abc import Iterator, Sequence

from wattgov_actuator.reading import amount

SYMBOLS = {"watts": "W"}


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each row as a line; the last column is as long as it is."""
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    for row in rows:
        yield line_of(row, widths)


def line_of(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return one row with its columns at least as wide as *widths*."""
    *cells, last = row
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([*padded, last]).rstrip()


def value_text(value: float | None, unit: str) -> str:
    """Return the value of a knob with its unit; a dash where there is none."""
    if value is None:
        return "-"
    return amount(value, unit) if unit == "hertz" else f"{value:.6g} {SYMBOLS.get(unit, unit)}"
