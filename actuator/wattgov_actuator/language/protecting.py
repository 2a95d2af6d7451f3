"""Read `protect` of a group: its guards."""

from wattgov_actuator.document.strict import Fields, Quantity
from wattgov_actuator.rules import FRESHNESS, Protect, Quorum, Sensor, Sla, Thermal

QUORUM = Quantity(70, "percent")
HYSTERESIS_CELSIUS = 8.0  # below `above`, where `clear` is not given


def protection(fields: Fields) -> Protect:
    """Read the guards of a group."""
    sla, thermal = fields.block("sla"), fields.block("thermal")
    quorum = fields.block("quorum")
    protect = Protect(
        sla=None if sla is None else _sla(sla),
        thermal=None if thermal is None else _thermal(thermal),
        quorum=None if quorum is None else _quorum(quorum),
        freshness=fields.expression("freshness", FRESHNESS),
        max_age_seconds=fields.seconds("max_age", 45.0, at_least=1.0),
        hold_seconds=fields.seconds("hold", 120.0),
    )
    fields.end()
    return protect


def _sla(fields: Fields) -> Sla:
    fields.word("then", ["restore"], "restore")
    sla = Sla(fields.expression("expr"), fields.seconds("rearm", 60.0))
    fields.end()
    return sla


def _thermal(fields: Fields) -> Thermal:
    then = fields.block("then")
    if then is not None:
        then.word("set", ["min"])
        then.end()
    device = fields.block("device")
    sensor = None if device is None else _sensor(device)
    expr = fields.expression("expr") if device is None else fields.expression("expr", "")
    if "clear" in fields and device is not None and "expr" not in fields:
        fields.say("clear", "clear goes with expr; the device's own is in device")
    thermal = Thermal(expr or None, fields.expression("clear", "") or None, sensor)
    fields.end()
    return thermal


def _sensor(fields: Fields) -> Sensor | None:
    above = fields.quantity("above", ("celsius",), "above")
    clear = fields.quantity("clear", ("celsius",), "clear")
    if above is None and "above" not in fields and not fields.strange("above", "clear"):
        fields.say(None, "device does not say when it is hot; give above, such as 83C")
    fields.end()
    if above is None:
        return None
    low = above.value - HYSTERESIS_CELSIUS if clear is None else clear.value
    if low >= above.value:
        fields.say("clear", f"clear must be below above, {above}; found {clear}")
    return Sensor(above.value, low)


def _quorum(fields: Fields) -> Quorum:
    part = fields.quantity("at_least", ("percent",), "at_least", QUORUM) or QUORUM
    if not 0 < part.value <= 100:  # noqa: PLR2004 (percent)
        fields.say("at_least", f"at_least must be above 0% and at most 100%, found {part}")
    quorum = Quorum(fields.expression("expr"), part.value / 100)
    fields.end()
    return quorum
