"""The board power limit of an NVIDIA GPU, in watts, through NVML.

The limit needs root to set, is lost with the driver, and may lie above a lower one that the board
or its BMC enforces. MIG instances have none of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pynvml

from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

NAME = "gpu_power_limit"
RESOLUTION_WATTS = 1.0  # boards round a limit to steps finer than this
MILLI = 1000  # NVML counts in milliwatts
REFUSALS = {
    pynvml.NVML_ERROR_NO_PERMISSION: "it takes root, and CAP_SYS_ADMIN in a container",
    pynvml.NVML_ERROR_INVALID_ARGUMENT: "the value is outside the board's range",
    pynvml.NVML_ERROR_IN_USE: "another program holds the setting",
}
ABSENT = {pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED}
UNSUPPORTED = {pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}


@contextmanager
def _told() -> Iterator[None]:
    """Turn NVML's errors into the three that a knob may raise."""
    try:
        yield
    except pynvml.NVMLError as error:
        if error.value in REFUSALS:
            why = f"{error}: {REFUSALS[error.value]}"
            raise KnobError(Fault.REFUSED, f"the driver refused: {why}") from None
        if error.value in UNSUPPORTED:
            raise KnobError(Fault.UNSUPPORTED, f"no power limit on this board: {error}") from None
        if error.value in ABSENT:
            raise KnobError(Fault.LOST, f"there is no NVIDIA driver here: {error}") from None
        raise KnobError(Fault.LOST, f"the driver does not answer: {error}") from None


class GpuPowerLimit:
    """The power limits of all GPUs of this machine, by uuid."""

    def __init__(self) -> None:
        self._open = False

    def probe(self) -> Probe:
        """Return the GPUs whose limit can be read; a missing driver is a note, not an error."""
        try:
            with _told():
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
                targets.append(_target(index))
            except KnobError as error:
                notes.append(f"GPU {index}: {error.detail}")
        return Probe(tuple(targets), "; ".join(notes) if notes or targets else "NVML sees no GPU")

    def read(self, target: str) -> InForce:
        """Return the limit set, and the lowest of all limits that are enforced."""
        with _told():
            handle = pynvml.nvmlDeviceGetHandleByUUID(target)
            value = pynvml.nvmlDeviceGetPowerManagementLimit(handle) / MILLI
            enforced = pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / MILLI
        return InForce(value, enforced)

    def write(self, target: str, value: float) -> None:
        """Set the limit in watts.

        By the first version of the call: the binding of the second one never looks at the return
        code, and reports success for a refusal (nvidia-ml-py 13.615.71).
        """
        with _told():
            handle = pynvml.nvmlDeviceGetHandleByUUID(target)
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, round(value * MILLI))

    def close(self) -> None:
        """Let go of NVML."""
        if self._open:
            self._open = False
            with _told():
                pynvml.nvmlShutdown()


def _target(index: int) -> Target:
    with _told():
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = pynvml.nvmlDeviceGetUUID(handle)
        low, high = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
    labels = {"uuid": uuid, "gpu": str(index)}
    return Target(NAME, uuid, labels, low / MILLI, high / MILLI, "watts", RESOLUTION_WATTS)


def open_knob() -> GpuPowerLimit:
    """Return the knob; the driver is opened by the first probe."""
    return GpuPowerLimit()
