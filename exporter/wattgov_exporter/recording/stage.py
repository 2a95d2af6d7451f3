"""A moment of a recording as a tree of files."""

import os
from collections.abc import Iterable
from pathlib import Path

from wattgov_exporter.recording.format import GONE, Fact, Facts


def plant(root: Path, facts: Facts) -> None:
    """Write under *root* what these facts say; what sources said (`said/`) is no file."""
    ordered = sorted(facts.items(), key=lambda one: not one[1].link)  # others may lie beyond a link
    for path, fact in ordered:
        if not path.startswith("said/"):
            _put(root, path, fact)


def _put(root: Path, path: str, fact: Fact) -> None:
    file = root / path
    if fact.error == GONE:
        _remove(file)
        _sweep(file.parents, root)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if fact.link:
        target = root / "links" / path.replace("/", "!") / fact.link
        target.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)
    elif fact.error:
        # A folder cannot be read as a file by anybody; root would read a file without permissions.
        _remove(file)
        file.mkdir()
    else:
        if file.is_dir():
            file.rmdir()
        _write(file, fact.content)


def _write(file: Path, content: bytes) -> None:
    # In place: who holds the file open, as the exporter does with /proc/PID/stat, sees the new.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


def _remove(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)


def _sweep(folders: Iterable[Path], root: Path) -> None:
    """Remove folders that are empty now: a process without files is no process."""
    for folder in folders:
        if root in {folder, folder.parent}:
            return
        try:
            folder.rmdir()
        except OSError:
            return  # something is left in it
