"""The past, as the journal holds it: only read, also while an actuator writes it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import quote

from wattgov_actuator.acting.chain import first_broken
from wattgov_actuator.acting.journal import JournalError
from wattgov_actuator.acting.tables import KNOWN, connected, file_in, unknown, version_of
from wattgov_actuator.acting.undo import Undo, undo_of
from wattgov_actuator.decision import Checked, Decision, Input, Reason

FIELDS = {field.name for field in fields(Decision)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision in the journal."""

    id: int
    row: str  # as JSON, just as it was written
    decision: Decision


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions are wanted; the empty string stands for all."""

    rule: str = ""
    target: str = ""  # or how it begins
    since: float | None = None  # unix seconds
    until: float | None = None
    after: int = 0  # an id


EVERYTHING = Wanted()


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is, and whether it is what was written."""

    decisions: int
    first: float | None  # unix seconds
    last: float | None
    broken: int | None  # id of the first decision that does not fit the chain of hashes


class Past:
    """The journal of one state folder; raises JournalError when there is none to be read."""

    def __init__(self, folder: Path) -> None:
        self.path = file_in(folder)
        with self._told():
            try:
                known = self.path.exists()
            except PermissionError as error:
                raise JournalError(f"{folder}: {error.strerror}; ask as its owner") from None
            if not known:
                raise JournalError(f"there is no journal in {folder}; see --state-dir")
            self._db = self._opened()
            version = version_of(self._db)
        if version not in KNOWN:
            self._db.close()
            raise JournalError(unknown(self.path, version))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def entries(self, wanted: Wanted = EVERYTHING, most: int | None = None) -> list[Entry]:
        """Return the decisions wanted, the oldest first; of more than *most* the newest."""
        found: list[Entry] = []
        for entry in self.newest(wanted):
            if most is not None and len(found) == most:
                break
            found.append(entry)
        return found[::-1]

    def newest(self, wanted: Wanted = EVERYTHING) -> Iterator[Entry]:
        """Yield the decisions wanted, the newest first."""
        tests = [
            ("id > ?", wanted.after),
            ("rule = ?", wanted.rule or None),
            ("substr(target, 1, length(?)) = ?", wanted.target or None),
            ("at >= ?", wanted.since),
            ("at <= ?", wanted.until),
        ]
        given = [(test, value) for test, value in tests if value is not None]
        where = " AND ".join(test for test, _ in given)
        values = [value for test, value in given for _ in range(test.count("?"))]
        query = f"SELECT id, row FROM decision WHERE {where} ORDER BY id DESC"  # noqa: S608 (ours)
        with self._told():
            for row in self._db.execute(query, values):
                yield Entry(row["id"], row["row"], self._decision(row["id"], row["row"]))

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the targets and the rules that any decision is about."""
        with self._told():
            targets, rules = (
                tuple(row[0] for row in self._db.execute(query))
                for query in (
                    "SELECT DISTINCT target FROM decision WHERE target != '' ORDER BY target",
                    "SELECT DISTINCT rule FROM decision ORDER BY rule",
                )
            )
        return targets, rules

    def undos(self) -> tuple[Undo, ...]:
        """Return the undos that are open or in conflict."""
        query = "SELECT * FROM undo WHERE state != 'closed' ORDER BY knob, target"
        with self._told():
            return tuple(undo_of(row) for row in self._db.execute(query))

    def extent(self) -> Extent:
        """Return how much there is, after a look at every hash."""
        with self._told():
            row = self._db.execute("SELECT count(*), min(at), max(at) FROM decision").fetchone()
            return Extent(row[0], row[1], row[2], first_broken(self._db))

    def _decision(self, number: int, text: str) -> Decision:
        """Return a decision of this version, or of one before it."""
        try:
            found = {key: value for key, value in json.loads(text).items() if key in FIELDS}
            found["reason"] = Reason(found["reason"])
            found["inputs"] = tuple(Input(**each) for each in found.get("inputs", ()))
            checks = found.get("guards", ())
            found["guards"] = tuple(
                Checked(**{**each, "reason": Reason(each["reason"])}) for each in checks
            )
            return Decision(**found)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise JournalError(
                f"decision {number} in {self.path} cannot be understood ({error}): it was changed, "
                "or written by a later version"
            ) from None

    def _opened(self) -> sqlite3.Connection:
        """Open without a right to write; on a medium that cannot be written, as it lies there."""
        where = f"file:{quote(str(self.path.absolute()))}"
        db = connected(f"{where}?mode=ro", uri=True)
        try:
            db.execute("SELECT count(*) FROM undo").fetchone()
        except sqlite3.OperationalError:
            db.close()
            if self.path.with_name(f"{self.path.name}-wal").exists():
                raise
            db = connected(f"{where}?immutable=1", uri=True)
        return db

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"the journal {self.path} cannot be read: {error}") from error
