"""One attribute of the kernel: a small file of text, with its refusals as sentences.

powercap turns whatever its driver has against a value into ENODATA, a lock by the firmware first of
all (drivers/powercap/powercap_sys.c).
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wattgov_actuator.reading import Fault, KnobError

LONGEST = 4096  # bytes; sysfs gives a page at most

REFUSALS = {
    errno.EACCES: "it takes root, or the owner of the file; run as root, or hand the file over",
    errno.EPERM: "it takes root and, in a container, a writable /sys",
    errno.EROFS: "it is mounted read-only; in a container, mount /sys writable",
    errno.ENODATA: "the driver takes no value: the firmware has locked it; unlock it in the BIOS",
    errno.EINVAL: "the kernel does not take this value",
    errno.ERANGE: "the value is out of range",
    errno.EBUSY: "another setting rules it: under intel_pstate, the governor 'performance'",
    errno.EISDIR: "it is a folder, and no attribute",
}
UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY}


def read(path: Path) -> str:
    """Return the text without its line end; raises KnobError.

    One short read: some drivers answer EAGAIN, which makes Python's own reader try for ever.
    """
    with told(path, "read"):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(file, LONGEST).decode(errors="replace").strip()
        finally:
            os.close(file)


def number(path: Path) -> int:
    """Return the whole number in the file; raises KnobError."""
    text = read(path)
    try:
        return int(text)
    except ValueError:
        raise KnobError(Fault.LOST, f"{path} holds '{text}' and no number") from None


def write(path: Path, text: str) -> None:
    """Write the text in one call, as the kernel wants it; never makes a file. Raises KnobError."""
    with told(path, "written"):
        file = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)


@contextmanager
def told(path: Path, verb: str) -> Iterator[None]:
    """Turn what the kernel has against it into the three that a knob may raise."""
    try:
        yield
    except OSError as error:
        said = f"{path} cannot be {verb}: {error.strerror}"
        if error.errno in REFUSALS:
            raise KnobError(Fault.REFUSED, f"{said}: {REFUSALS[error.errno]}") from None
        if error.errno in UNSUPPORTED:
            raise KnobError(Fault.UNSUPPORTED, said) from None
        raise KnobError(Fault.LOST, said) from None
