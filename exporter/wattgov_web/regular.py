"""Files that a person names, and that are read whole: those that have an end."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

ENDLESS = "it is no regular file, and a pipe or a device may never end; save it as a file"


def opened(path: Path) -> BinaryIO:
    """Open a regular file to be read; OSError where there is none.

    A pipe would have us wait for its writer when it is opened already.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(file, "rb")
    os.close(file)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, ENDLESS, str(path))


def read(path: Path) -> bytes:
    """Return what is in a regular file; OSError where there is none."""
    with opened(path) as file:
        return file.read()
