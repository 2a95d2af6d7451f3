"""Which decisions are worth a note, and its words; pure."""

from dataclasses import dataclass

from wattgov_actuator.columns import value_text
from wattgov_actuator.decision import Decision

WRITTEN = {"applied", "slewed", "restored", "rolled_back"}
TROUBLE = {"conflict", "refused", "lost", "unjournalled"}


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to be told."""

    at: float  # unix seconds
    text: str  # one line
    tags: tuple[str, ...]


def note_of(one: Decision, host: str) -> Note | None:
    """Return the note on a decision; None when nothing was changed, nor failed to be."""
    wrote = one.acts or one.read_back is not None
    if one.reason not in TROUBLE and not (one.reason in WRITTEN and wrote):
        return None
    before, after = value_text(one.current, one.unit), value_text(one.wanted, one.unit)
    change = f"{before} -> {after}" if one.reason in WRITTEN else f"stays at {before}"
    what = f"{one.knob} of {one.target}" if one.target else one.knob
    text = f"{one.rule} on {host}: {what}: {change}, {one.reason}: {one.detail}"
    tags = {"rule": one.rule, "knob": one.knob, "target": one.target, "reason": str(one.reason)}
    named = (f"{key}:{value}" for key, value in tags.items() if value)
    return Note(one.at, " ".join(text.split()), ("wattgov", f"host:{host}", *named))
