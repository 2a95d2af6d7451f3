"""What would change now, as a table a person can read."""

from collections.abc import Sequence

from wattgov_actuator.decision import Decision
from wattgov_actuator.reading import amount

SYMBOLS = {"watts": "W"}
HEAD = ("RULE", "TARGET", "IN FORCE", "WANTED", "REASON", "WHY")


def table(decisions: Sequence[Decision]) -> str:
    """Return one line for each rule and target, aligned, the sentence last."""
    rows = [HEAD, *map(_row, decisions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD) - 1)]
    return "\n".join(_line(row, widths) for row in rows)


def _row(decision: Decision) -> tuple[str, ...]:
    return (
        decision.rule,
        decision.target or "-",
        _value(decision.current, decision.unit),
        _value(decision.wanted, decision.unit),
        decision.reason,
        decision.detail,
    )


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return amount(value, unit) if unit == "hertz" else f"{value:.6g} {SYMBOLS.get(unit, unit)}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    *cells, why = row
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([*padded, why])
