"""The board power limit of an NVIDIA GPU, in watts, through NVML.

The limit needs root to set, is lost with the driver, and may lie above a lower one that the board
or its BMC enforces. MIG instances have none of their own.
"""

import pynvml

from wattgov_actuator.knobs.nvml import Driver, told
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import InForce, Probe, Target

NAME, SETTING = "gpu_power_limit", "power limit"
RESOLUTION_WATTS = 1.0  # boards round a limit to steps finer than this
MILLI = 1000  # NVML counts in milliwatts


class GpuPowerLimit:
    """The power limits of all GPUs of this machine, by uuid."""

    def __init__(self) -> None:
        self._driver = Driver(SETTING)

    def probe(self) -> Probe:
        """Return the GPUs whose limit can be read."""
        return self._driver.probe(_target)

    def read(self, target: str) -> InForce:
        """Return the limit set, and the lowest of all limits that are enforced."""
        with told(SETTING):
            handle = pynvml.nvmlDeviceGetHandleByUUID(target)
            value = pynvml.nvmlDeviceGetPowerManagementLimit(handle) / MILLI
            enforced = pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / MILLI
        return InForce(value, enforced)

    def write(self, target: str, value: float) -> None:
        """Set the limit in watts.

        By the first version of the call: the binding of the second one never looks at the return
        code, and reports success for a refusal (nvidia-ml-py 13.615.71).
        """
        with told(SETTING):
            handle = pynvml.nvmlDeviceGetHandleByUUID(target)
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, round(value * MILLI))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set the limit that was read: milliwatts come back exactly."""
        self.write(target, value)

    def celsius(self, target: str) -> float:
        """Return the temperature of the core."""
        return self._driver.celsius(target)

    def close(self) -> None:
        """Let go of NVML."""
        self._driver.close()


def _target(index: int) -> Target:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    uuid = pynvml.nvmlDeviceGetUUID(handle)
    low, high = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
    labels = {"uuid": uuid, "gpu": str(index)}
    return Target(NAME, uuid, labels, low / MILLI, high / MILLI, "watts", RESOLUTION_WATTS)


def open_knob(_: Machine) -> GpuPowerLimit:
    """Return the knob; the driver is opened by the first probe."""
    return GpuPowerLimit()
