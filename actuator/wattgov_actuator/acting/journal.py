"""The journal: what to undo, and what was decided, on disk before it counts.

One SQLite file in write-ahead mode, synced at every commit. The decisions are chained by hashes, so
that a row that was changed or taken out shows.
"""

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from wattgov_actuator.acting.standing import Standing
from wattgov_actuator.decision import Decision
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import InForce

LOG = logging.getLogger(__name__)
VERSION = 4
LONGEST_WAL = 4 << 20  # bytes kept of the write-ahead file after it was taken over
AGED_AT_ONCE = 10  # decisions that one new one drops for their age
KEPT_UNDOS = 1_000  # of those that are closed; an open one is never dropped
GENESIS = "0" * 64
BY_HAND = (
    "; what it would put back is in the log, as prior= in the lines with event=decision: set that "
    "by hand, move the file away, and start anew"
)
SCHEMA = """
CREATE TABLE undo (
  id INTEGER PRIMARY KEY,
  knob TEXT NOT NULL, target TEXT NOT NULL, unit TEXT NOT NULL,
  prior REAL NOT NULL,      -- in force before our first write
  text TEXT NOT NULL DEFAULT '', -- the same, as the kernel spelt it
  via TEXT NOT NULL DEFAULT '', -- the connection that leads there; no secrets are in it
  boot TEXT NOT NULL DEFAULT '', -- the boot of this machine in which it was written last
  written REAL,             -- read back after our last write
  intended REAL,            -- being written; NULL once it has been read back
  state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'conflict')),
  note TEXT NOT NULL DEFAULT '',
  at REAL NOT NULL          -- unix seconds of the last change of this row
);
CREATE UNIQUE INDEX one_undo ON undo (knob, target) WHERE state != 'closed';
CREATE TABLE decision (
  id INTEGER PRIMARY KEY,
  at REAL NOT NULL, rule TEXT NOT NULL, target TEXT NOT NULL, reason TEXT NOT NULL,
  row TEXT NOT NULL,        -- the whole decision as JSON, with its inputs and their times
  previous TEXT NOT NULL, hash TEXT NOT NULL
);
"""


