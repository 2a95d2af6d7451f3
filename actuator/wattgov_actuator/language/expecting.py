"""Read `expect` of a rule: what its steps must bring."""

from wattgov_actuator.document.strict import Fields, Quantity
from wattgov_actuator.rules import Expectation, Law, Strategy

WORSE = Quantity(2, "percent")


def expectation(fields: Fields, law: Law | None, strategy: Strategy) -> Expectation | None:
    """Return what the rule expects, None where it says nothing; mistakes are noted in *fields*."""
    block = fields.block("expect")
    if block is None:
        return None
    if law is not None and law.traits.judges:
        fields.say("expect", "this law measures by itself what its steps bring; leave expect out")
    texts = {key: block.expression(key, "") for key in ("expr", "draw", "latency", "load")}
    found = Expectation(
        **texts,
        worse=_part(block, "worse", WORSE),
        slower=_part(block, "slower", strategy.slowdown),
        settle_seconds=block.seconds("settle", 60.0, at_least=1.0),
        retry_seconds=block.seconds("retry", 600.0, at_least=1.0),
    )
    if not (found.expr or found.draw or found.latency) and not block.strange():
        block.say(None, "expect says nothing to measure; give expr, latency or draw")
    block.end()
    return found


def _part(fields: Fields, key: str, default: Quantity) -> float:
    found = fields.quantity(key, ("percent",), key, default) or default
    if found.value < 0:
        fields.say(key, f"{key} must not be negative, found {found}")
    return found.value / 100
