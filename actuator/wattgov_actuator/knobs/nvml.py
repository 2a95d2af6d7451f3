"""NVML for the knobs of NVIDIA GPUs: opened once, its errors as sentences."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pynvml

from wattgov_actuator.reading import Fault, KnobError, Probe, Target

REFUSALS = {
    pynvml.NVML_ERROR_NO_PERMISSION: "it takes root, and CAP_SYS_ADMIN in a container",
    pynvml.NVML_ERROR_INVALID_ARGUMENT: "the value is outside the board's range",
    pynvml.NVML_ERROR_IN_USE: "another program holds the setting",
}
ABSENT = {pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED}
UNSUPPORTED = {pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}


@contextmanager
def told(setting: str) -> Iterator[None]:
    """Turn NVML's errors into the three that a knob may raise; *setting* is what was asked for."""
    try:
        yield
    except pynvml.NVMLError as error:
        if error.value in REFUSALS:
            why = f"{error}: {REFUSALS[error.value]}"
            raise KnobError(Fault.REFUSED, f"the driver refused: {why}") from None
        if error.value in UNSUPPORTED:
            raise KnobError(Fault.UNSUPPORTED, f"no {setting} on this board: {error}") from None
        if error.value in ABSENT:
            raise KnobError(Fault.LOST, f"there is no NVIDIA driver here: {error}") from None
        raise KnobError(Fault.LOST, f"the driver does not answer: {error}") from None


class Driver:
    """One user of NVML in this process."""

    def __init__(self, setting: str) -> None:
        self._setting, self._open = setting, False

    def probe(self, target: Callable[[int], Target]) -> Probe:
        """Return the target of each card; a missing driver is a note, not an error."""
        try:
            with told(self._setting):
                if not self._open:
                    pynvml.nvmlInit()
                    self._open = True
                count = pynvml.nvmlDeviceGetCount()
        except KnobError as error:
            self._open = False  # a driver that was loaded anew wants to be opened anew
            return Probe((), error.detail)
        targets, notes = [], []
        for index in range(count):
            try:
                with told(self._setting):
                    targets.append(target(index))
            except KnobError as error:
                notes.append(f"GPU {index}: {error.detail}")
        return Probe(tuple(targets), "; ".join(notes) if notes or targets else "NVML sees no GPU")

    @staticmethod
    def celsius(uuid: str) -> float:
        """Return what the core's sensor says; raises KnobError."""
        with told("temperature"):
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            return float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))

    def close(self) -> None:
        """Let go of NVML."""
        if self._open:
            self._open = False
            with told(self._setting):
                pynvml.nvmlShutdown()
