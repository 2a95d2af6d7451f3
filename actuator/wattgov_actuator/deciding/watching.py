"""What a group's guards see at one target, from tick to tick."""

from dataclasses import replace

from wattgov_actuator.condition import View, judge_sla, judge_thermal
from wattgov_actuator.decision import Watch
from wattgov_actuator.rules import Group, Quorum, Sensor, Sla, Thermal


def watch(group: Group, before: Watch, view: View) -> Watch:
    """Return what is known of the guards of *group* now."""
    after, protect = before, group.protect
    if protect.thermal is not None and protect.thermal.expr is not None:
        after = _thermal(protect.thermal.expr, protect.thermal, protect.hold_seconds, after, view)
    if protect.sla is not None:
        after = _sla(protect.sla, after, view)
    if protect.quorum is not None:
        why = _unhealthy(protect.quorum, view)
        after = after if why == after.unhealthy else replace(after, unhealthy=why)
    return after


def _unhealthy(quorum: Quorum, view: View) -> str:
    """Say why nothing may be tightened, empty when enough is healthy."""
    answer = view.answers[quorum.expr]
    if answer.failure is not None:
        return f"how much of the fleet is healthy is unknown: {answer.detail}"
    every = len(answer.samples)
    healthy = sum(each.value > 0 for each in answer.samples)  # NaN is not
    if every and healthy >= quorum.at_least * every:
        return ""
    return f"{healthy} of {every} are healthy; asked are {quorum.at_least:.0%}"


def _thermal(expr: str, settings: Thermal, hold_seconds: float, before: Watch, view: View) -> Watch:
    """Trip on what is true and fresh; let go on `clear`, or when nothing is known for too long."""
    hot = judge_thermal(expr, view)
    if hot.true:
        return replace(before, hot=f"too hot: {hot.why}", hot_unknown_since=None)
    if not before.hot:
        return (
            before if before.hot_unknown_since is None else replace(before, hot_unknown_since=None)
        )
    clear = hot if settings.clear is None else judge_thermal(settings.clear, view)
    if hot.false and (clear.false if settings.clear is None else clear.true):
        return replace(before, hot="", hot_unknown_since=None)
    if not hot.unknown and not clear.unknown:
        return replace(before, hot_unknown_since=None)
    now = view.now.steady
    since = now if before.hot_unknown_since is None else before.hot_unknown_since
    if now - since >= hold_seconds:  # the board protects itself without us
        return replace(before, hot="", hot_unknown_since=since)  # until the next look: it tells why
    return replace(before, hot_unknown_since=since)


def lost_sight(before: Watch, after: Watch) -> bool:
    """Tell whether a thermal claim was held and its heat is not known now, or no longer."""
    hot = bool(before.hot) and after.hot_unknown_since is not None
    return hot or (bool(before.burning) and after.burning_unknown_since is not None)


def warmed(
    sensor: Sensor, hold_seconds: float, before: Watch, celsius: float | None, steady: float
) -> Watch:
    """Trip on the device's own temperature; None: it cannot be read now."""
    if celsius is None:
        if not before.burning:
            return replace(before, burning_unknown_since=None)
        since = steady if before.burning_unknown_since is None else before.burning_unknown_since
        if steady - since >= hold_seconds:  # the board protects itself without us
            return replace(before, burning="", burning_unknown_since=since)
        return replace(before, burning_unknown_since=since)
    if celsius > sensor.above_celsius:
        why = before.burning or f"too hot: the device says {celsius:g} C"
        return replace(before, burning=why, burning_unknown_since=None)
    if before.burning and celsius < sensor.clear_celsius:
        return replace(before, burning="", burning_unknown_since=None)
    return replace(before, burning_unknown_since=None)


def _sla(settings: Sla, before: Watch, view: View) -> Watch:
    """Note a breach until `rearm` after it, and since when the SLA cannot be judged."""
    judged, now = judge_sla(settings.expr, view), view.now.steady
    if judged.true:
        return replace(before, breach=judged.why, breached_at=now, sla_unknown_since=None)
    if judged.unknown:
        since = now if before.sla_unknown_since is None else before.sla_unknown_since
        return replace(before, breach="", sla_unknown=judged.why, sla_unknown_since=since)
    over = before.breached_at is not None and now - before.breached_at >= settings.rearm_seconds
    if not (over or before.breach or before.sla_unknown) and before.sla_unknown_since is None:
        return before
    at = None if over else before.breached_at
    return replace(before, breach="", breached_at=at, sla_unknown="", sla_unknown_since=None)
