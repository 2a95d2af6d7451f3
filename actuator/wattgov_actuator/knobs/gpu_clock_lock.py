"""The highest graphics clock of an NVIDIA GPU, in hertz, through NVML's locked clocks.

The lock spans the lowest clock to the one set, so an idle card still rests. No call reads a lock
back: what is in force is what the journal knows, and a card that is seen above it is reported. A
lock that somebody else has set is not seen either, and is lost when ours is taken off. Volta and
later; it needs root, and is lost with the driver.
"""

import pynvml

from wattgov_actuator.knobs.nvml import Driver, told
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, Hidden, KnobError, Probe, Target

NAME, SETTING = "gpu_clock_lock", "clock lock"
MEGA = 1_000_000  # NVML counts in megahertz
RESOLUTION_HERTZ = 15e6  # the boards' steps


class GpuClockLock:
    """The clock locks of all GPUs of this machine, by uuid."""

    def __init__(self) -> None:
        self._driver = Driver(SETTING)

    def probe(self) -> Probe:
        """Return the GPUs that tell which clocks they know."""
        return self._driver.probe(_target)

    def read(self, target: str) -> Hidden:
        """Return the clock at this moment, which no lock below it can have let through."""
        with told(SETTING):
            handle = pynvml.nvmlDeviceGetHandleByUUID(target)
            now = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_GRAPHICS)
        return Hidden(float(now * MEGA))

    def write(self, target: str, value: float) -> None:
        """Let the clock go no higher than *value*; the driver takes the nearest step."""
        with told(SETTING):
            handle = pynvml.nvmlDeviceGetHandleByUUID(target)
            low, _ = clocks_megahertz(handle)
            pynvml.nvmlDeviceSetGpuLockedClocks(handle, low, round(value / MEGA))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Take the lock off."""
        with told(SETTING):
            handle = pynvml.nvmlDeviceGetHandleByUUID(target)
            pynvml.nvmlDeviceResetGpuLockedClocks(handle)

    def celsius(self, target: str) -> float:
        """Return the temperature of the core."""
        return self._driver.celsius(target)

    def close(self) -> None:
        """Let go of NVML."""
        self._driver.close()


def clocks_megahertz(handle: object) -> tuple[int, int]:
    """Return the lowest and the highest graphics clock at the fastest memory clock, in MHz."""
    memory = pynvml.nvmlDeviceGetSupportedMemoryClocks(handle)
    clocks = pynvml.nvmlDeviceGetSupportedGraphicsClocks(handle, max(memory)) if memory else []
    if not clocks:
        raise KnobError(Fault.UNSUPPORTED, "the board names no graphics clock that could be locked")
    return min(clocks), max(clocks)


def _target(index: int) -> Target:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    uuid = pynvml.nvmlDeviceGetUUID(handle)
    low, high = (float(clock * MEGA) for clock in clocks_megahertz(handle))
    labels = {"uuid": uuid, "gpu": str(index)}
    return Target(NAME, uuid, labels, low, high, "hertz", RESOLUTION_HERTZ)


def open_knob(_: Machine) -> GpuClockLock:
    """Return the knob; the driver is opened by the first probe."""
    return GpuClockLock()