UPGRADES = {  # from that version on
    1: "ALTER TABLE undo ADD COLUMN text TEXT NOT NULL DEFAULT ''",
    2: "ALTER TABLE undo ADD COLUMN via TEXT NOT NULL DEFAULT ''",
    3: "ALTER TABLE undo ADD COLUMN boot TEXT NOT NULL DEFAULT ''",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the past is kept; the oldest decisions go first, an open undo never."""

    decisions: int = 50_000  # about 30 MB
    age_seconds: float = 90 * 86_400.0
    size_bytes: int = 64 << 20


LIMITS = Limits()


class JournalError(Exception):
    """The journal cannot be used; nothing may be written that could not be undone."""


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


class Journal:
    """The undos and decisions of one state folder; one thread, one process."""

    def __init__(self, folder: Path, limits: Limits = LIMITS, boot: str = "") -> None:
        """Take the folder, and which *boot* of the machine this is, if that is known."""
        self._boot = boot
        self.path = folder / "journal.sqlite"
        self.failures = 0  # writes that did not succeed; the log has each new reason once
        self._trouble = ""  # why the latest write did not; empty once one does
        self._damage = ""  # why it is not written any more
        self._limits = limits
        self._live: dict[tuple[str, str], Undo] = {}  # as on disk, so that a dead disk hides none
        with self._told("opened"):
            try:
                self._db = self._opened(folder, "NORMAL")
            except sqlite3.OperationalError:
                # A full disk has no room for the index that connections share: alone, the file can
                # still be read, and what it says be put back.
                self._db = self._opened(folder, "EXCLUSIVE")
        self._standing = Standing(self.path)

    @property
    def trouble(self) -> str:
        """Why nothing that could be undone can be written now; empty while it can."""
        return self.lost or self._damage or self._trouble

    @property
    def lost(self) -> str:
        """Why nobody after us would find an undo; empty while the file is at its place."""
        return self._standing.lost

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def undos(self) -> tuple[Undo, ...]:
        """Return the undos that are open or in conflict, by knob and target."""
        return tuple(each for _, each in sorted(self._live.items()))

    def undo(self, knob: str, target: str) -> Undo | None:
        """Return the undo of one target, None when nothing of ours holds it."""
        return self._live.get((knob, target))

    def restarted(self, undo: Undo) -> bool:
        """Tell whether the machine was started anew since our last write there."""
        return "" not in (undo.boot, self._boot) and undo.boot != self._boot

    def intend(self, decision: Decision, value: float, current: InForce, via: str = "") -> Undo:
        """Put on disk that *value* is about to be written over *current*; return the undo.

        *via* is the connection that leads to the target, so that it can be put back by itself. What
        is in force was ours to the last: an earlier order that came late is not forgotten for this.
        """
        place, at, boot = (decision.knob, decision.target), decision.at, self._boot
        known = self._live.get(place)
        with self._transaction() as db:
            if lost := self.lost:
                raise JournalError(lost)
            if known is not None:
                db.execute(
                    "UPDATE undo SET written = ?, intended = ?, via = ?, boot = ?, at = ?"
                    " WHERE id = ?",
                    (current.value, value, via, boot, at, known.id),
                )
                undo = replace(known, written=current.value, intended=value)
                undo = replace(undo, via=via, boot=boot, at=at)
            else:
                row = db.execute(
                    "INSERT INTO undo"
                    " (knob, target, unit, prior, text, via, boot, intended, state, at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', ?) RETURNING *",
                    (*place, decision.unit, current.value, current.text, via, boot, value, at),
                ).fetchone()
                undo = undo_of(row)
        self._live[place] = undo
        return undo

    def settle(self, undo: Undo, written: float, decision: Decision) -> None:
        """Note the value that reads back after a write, with the decision it belongs to."""
        with self._transaction() as db:
            db.execute(
                "UPDATE undo SET written = ?, intended = NULL, at = ? WHERE id = ?",
                (written, decision.at, undo.id),
            )
            self._append(db, decision)
        place = (undo.knob, undo.target)
        self._live[place] = replace(undo, written=written, intended=None, at=decision.at)

    def end(self, undo: Undo, state: State, decision: Decision) -> None:
        """Close an undo, or mark it as a conflict, with the decision it belongs to."""
        with self._transaction() as db:
            db.execute(
                "UPDATE undo SET state = ?, note = ?, at = ? WHERE id = ?",
                (state, decision.detail, decision.at, undo.id),
            )
            self._append(db, decision)
        place = (undo.knob, undo.target)
        self._live.pop(place, None)
        if state is not State.CLOSED:
            self._live[place] = replace(undo, state=state, note=decision.detail, at=decision.at)

    def record(self, decisions: tuple[Decision, ...]) -> None:
        """Add decisions, and drop the oldest beyond what is kept."""
        if not decisions:
            return
        with self._transaction() as db:
            for decision in decisions:
                self._append(db, decision)

    def decisions(self) -> tuple[dict[str, object], ...]:
        """Return the decisions kept, the oldest first."""
        with self._told("read"):
            rows = self._db.execute("SELECT row FROM decision ORDER BY id").fetchall()
        return tuple(json.loads(row["row"]) for row in rows)

    def broken(self) -> int | None:
        """Return the id of the first decision that does not fit its chain, None when all do."""
        self._sound()
        with self._told("read"):
            return first_broken(self._db)

    def _append(self, db: sqlite3.Connection, decision: Decision) -> None:
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
        self._forget(db, decision.at)

    def _forget(self, db: sqlite3.Connection, now: float) -> None:
        """Drop the oldest decisions beyond the limits; what is left still is one chain.

        A few at a time for their age: a clock that jumps ahead must not take the past with it.
        """
        limits = self._limits
        # Each by itself: SQLite looks one up, and reads the whole table for both at once.
        first, last = db.execute(
            "SELECT (SELECT min(id) FROM decision), (SELECT max(id) FROM decision)"
        ).fetchone()
        beyond = last - limits.decisions
        young = "SELECT id FROM decision WHERE at >= ? ORDER BY id LIMIT 1"
        aged = db.execute(young, (now - limits.age_seconds,)).fetchone()[0] - 1
        beyond = max(beyond, min(aged, first - 1 + AGED_AT_ONCE))
        if self._used_bytes(db) > limits.size_bytes:  # a quarter, so that it is not done each time
            beyond = max(beyond, first + (last - first) // 4)
        if beyond >= first:
            db.execute("DELETE FROM decision WHERE id <= ?", (min(beyond, last - 1),))
        db.execute(
            "DELETE FROM undo WHERE state = 'closed' AND id <= (SELECT max(id) FROM undo) - ?",
            (KEPT_UNDOS,),
        )

    @staticmethod
    def _used_bytes(db: sqlite3.Connection) -> int:
        """Return the size without the pages that are free to be used again."""
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _opened(self, folder: Path, locking: str) -> sqlite3.Connection:
        self._db = db = sqlite3.connect(self.path, isolation_level=None, timeout=5)
        db.row_factory = sqlite3.Row
        try:
            db.execute(f"PRAGMA locking_mode = {locking}")
            self._prepare(folder)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, folder: Path) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {LONGEST_WAL}")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with self._transaction():
                for statement in SCHEMA.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
            place = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(place)  # the file's name is not on disk before its folder is
            finally:
                os.close(place)
        elif version in UPGRADES:
            with self._transaction():
                for step in range(version, VERSION):
                    db.execute(UPGRADES[step])
                db.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise JournalError(f"{self.path} is of version {version}, this program knows {VERSION}")
        if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            # Put back is what can be read, and is ours by what is in force; nothing is begun.
            self._damage = (
                f"the journal {self.path} is damaged: {' '.join(found.split())}; once everything "
                "is put back, move it away"
            )
        for row in db.execute("SELECT * FROM undo WHERE state != 'closed'"):
            undo = undo_of(row)
            self._live[undo.knob, undo.target] = undo

    def _sound(self) -> None:
        if self._damage:
            raise JournalError(self._damage)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._sound()
            with self._told("written"):
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
        except JournalError as error:
            if str(error) != self._trouble:
                LOG.error(line("journal_failed", detail=error))  # noqa: TRY400 (one line per event)
            self.failures, self._trouble = self.failures + 1, str(error)
            raise
        if self._trouble and not self.lost:
            LOG.info(line("journal_written_again", failures=self.failures))
            self._trouble = ""

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            advice = BY_HAND if type(error) is sqlite3.DatabaseError and verb == "opened" else ""
            said = f"the journal {self.path} cannot be {verb}: {error}{advice}"
            raise JournalError(said) from error


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


def undo_of(row: sqlite3.Row) -> Undo:
    """Return the undo that one row holds, of this version or of one before it."""
    fields = {"text": "", "via": "", "boot": "", **dict(row)}
    for name in ("prior", "written", "intended"):  # RETURNING gives 700.0 back as 700
        fields[name] = None if fields[name] is None else float(fields[name])
    return Undo(**{**fields, "state": State(fields["state"])})


def _hash(previous: str, row: str) -> str:
    return hashlib.sha256(f"{previous}\n{row}".encode()).hexdigest()
