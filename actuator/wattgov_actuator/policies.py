"""Read a policy of hibernation, with its name or in a rule."""

from collections.abc import Mapping

from wattgov_actuator.document.strict import Fields
from wattgov_actuator.rules import Policy


def policy(fields: Fields, default: Policy) -> Policy:
    """Read a policy; what it leaves out is as in *default*."""
    draw, waking = _draw(fields, "idle_draw"), _draw(fields, "waking_draw")
    cpu_below = fields.number("cpu_below", default.cpu_below)
    return Policy(
        idle_seconds=fields.seconds("idle", default.idle_seconds, at_least=1.0),
        longest_seconds=fields.seconds("longest", default.longest_seconds, at_least=1.0),
        awake_seconds=fields.seconds("awake", default.awake_seconds),
        cpu_below=cpu_below,
        keep_warm=fields.count("keep_warm", default.keep_warm),
        priority=fields.number("priority", default.priority),
        idle_watts=default.idle_watts if draw is None else draw,
        waking_seconds=fields.seconds("waking", default.waking_seconds),
        waking_watts=default.waking_watts if waking is None else waking,
    )


def _draw(fields: Fields, key: str) -> float | None:
    """Read watts, of which there may be none or more."""
    found = fields.quantity(key, ("watts",), key)
    if found is None:
        return None
    if found.value < 0:
        fields.say(key, f"{key} must not be negative, found {found}")
    return found.value


def named_policies(fields: Fields) -> Mapping[str, Policy]:
    """Read the policies that the file names."""
    found: dict[str, Policy] = {}
    fields.skip("policies")
    if "policies" not in fields:
        return found
    for each in fields.blocks("policies", "a policy"):
        name = each.text("name")
        if name in found:
            each.say("name", f"there is another policy called '{name}'")
        found[name] = policy(each, Policy())
        each.end()
    return found
