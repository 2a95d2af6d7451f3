"""A person's hand on the brake: one file in the state folder, read by the loop at each look.

It outlives a restart. A file that cannot be read is a pause: whoever put it there meant something.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from wattgov_actuator.when import clock_text

SENSELESS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is tightened; with *restore*, nothing is done at all, and everything is put back."""

    since: float  # unix seconds, as below: it is kept over a reboot; 0 when nobody knows
    until: float | None = None  # None: until somebody resumes
    by: str = ""
    why: str = ""
    restore: bool = False

    def __str__(self) -> str:
        """Return who has paused it, and for how long."""
        who = f" by {self.by}" if self.by else ""
        end = "until somebody resumes" if self.until is None else f"until {clock_text(self.until)}"
        why = f": {self.why}" if self.why else ""
        since = f"since {clock_text(self.since)}" if self.since else "by a file"
        return f"{since}{who}, {end}{why}"


class PauseFile:
    """The pause of one state folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pause.json"

    def read(self, unix: float) -> Pause | None:
        """Return the pause that holds at *unix* seconds; None when there is none any more."""
        try:
            pause = _parsed(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, *SENSELESS) as error:
            trouble = getattr(error, "strerror", None) or "it does not say what it should"
            return Pause(0.0, why=f"{self.path} cannot be read, so it counts as a pause: {trouble}")
        return None if pause.until is not None and pause.until <= unix else pause

    def write(self, pause: Pause) -> None:
        """Begin a pause, or replace one; raises OSError.

        Others may read the file, inside a folder that is the owner's: who pauses may be root, and
        the loop somebody else.
        """
        new = self.path.with_suffix(".new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with os.fdopen(file, "w", encoding="utf-8") as out:
            os.fchmod(file, 0o644)  # whatever root's umask is
            out.write(json.dumps(asdict(pause)) + "\n")
            out.flush()
            os.fsync(out.fileno())
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # a kill switch has to outlive a power cut, too
        finally:
            os.close(folder)

    def end(self) -> None:
        """Resume; raises OSError."""
        self.path.unlink(missing_ok=True)


def whole(text: str) -> str:
    """Return a text that can be shown anywhere; what is no character in it is a question mark."""
    return text.encode(errors="replace").decode()


def _parsed(text: str) -> Pause:
    """Return the pause that *text* says; raises one of SENSELESS."""
    said = json.loads(text)
    since, until = float(said["since"]), said.get("until")
    until = None if until is None else float(until)
    if until is not None and until <= since:
        raise ValueError(until)  # such as `false`, by which somebody means no end
    restore = said.get("restore") is True
    by, why = (whole(str(said.get(key, ""))) for key in ("by", "why"))
    pause = Pause(since, until, by, why, restore)
    str(pause)  # its moments are in the calendar
    return pause
