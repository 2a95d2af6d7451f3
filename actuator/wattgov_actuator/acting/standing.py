"""Whether the journal's file is still where the next one will look for it."""

from pathlib import Path


class Standing:
    """One file that is held open, and its place.

    SQLite goes on writing to a file that has no name any more, and reports success.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, _identity(path)

    @property
    def lost(self) -> str:
        """Why nobody would find what is written now; empty while the file is at its place."""
        if self._file is not None and _identity(self._path) == self._file:
            return ""
        return (
            f"the journal {self._path} was deleted, moved or emptied while it was in use; what was "
            "changed is put back; start again for a new one"
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from any other; None where it is gone, or empty."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None
