"""The decisions in the journal, chained by hashes: one that was changed or taken out shows."""

import hashlib
import json
import sqlite3
from dataclasses import asdict, dataclass

from wattgov_actuator.decision import Decision

AGED_AT_ONCE = 10  # decisions that one new one drops for their age
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the past is kept; the oldest decisions go first, an open undo never."""

    decisions: int = 50_000  # about 30 MB
    age_seconds: float = 90 * 86_400.0
    size_bytes: int = 64 << 20


LIMITS = Limits()


def append(db: sqlite3.Connection, decision: Decision) -> None:
    """Add a decision at the end of the chain."""
    row = json.dumps(asdict(decision), sort_keys=True)
    last = db.execute("SELECT id, hash FROM decision ORDER BY id DESC LIMIT 1").fetchone()
    previous = GENESIS if last is None else last["hash"]
    db.execute(
        "INSERT INTO decision (at, rule, target, reason, row, previous, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            decision.at,
            decision.rule,
            decision.target,
            decision.reason,
            row,
            previous,
            _hash(previous, row),
        ),
    )


def forget(db: sqlite3.Connection, now: float, limits: Limits) -> None:
    """Drop the oldest decisions beyond the limits; what is left still is one chain.

    A few at a time for their age: a clock that jumps ahead must not take the past with it.
    """
    # Each by itself: SQLite looks one up, and reads the whole table for both at once.
    first, last = db.execute(
        "SELECT (SELECT min(id) FROM decision), (SELECT max(id) FROM decision)"
    ).fetchone()
    beyond = last - limits.decisions
    young = "SELECT id FROM decision WHERE at >= ? ORDER BY id LIMIT 1"
    aged = db.execute(young, (now - limits.age_seconds,)).fetchone()[0] - 1
    beyond = max(beyond, min(aged, first - 1 + AGED_AT_ONCE))
    if _used_bytes(db) > limits.size_bytes:  # a quarter, so that it is not done each time
        beyond = max(beyond, first + (last - first) // 4)
    if beyond >= first:
        db.execute("DELETE FROM decision WHERE id <= ?", (min(beyond, last - 1),))


def _used_bytes(db: sqlite3.Connection) -> int:
    """Return the size without the pages that are free to be used again."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def first_broken(db: sqlite3.Connection) -> int | None:
    """Return the id of the first decision that does not fit the chain of hashes, None if all do.

    The oldest ones are dropped in time, so one that is missing at either end does not show.
    """
    previous = None
    for row in db.execute("SELECT * FROM decision ORDER BY id"):
        follows = previous is None or row["previous"] == previous
        if not follows or _hash(row["previous"], row["row"]) != row["hash"]:
            return int(row["id"])
        previous = row["hash"]
    return None


def _hash(previous: str, row: str) -> str:
    return hashlib.sha256(f"{previous}\n{row}".encode()).hexdigest()
