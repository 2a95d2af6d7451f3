"""The knobs: a knob is one file and one line here."""

from importlib import import_module

from wattgov_actuator.reading import Knob
from wattgov_actuator.rules import Kind

KNOBS: dict[str, Kind] = {
    "gpu_power_limit": Kind(("watts", "percent"), "wattgov_actuator.knobs.gpu_power_limit"),
}


def open_knob(name: str) -> Knob:
    """Load the knob's file, and with it the driver's binding, and open it."""
    knob: Knob = import_module(KNOBS[name].module).open_knob()
    return knob
