"""The secret of a connection: in a file that others cannot read, or in a variable.

It is read anew at each login, so it can be changed in place, and it is in no error and no log.
"""

import os
import stat
from pathlib import Path

from wattgov_actuator.connection import Connection
from wattgov_actuator.reading import Fault, KnobError

LONGEST = 65536  # bytes; longer is no secret
FOREIGN = stat.S_IROTH | stat.S_IWOTH


def secret(way: Connection, name: str) -> str:
    """Return the secret *name* of a connection, empty where none is given.

    Raises KnobError, `refused`, where one is given and cannot be used.
    """
    file, variable = way.text(f"{name}_file"), way.text(f"{name}_env")
    if file:
        return _checked(_read(Path(file), f"{name}_file"), f"{name}_file {file}")
    if variable:
        where = f"{name}_env: the variable {variable}"
        if variable not in os.environ:
            raise _refused(f"{where} is not set for this process")
        return _checked(os.environ[variable], where)
    return ""


def _read(path: Path, key: str) -> str:
    try:
        # A pipe would wait for its writer for ever.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise _refused(f"{key} {path} is no file")
            if status.st_mode & FOREIGN:
                raise _refused(f"others can read {key} {path}; run: chmod o-rwx {path}")
            return os.read(file, LONGEST).decode()
        finally:
            os.close(file)
    except OSError as error:
        raise _refused(f"{key} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:  # from None: it carries the bytes
        raise _refused(f"{key} {path} is no UTF-8 text") from None


def _checked(text: str, where: str) -> str:
    """Return the one line of a text; what breaks a header would be told by whoever sends it."""
    line = text.rstrip("\r\n")
    if not line:
        raise _refused(f"{where} is empty")
    if not line.isprintable():
        raise _refused(f"{where} holds more than one line of text")
    return line


def _refused(sentence: str) -> KnobError:
    return KnobError(Fault.REFUSED, sentence)
