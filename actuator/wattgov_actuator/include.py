"""Which other rule files a rule file includes."""

import stat
from pathlib import Path

from wattgov_actuator.strict import Fields

WILD = frozenset("*?[")


def included(fields: Fields, folder: Path) -> list[Path]:
    """Return the files that `include` names, seen from *folder*; a pattern may match none."""
    found: list[Path] = []
    for text in fields.listed("include"):
        try:
            found += _files(folder, text)
        except ValueError as error:
            fields.say("include", f"include: {error}")
        except OSError as error:
            fields.say("include", f"include: '{text}' cannot be read: {error.strerror}")
    return found


def _files(folder: Path, text: str) -> list[Path]:
    """Return the files of one line; raises ValueError with a sentence, or OSError."""
    path = folder / text
    if WILD.isdisjoint(text):
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        return [path]
    place = path.parent
    if not WILD.isdisjoint(str(Path(text).parent)):
        raise ValueError(f"'{text}' has a pattern before its last /")
    if not place.is_dir():
        raise ValueError(f"there is no folder {place}")
    if place.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f"others can put files into {place}; run: chmod go-w {place}")
    return sorted(each for each in place.glob(path.name) if each.is_file())
