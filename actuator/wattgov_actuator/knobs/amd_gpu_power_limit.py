"""The board power limit of an AMD GPU, in watts, through the driver's hwmon files.

The card is named as AMD SMI names it, from its serial number and its kind (amd_smi_uuid.cc), else
by its place on the bus. An integrated GPU has no limit and is no target.
"""

from pathlib import Path

from wattgov_actuator.knobs import attribute
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

NAME = "amd_gpu_power_limit"
MICRO = 1_000_000  # hwmon counts in microwatts
RESOLUTION_WATTS = 1.0  # the driver keeps whole watts
AMD = "0x1002"
CAP = "power1_cap"


class AmdGpuPowerLimit:
    """The limits of all AMD GPUs of this machine."""

    def __init__(self, machine: Machine) -> None:
        self._root = machine.sysfs / "class" / "drm"

    def probe(self) -> Probe:
        """Return the cards that have a limit."""
        targets: list[Target] = []
        notes = []
        for name, cap in self._cards().items():
            try:
                targets.append(_target(name, cap))
            except KnobError as error:
                notes.append(error.detail)
        if targets or notes:
            return Probe(tuple(targets), "; ".join(notes))
        return Probe((), f"{self._root} has no AMD GPU with a power limit")

    def read(self, target: str) -> InForce:
        """Return the limit set."""
        text = str(attribute.number(self._cap(target)))
        return InForce(int(text) / MICRO, text=text)

    def write(self, target: str, value: float) -> None:
        """Set the limit in watts."""
        attribute.write(self._cap(target), str(round(value * MICRO)))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Write what was read."""
        attribute.write(self._cap(target), text)

    def celsius(self, target: str) -> float:
        """Return the temperature of the hottest place that the driver tells (edge, junction)."""
        sensors = sorted(self._cap(target).parent.glob("temp[0-9]*_input"))
        if not sensors:
            raise KnobError(Fault.UNSUPPORTED, f"{target} has no thermometer")
        return max(map(attribute.number, sensors)) / 1000

    def close(self) -> None:
        """Nothing is open."""

    def _cap(self, target: str) -> Path:
        cards = self._cards()
        if target not in cards:
            raise KnobError(Fault.LOST, f"{self._root} has no card {target} any more")
        return cards[target]

    def _cards(self) -> dict[str, Path]:
        """Return the files of the limits by the cards' names; `card0-DP-1` is a connector."""
        found = {}
        for card in sorted(self._root.glob("card[0-9]*")):
            device = card / "device"
            try:
                if "-" in card.name or attribute.read(device / "vendor") != AMD:
                    continue
                caps = sorted(device.glob(f"hwmon/hwmon*/{CAP}"))
                if caps:
                    found[_name(device)] = caps[0]
            except KnobError:  # a card without a vendor is not ours to turn
                continue
        return found


def _name(device: Path) -> str:
    """Return the card's uuid, else its address, which is where the link leads.

    The first byte, then those from the second on, are the serial number's; ff is the whole card.
    """
    own = device / "unique_id"
    if not own.exists():
        return device.resolve().name
    try:
        serial, kind = int(attribute.read(own), 16), int(attribute.read(device / "device"), 16)
    except ValueError:
        raise KnobError(Fault.LOST, f"{own} holds no number") from None
    digits = f"{serial:016x}"
    return f"{digits[:2]}ff{kind:04x}-0000-1000-80{digits[2:4]}-{digits[4:]}"


def _target(name: str, cap: Path) -> Target:
    low, high = (attribute.number(cap.with_name(f"{CAP}_{end}")) / MICRO for end in ("min", "max"))
    if high <= 0:
        raise KnobError(Fault.UNSUPPORTED, f"{name}: the driver states no highest limit")
    return Target(NAME, name, {"uuid": name}, low, high, "watts", RESOLUTION_WATTS)


def open_knob(machine: Machine) -> AmdGpuPowerLimit:
    """Return the knob."""
    return AmdGpuPowerLimit(machine)
