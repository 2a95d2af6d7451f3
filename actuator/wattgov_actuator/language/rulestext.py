"""The text of a rule file, which only its owner can write."""

import os
import stat
from pathlib import Path

from wattgov_actuator.document.mistakes import Invalid, Mistake
from wattgov_web import regular

LARGEST = 1 << 20  # bytes; a rule file is written by hand


def text_of(path: Path) -> str:
    """Return the text of a file that only its owner can write; raises Invalid."""
    try:
        with regular.opened(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(LARGEST + 1)
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Invalid([_not_utf8(str(path), error)]) from None
    except OSError as error:
        raise Invalid([Mistake(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"others can write this file, and with it this machine; run: chmod go-w {path}"
        raise Invalid([Mistake(str(path), 1, 1, message)])
    if len(raw) > LARGEST:
        raise Invalid([Mistake(str(path), 1, 1, "larger than 1 MiB; is this a rule file?")])
    return text


def _not_utf8(name: str, error: UnicodeDecodeError) -> Mistake:
    before = error.object[: error.start]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    if error.object.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Mistake(name, 1, 1, "UTF-16 text; save it as UTF-8")
    byte = error.object[error.start]
    return Mistake(name, line, column, f"byte {byte:#04x} is not UTF-8 text; save it as UTF-8")
