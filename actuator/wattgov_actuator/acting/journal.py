"""The journal: what to undo, and what was decided, on disk before it counts.

One SQLite file in write-ahead mode, synced at every commit. The decisions are chained by hashes, so
that a row that was changed or taken out shows.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from wattgov_actuator.acting.chain import LIMITS, Limits, append, first_broken, forget
from wattgov_actuator.acting.standing import Standing
from wattgov_actuator.acting.tables import (
    KNOWN,
    NEW,
    connected,
    file_in,
    steps,
    unknown,
    version_of,
)
from wattgov_actuator.acting.undo import State, Undo, undo_of
from wattgov_actuator.decision import Decision
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import InForce

LOG = logging.getLogger(__name__)
LONGEST_WAL = 4 << 20  # bytes kept of the write-ahead file after it was taken over
KEPT_UNDOS = 1_000  # of those that are closed; an open one is never dropped
BY_HAND = (
    "; what it would put back is in the log, as prior= in the lines with event=decision: set that "
    "by hand, move the file away, and start anew"
)


class JournalError(Exception):
    """The journal cannot be used; nothing may be written that could not be undone."""


class Journal:
    """The undos and decisions of one state folder; one thread, one process."""

    def __init__(self, folder: Path, limits: Limits = LIMITS, boot: str = "") -> None:
        """Take the folder, and which *boot* of the machine this is, if that is known."""
        self._boot = boot
        self.path = file_in(folder)
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
        append(db, decision)
        forget(db, decision.at, self._limits)
        db.execute(
            "DELETE FROM undo WHERE state = 'closed' AND id <= (SELECT max(id) FROM undo) - ?",
            (KEPT_UNDOS,),
        )

    def _opened(self, folder: Path, locking: str) -> sqlite3.Connection:
        self._db = db = connected(self.path)
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
        version = version_of(db)
        if version not in {NEW, *KNOWN}:
            raise JournalError(unknown(self.path, version))
        if made := steps(version):
            with self._transaction():
                for statement in made:
                    db.execute(statement)
        if version == NEW:
            place = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(place)  # the file's name is not on disk before its folder is
            finally:
                os.close(place)
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
