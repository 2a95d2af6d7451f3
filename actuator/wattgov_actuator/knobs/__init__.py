"""The knobs: a knob is one file and one line here."""

from importlib import import_module

from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Knob
from wattgov_actuator.rules import Kind

WATTS = ("watts", "percent")
HERTZ = ("hertz", "percent")

KNOBS: dict[str, Kind] = {
    "gpu_power_limit": Kind(WATTS, "wattgov_actuator.knobs.gpu_power_limit"),
    "gpu_clock_lock": Kind(HERTZ, "wattgov_actuator.knobs.gpu_clock_lock"),
    "amd_gpu_power_limit": Kind(WATTS, "wattgov_actuator.knobs.amd_gpu_power_limit"),
    "cpu_power_limit": Kind(WATTS, "wattgov_actuator.knobs.cpu_power_limit"),
    "cpu_frequency": Kind(HERTZ, "wattgov_actuator.knobs.cpu_frequency"),
    "cpu_priority": Kind(("percent",), "wattgov_actuator.knobs.cpu_priority"),
    "cpu_affinity": Kind(("percent",), "wattgov_actuator.knobs.cpu_affinity"),
}

HERE = Machine()


def open_knob(name: str, machine: Machine = HERE) -> Knob:
    """Load the knob's file, and with it the driver's binding, and open it."""
    knob: Knob = import_module(KNOBS[name].module).open_knob(machine)
    return knob
