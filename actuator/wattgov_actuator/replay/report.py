"""What a replay found, for a person and for a program."""

from collections.abc import Sequence
from dataclasses import asdict

from wattgov_actuator.columns import aligned, value_text
from wattgov_actuator.decision import Decision
from wattgov_actuator.replay.backtest import Replay, Tally
from wattgov_actuator.replay.sleepreport import SLEEP_METHOD, sleep_data, sleep_text
from wattgov_actuator.when import Moments, clock_text, span_text

CHANGES = ("TIME", "RULE", "TARGET", "FROM", "TO", "REASON", "WHY")
COUNTS = ("RULE", "REASON", "TICKS")
TARGETS = ("TARGET", "KNOB", "BEFORE", "CHANGES", "BELOW FOR", "OF THE TIME", "DRAWN ABOVE IT")
METHOD = (
    "an upper bound: the draw that was measured above the limit that would have been in force, "
    "summed over the time below the value from before. Work that is slowed down takes longer, and "
    "gives some of it back; latency is not looked at"
)
JOULES_PER_KWH = 3.6e6


def text(replay: Replay, asked: Moments, notes: Sequence[str], lines: int) -> list[str]:
    """Return what would have been done, the last *lines* changes."""
    first, last = asked.all[0], asked.all[-1]
    when = f"{clock_text(first)} to {clock_text(last)}"
    told = [
        f"Replayed {replay.ticks} ticks of {span_text(asked.step)}, {when}; nothing was written",
        *(f"NOTE: {each}" for each in notes),
        *(
            f"NOTE: {each.ticks} of {replay.ticks} ticks without an answer to {expr}: {each.detail}"
            for expr, each in replay.silences.items()
        ),
        "",
    ]
    shown = replay.changes[-lines:]
    if len(shown) < len(replay.changes):
        told.append(f"The last {len(shown)} of {len(replay.changes)} changes; see --lines")
    told += aligned([CHANGES, *map(_change, shown)]) if shown else ["Nothing would have changed"]
    counts = [(rule, reason, str(count)) for (rule, _, reason), count in _sorted(replay)]
    told += ["", *aligned([COUNTS, *counts]), ""]
    tallies = list(replay.tallies.values())
    seconds = replay.ticks * asked.step
    if tallies:
        told += aligned([TARGETS, *(_row(each, seconds) for each in tallies)])
    if estimate := _estimate(tallies):
        told += ["", *estimate]
    if replay.sleeps:
        told += [*([""] * bool(tallies)), *sleep_text(list(replay.sleeps.values()), seconds)]
    return told


def data(replay: Replay, asked: Moments, notes: Sequence[str]) -> dict[str, object]:
    """Return the same for a program; times are unix seconds."""
    moments = asked.all
    return {
        "start": moments[0],
        "end": moments[-1],
        "step_seconds": asked.step,
        "ticks": replay.ticks,
        "notes": list(notes),
        "unanswered": {expr: asdict(each) for expr, each in replay.silences.items()},
        "changes": [asdict(each) for each in replay.changes],
        "counts": [
            {"rule": rule, "knob": knob, "reason": reason, "ticks": count}
            for (rule, knob, reason), count in _sorted(replay)
        ],
        "targets": [
            {
                "knob": each.target.knob,
                "target": each.target.name,
                "unit": each.target.unit,
                "before": each.before,
                "changes": each.changes,
                "below_seconds": each.below_seconds,
                "measured_seconds": each.measured_seconds,
                "estimate_at_most_joules": each.above_joules if each.measured_seconds else None,
            }
            for each in replay.tallies.values()
        ],
        "estimate_method": METHOD,
        "sleeps": [sleep_data(each) for each in replay.sleeps.values()],
        "sleep_estimate_method": SLEEP_METHOD,
    }


def _sorted(replay: Replay) -> list[tuple[tuple[str, str, str], int]]:
    return sorted(replay.counts.items())


def _change(one: Decision) -> tuple[str, ...]:
    after = one.wanted if one.read_back is None else one.read_back
    before, now = value_text(one.current, one.unit), value_text(after, one.unit)
    return (clock_text(one.at), one.rule, one.target, before, now, one.reason, one.detail)


def _row(tally: Tally, seconds: float) -> tuple[str, ...]:
    above = f"{tally.above_joules / 1000:.4g} kJ" if tally.measured_seconds else "-"
    return (
        tally.target.name,
        tally.target.knob,
        value_text(tally.before, tally.target.unit),
        str(tally.changes),
        span_text(tally.below_seconds),
        f"{100 * tally.below_seconds / seconds:.1f} %" if seconds else "-",
        above,
    )


def _estimate(tallies: Sequence[Tally]) -> list[str]:
    """Return what it could have saved, if any of that is known."""
    below = sum(each.below_seconds for each in tallies)
    measured = sum(each.measured_seconds for each in tallies)
    if not measured:
        return ["No estimate: nothing was below, or what was has no measured draw"] if below else []
    joules = sum(each.above_joules for each in tallies)
    known = f"the draw is known for {100 * measured / below:.0f} % of that time"
    energy = f"{joules / 1000:.4g} kJ ({joules / JOULES_PER_KWH:.3g} kWh)"
    return [f"ESTIMATE: at most {energy} less; {known}.", f"Method: {METHOD}."]
