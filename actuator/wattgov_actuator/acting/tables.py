"""The tables of the journal's file, of this version and of those before it."""

import sqlite3
from pathlib import Path

VERSION = 4
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
NEW = 0  # the version of a file that has no tables yet
KNOWN = {*UPGRADES, VERSION}


def file_in(folder: Path) -> Path:
    """Return where the journal of a state folder is."""
    return folder / "journal.sqlite"


def connected(where: str | Path, *, uri: bool = False) -> sqlite3.Connection:
    """Open a file, in which a transaction begins only where it is said to."""
    db = sqlite3.connect(where, uri=uri, isolation_level=None, timeout=5)
    db.row_factory = sqlite3.Row
    return db


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of a file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def unknown(path: Path, version: int) -> str:
    """Say that a file is of a version that is not known here."""
    return f"{path} is of version {version}, this program knows {VERSION}"


def steps(version: int) -> list[str]:
    """Return the statements that make a file of that version one of this."""
    if version == NEW:
        made = SCHEMA.split(";\n")
    else:
        made = [UPGRADES[each] for each in range(version, VERSION)]
    return [*made, f"PRAGMA user_version = {VERSION}"] if made else []
