"""What became of a write, in the words that the journal and `explain` have."""

from datetime import UTC, datetime

from wattgov_actuator.acting.undo import Undo
from wattgov_actuator.reading import Fault, InForce, KnobError, Target, amount


def lie(target: Target, value: float, after: float) -> KnobError:
    """Say of a driver that it took a value, and still reads another one."""
    unit = target.unit
    detail = f"the driver accepted {amount(value, unit)} and still reads {amount(after, unit)}"
    return KnobError(Fault.REFUSED, detail)


def gone(note: str) -> str:
    """Say that a device is not there; *note*: what its knob says of it."""
    return f"the device is gone; its undo stays open. {note}".strip()


def late(undo: Undo, seconds: float) -> str:
    """Say that an order may still be carried out, so many seconds after it was given."""
    until = datetime.fromtimestamp(undo.at + seconds, tz=UTC)
    return (
        f"at its prior value, but an order for {amount(undo.intended or 0.0, undo.unit)} may still "
        f"be carried out; looked at until {until:%H:%M:%S} UTC by `run`, or by another `restore`"
    )


def enforced(after: InForce, value: float, target: Target) -> str:
    """Say that another limit is lower, where one is."""
    if after.enforced is None or after.enforced >= value - target.resolution:
        return ""
    return f"; another limit enforces {amount(after.enforced, target.unit)} already"
