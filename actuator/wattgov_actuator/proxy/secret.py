"""Tokens that live in files."""

from pathlib import Path

from wattgov_web import regular


class Unreadable(Exception):
    """Raised for a file without a token; says which and why."""


def read(path: Path) -> str:
    """Return the token, read anew each time so that it can be changed in place.

    Unreadable when there is none.
    """
    try:
        text = regular.read(path).decode().strip()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:  # from None: the error carries the file's bytes
        raise Unreadable(f"{path} is not UTF-8 text") from None
    if not text or not text.isascii() or not text.isprintable():
        raise Unreadable(f"{path} holds no token: one line of printable ASCII")
    return text
