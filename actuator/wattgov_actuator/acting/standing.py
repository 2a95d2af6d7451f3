"""Whether the journal's files are still where the next one will look for them."""

from pathlib import Path


class Standing:
    """The files that are held open, and their places.

    SQLite goes on writing to a file that has no name any more, and reports success. The latest
    undos are in the write-ahead file, which somebody may tidy away as a temporary one.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._ahead_path = path, path.with_name(f"{path.name}-wal")
        self._file, self._ahead = _identity(path, least=1), _identity(self._ahead_path)

    @property
    def lost(self) -> str:
        """Why nobody would find what is written now; empty while the files are at their places."""
        if self._file is None or _identity(self._path, least=1) != self._file:
            away = self._path
        # On a disk that is full, or in the network, there may be no write-ahead file.
        elif self._ahead is not None and _identity(self._ahead_path) != self._ahead:
            away = self._ahead_path
        else:
            return ""
        return (
            f"the journal {away} was deleted, moved or emptied while it was in use; what was "
            "changed is put back; start again for a new one"
        )


def _identity(path: Path, least: int = 0) -> tuple[int, int] | None:
    """Return what tells a file from any other; None where it is gone, or too small."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size >= least else None
