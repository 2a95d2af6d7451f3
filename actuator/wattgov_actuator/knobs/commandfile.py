"""The file of commands that an administrator allows, and whether it may be trusted.

Who could change the file could run anything as us, with the rights of sudo that we have. So it, its
programs and every folder on the way, links followed one by one, are root's or our own, and nobody
else can write there.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wattgov_actuator.document.strict import Fields, Invalid, Mistake, compose
from wattgov_actuator.reading import Fault, KnobError

PLACEHOLDERS: Mapping[str, tuple[str, ...]] = {
    "probe": (),
    "read": ("target",),
    "write": ("target", "value"),
    "restore": ("target", "value"),
}
"""By operation, what its words may have in braces."""
BRACES = re.compile(r"\{([^{}]*)\}|[{}]")
WRITABLE = stat.S_IWGRP | stat.S_IWOTH
MOST_LINKS = 40
LONGEST = 65536
NUMBER = r"([0-9]+(?:\.[0-9]+)?)"


@dataclass(frozen=True, slots=True)
class Commands:
    """What the file says."""

    argvs: Mapping[str, Sequence[str]]  # by operation; each a program and its words
    pattern: re.Pattern[str]  # its group is the number in what `read` prints
    error_pattern: re.Pattern[str] | None  # in what is printed, also with exit status 0
    timeout_seconds: float


def load(path: Path, *, hidden: bool) -> Commands:
    """Return the commands; raises KnobError with every mistake.

    *hidden*: nobody reads the setting back, so `write` cannot stand for `restore`.
    """
    text = _read(path)
    mistakes: list[Mistake] = []
    try:
        fields = Fields(compose(text, str(path)), str(path), mistakes, "a file of commands")
    except Invalid as error:
        raise _refused(str(error)) from None
    found = _commands(fields, hidden=hidden)
    if mistakes:
        raise _refused("; ".join(map(str, sorted(mistakes))))
    for argv in found.argvs.values():
        _file(argv[0])
    return found


def _commands(fields: Fields, *, hidden: bool) -> Commands:
    argvs = {name: _argv(fields, name) for name in PLACEHOLDERS if name in fields}
    fields.skip(*PLACEHOLDERS)
    for name in ("read", "write", *(["restore"] if hidden else [])):
        if name not in argvs:
            fields.say(None, f"the file has no '{name}'")
    if "write" in argvs and not any("{value}" in word for word in argvs["write"]):
        fields.say("write", "write has no '{value}'")
    pattern = _pattern(fields, "pattern", NUMBER)
    if pattern.groups != 1:
        fields.say("pattern", "pattern needs one group, ( ), around the number")
    errors = _pattern(fields, "error_pattern", "") if "error_pattern" in fields else None
    timeout = fields.seconds("timeout", 10.0, at_least=0.1)
    fields.end()
    return Commands(argvs, pattern, errors, timeout)


def _argv(fields: Fields, name: str) -> list[str]:
    """Return the words of one command; only the words after the program are filled in."""
    argv = [word for word, _ in fields.listed(name)]
    if not argv or not argv[0].startswith("/") or BRACES.search(argv[0]):
        example = "[/usr/bin/sudo, -n, /usr/sbin/cap]"
        fields.say(name, f"{name} is a list that begins with the path of a program: {example}")
    for found in (match for word in argv[1:] for match in BRACES.finditer(word)):
        if found[1] not in PLACEHOLDERS[name]:
            known = " and ".join(f"{{{each}}}" for each in PLACEHOLDERS[name]) or "none"
            fields.say(name, f"{name}: '{found[0]}' is no placeholder; it may have {known}")
    return argv


def _pattern(fields: Fields, name: str, default: str) -> re.Pattern[str]:
    text = fields.text(name, default)
    try:
        return re.compile(text)
    except re.error as error:
        fields.say(name, f"{name}: '{text}' is no regular expression: {error}")
        return re.compile("()")


def _read(path: Path) -> str:
    where = _file(str(path))
    try:
        file = os.open(where, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _check(where, os.fstat(file), folder=False)
            return os.read(file, LONGEST).decode()
        finally:
            os.close(file)
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _refused(f"{path} is no UTF-8 text") from None


def _file(text: str) -> str:
    """Return where a path really leads, after every folder and link on the way was checked."""
    here, parts, links = "/", _parts(text), 0
    try:
        while parts:
            _check(here, os.lstat(here), folder=True)
            step = os.path.normpath(os.path.join(here, parts.pop(0)))  # noqa: PTH118 (no Path: it would not go up from a link)
            status = os.lstat(step)
            if stat.S_ISLNK(status.st_mode) and links < MOST_LINKS:
                links += 1
                goal = os.readlink(step)  # noqa: PTH115 (as text)
                here = "/" if goal.startswith("/") else here
                parts = _parts(goal) + parts
            else:
                here = step
        _check(here, os.lstat(here), folder=False)
    except OSError as error:
        raise _refused(f"{text} cannot be read: {error.strerror}") from None
    return here


def _parts(text: str) -> list[str]:
    return [part for part in text.split("/") if part not in {"", "."}]


def _check(where: str, status: os.stat_result, *, folder: bool) -> None:
    """Raise KnobError unless only root and we can change what is there."""
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(status.st_mode):
        raise _refused(f"{where} is no {'folder' if folder else 'file'}")
    if status.st_uid not in {0, os.geteuid()}:
        raise _refused(f"{where} belongs to user {status.st_uid}; run: chown root {where}")
    # In a sticky folder, such as /tmp, nobody can replace what is ours.
    sticky = folder and status.st_mode & stat.S_ISVTX
    if status.st_mode & WRITABLE and not sticky:
        raise _refused(f"others can write {where}, and so what is run; run: chmod go-w {where}")


def _refused(sentence: str) -> KnobError:
    return KnobError(Fault.REFUSED, sentence)
