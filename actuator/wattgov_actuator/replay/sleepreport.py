"""What a replay found of sleep, for a person and for a program; each wake is charged."""

from collections.abc import Sequence

from wattgov_actuator.columns import aligned
from wattgov_actuator.replay.sleep import Sleep, percentile
from wattgov_actuator.when import span_text

HEAD = (
    *("TARGET", "TIMES ASLEEP", "FOR", "OF THE TIME", "SAVED", "WAKES", "COST", "NET"),
    *("WAITED FOR", "P50", "P95", "WORST"),
)
WAITS = {"p50": 0.5, "p95": 0.95, "worst": 1.0}  # so many of them are no longer
SLEEP_METHOD = (
    "what the policy says of itself: idle_draw for the time asleep, waking and waking_draw for "
    "each wake. A wake is waited for if it was used since it fell asleep; that wait is waking, and "
    "what had passed since the use at the tick that saw it, which a proxy that orders the wake "
    "spares. Who comes while it wakes waits less"
)
JOULES_PER_KWH = 3.6e6


def sleep_text(sleeps: Sequence[Sleep], seconds: float) -> list[str]:
    """Return how they would have slept in so many *seconds*, and what that could have saved."""
    told = [*aligned([HEAD, *(_row(each, seconds) for each in sleeps)]), ""]
    net = [each.net_joules for each in sleeps if each.net_joules is not None]
    if net:
        joules = sum(net)
        energy = f"{joules / 1000:.4g} kJ ({joules / JOULES_PER_KWH:.3g} kWh)"
        told.append(f"ESTIMATE: sleeping uses {energy} less, wakes paid for.")
    if missing := sorted(_missing(sleeps)):
        told.append(f"For a whole estimate the policy must give {', '.join(missing)}.")
    return [*told, f"Method: {SLEEP_METHOD}."]


def sleep_data(sleep: Sleep) -> dict[str, object]:
    """Return the same of one of them for a program."""
    return {
        "knob": sleep.target.knob,
        "target": sleep.target.name,
        "times_asleep": sleep.times,
        "asleep_seconds": sleep.seconds,
        "wakes": sleep.wakes,
        "wakes_waited_for": len(sleep.late),
        "estimate_wait_seconds": _waits(sleep),
        "estimate_saved_joules": sleep.saved_joules,
        "estimate_wake_joules": sleep.wake_joules if sleep.policy.waking_joules else None,
        "estimate_net_joules": sleep.net_joules,
    }


def _row(sleep: Sleep, seconds: float) -> tuple[str, ...]:
    return (
        sleep.target.name,
        str(sleep.times),
        span_text(sleep.seconds),
        f"{100 * sleep.seconds / seconds:.1f} %" if seconds else "-",
        _kilojoules(sleep.saved_joules),
        str(sleep.wakes),
        _kilojoules(sleep.wake_joules or None),
        _kilojoules(sleep.net_joules),
        str(len(sleep.late)),
        *("-" if each is None else span_text(each) for each in _waits(sleep).values()),
    )


def _waits(sleep: Sleep) -> dict[str, float | None]:
    """Return how long a wake was waited for; None where nobody waited, or says how long."""
    known = sleep.late and sleep.policy.waking_seconds
    return {name: percentile(sleep.late, part) if known else None for name, part in WAITS.items()}


def _missing(sleeps: Sequence[Sleep]) -> set[str]:
    """Return the keys of a policy without which the estimate is not whole."""
    slept = [each.policy for each in sleeps if each.times]
    return {
        key
        for policy in slept
        for key, given in (
            ("idle_draw", policy.idle_watts is not None),
            ("waking", policy.waking_seconds),
            ("waking_draw", policy.waking_watts),
        )
        if not given
    }


def _kilojoules(joules: float | None) -> str:
    return "-" if joules is None else f"{joules / 1000:.4g} kJ"
