"""A secret that lives in a file, and nowhere else for long."""

from pathlib import Path

from wattgov_exporter.reading import Clock, NoMeter, Reason
from wattgov_web import regular

REST_SECONDS = 300.0
"""How long a refused password rests: management controllers lock an account after a few tries."""


class Password:
    """Read anew at each login, so it can be changed in place."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._last = ""
        self._refused_at: float | None = None

    def read(self) -> str:
        """Return the file's text without its line end.

        NoMeter when there is none to read, or when it is the one that was refused a moment ago.
        """
        if self._path is None:
            raise NoMeter(Reason.INVALID, "a username is given but no password_file")
        text = read(self._path, "password_file")
        refused_at = self._refused_at if text == self._last else None
        if refused_at is not None and self._clock() - refused_at < REST_SECONDS:
            raise NoMeter(
                Reason.PERMISSION,
                f"the password in {self._path} was refused; not tried again for "
                f"{REST_SECONDS:g} s, or until the file changes, so that the account is not locked",
            )
        self._last, self._refused_at = text, None
        return text

    def refused(self) -> None:
        """Let the password read last rest."""
        self._refused_at = self._clock()

    def redact(self, text: str) -> str:
        """Return *text* without the password, should whoever was given it repeat it."""
        return text.replace(self._last, "***") if self._last else text


def read(path: Path, key: str) -> str:
    """Return a secret's text without its line end; NoMeter names the *key* that gave the path."""
    try:
        text = regular.read(path).decode().rstrip("\r\n")
    except PermissionError as error:
        raise NoMeter(Reason.PERMISSION, f"{key} {path} is not readable by this user") from error
    except OSError as error:
        raise NoMeter(Reason.INVALID, f"{key} {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        # From None: the error carries the file's bytes.
        raise NoMeter(Reason.INVALID, f"{key} {path} is not UTF-8 text") from None
    if not text:
        raise NoMeter(Reason.INVALID, f"{key} {path} is empty")
    return text
