"""A number in a file of somebody's configuration, and a signal to the one who reads it.

The rest of the file stays as it is. It is replaced in one step, so that nobody reads half of it.
"""

import os
import re
import signal
from pathlib import Path

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs import attribute
from wattgov_actuator.knobs.count import counted
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe


class FileNumber:
    """The number that the pattern's group finds, whole and positive."""

    def __init__(self, machine: Machine, way: Connection) -> None:
        self._way, self._procfs = way, machine.procfs
        self._path = Path(way.text("path"))

    def probe(self) -> Probe:
        """Return the one target."""
        self._found()
        return counted(self._way, "requests")

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return the number in the file."""
        found = self._found()
        return InForce(float(found[1]), text=found[1])

    def write(self, target: str, value: float) -> None:
        """Put the number into the file, and tell its reader."""
        self.restore(target, value, str(round(value)))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put back the digits that were read."""
        found, path = self._found(), self._path
        whole = found.string[: found.start(1)] + text + found.string[found.end(1) :]
        new = path.with_name(f".{path.name}.wattgov")
        with attribute.told(path, "written"):
            status = path.stat()
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(file, status.st_mode & 0o7777)
                if os.geteuid() == 0:
                    os.fchown(file, status.st_uid, status.st_gid)
                os.write(file, whole.encode(errors="surrogateescape"))
                os.fsync(file)
            finally:
                os.close(file)
            new.replace(path)
        self._tell()

    def close(self) -> None:
        """Nothing is open."""

    def _found(self) -> re.Match[str]:
        """Return where the number is; raises KnobError."""
        path, pattern = self._path, self._way.text("pattern")
        with attribute.told(path, "read"):
            text = path.read_text(errors="surrogateescape")
        found = re.search(pattern, text)
        if found is None or not found.groups() or not found[1].isdecimal():
            detail = f"{path} has no whole number where the pattern '{pattern}' looks for it"
            raise KnobError(Fault.LOST, detail)
        return found

    def _tell(self) -> None:
        """Send the signal, where somebody is to be told."""
        pid_file = self._way.text("pid_file")
        if not pid_file:
            return
        pid = attribute.number(Path(pid_file))
        if pid <= 1:  # 0 and below are whole groups of processes
            raise KnobError(Fault.LOST, f"{pid_file} holds {pid}, which is nobody to be told")
        number = signal.Signals[f"SIG{self._way.text('signal')}"]
        try:
            os.kill(pid, number)
        except OSError as error:
            detail = f"process {pid} of {pid_file} cannot be told: {error.strerror}"
            raise KnobError(Fault.LOST, detail) from None


def open_knob(machine: Machine, way: Connection) -> FileNumber:
    """Return the knob."""
    return FileNumber(machine, way)
