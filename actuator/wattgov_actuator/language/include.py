"""Which other rule files a rule file includes."""

import stat
from pathlib import Path

from wattgov_actuator.document.strict import Fields
from wattgov_actuator.document.tree import line_of

WILD = frozenset("*?[")
LONGEST = 4096  # of a path (Linux: PATH_MAX); where a file was looked for is told whole


def included(fields: Fields, folder: Path) -> list[Path]:
    """Return the files that `include` names, seen from *folder*; a pattern may match none."""
    found: list[Path] = []
    for text, say in fields.listed("include"):
        shown = line_of(text)
        try:
            found += _files(folder, text)
        except OSError as error:
            say(f"include: '{shown}' cannot be read: {error.strerror}")
        except UnicodeError:
            say(f"include: '{shown}' is no name that a file can have")
        except ValueError as error:
            say(f"include: {error}")
    return found


def _files(folder: Path, text: str) -> list[Path]:
    """Return the files of one line; raises ValueError with a sentence, or OSError."""
    path = folder / text
    shown = line_of(str(path), LONGEST)
    if "\0" in text:
        raise UnicodeError
    if WILD.isdisjoint(text):
        if not path.is_file():
            raise ValueError(f"there is no file {shown}")
        return [path]
    place = path.parent
    if not WILD.isdisjoint(str(Path(text).parent)):
        raise ValueError(f"'{line_of(text)}' has a pattern before its last /")
    if not place.is_dir():
        raise ValueError(f"there is no folder {line_of(str(place), LONGEST)}")
    if place.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f"others can put files into {place}; run: chmod go-w {place}")
    return sorted(each for each in place.glob(path.name) if each.is_file())
