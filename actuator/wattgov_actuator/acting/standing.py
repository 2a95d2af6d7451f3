"""Whether the journal's files are still where the next one will look for them."""

from pathlib import Path


class Standing:
    """The files that are held open, and their places.

    SQLite goes on writing to a file that has no name any more, and reports success. The latest
    undos are in the write-ahead file, which somebody may tidy away as a temporary one.
    """

    def __init__(self, path: Path) -> None:
        self._paths = (path, path.with_name(f"{path.name}-wal"))
        self._files = self._seen()

    @property
    def lost(self) -> str:
        """Why nobody would find what is written now; empty while the files are at their places."""
        seen = self._seen()
        away = (path for path, file in zip(self._paths, seen, strict=True) if file is None)
        if self._files == seen and None not in seen:
            return ""
        return (
            f"the journal {next(away, self._paths[0])} was deleted, moved or emptied while it was "
            "in use; what was changed is put back; start again for a new one"
        )

    def _seen(self) -> tuple[tuple[int, int] | None, ...]:
        """Return what tells each file from any other; the second may be empty, the first never."""
        path, ahead = self._paths
        return _identity(path, least=1), _identity(ahead)


def _identity(path: Path, least: int = 0) -> tuple[int, int] | None:
    """Return what tells a file from any other; None where it is gone, or too small."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size >= least else None
