"""How to put one target back, as a row of the journal holds it."""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where an undo stands."""

    OPEN = "open"  # our value is, or may be, in force
    CLOSED = "closed"  # put back, or never changed
    CONFLICT = "conflict"  # somebody changed the value after us; it is theirs until `restore`


@dataclass(frozen=True, slots=True)
class Undo:
    """How to put one target back."""

    id: int
    knob: str
    target: str
    unit: str
    prior: float
    text: str
    via: str
    boot: str  # empty where nobody knows: of an earlier version
    written: float | None
    intended: float | None
    state: State
    note: str
    at: float

    @property
    def ours(self) -> tuple[float, ...]:
        """The values that we may have left in force; a crash leaves two of them possible."""
        return tuple(each for each in (self.written, self.intended) if each is not None)


def undo_of(row: sqlite3.Row) -> Undo:
    """Return the undo that one row holds, of this version or of one before it."""
    fields = {"text": "", "via": "", "boot": "", **dict(row)}
    for name in ("prior", "written", "intended"):  # RETURNING gives 700.0 back as 700
        fields[name] = None if fields[name] is None else float(fields[name])
    return Undo(**{**fields, "state": State(fields["state"])})
