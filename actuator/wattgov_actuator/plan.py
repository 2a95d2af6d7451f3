"""What would change now, as a table a person can read."""

from collections.abc import Sequence

from wattgov_actuator.columns import aligned, value_text
from wattgov_actuator.decision import Decision

HEAD = ("RULE", "TARGET", "IN FORCE", "WANTED", "REASON", "WHY")


def table(decisions: Sequence[Decision]) -> str:
    """Return one line for each rule and target, aligned, the sentence last."""
    return "\n".join(aligned([HEAD, *map(_row, decisions)]))


def _row(decision: Decision) -> tuple[str, ...]:
    return (
        decision.rule,
        decision.target or "-",
        value_text(decision.current, decision.unit),
        value_text(decision.wanted, decision.unit),
        decision.reason,
        decision.detail,
    )
