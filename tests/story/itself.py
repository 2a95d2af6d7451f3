"""What an actuator tells of itself, of what it saves, and of the app that it lets sleep."""

from collections.abc import Mapping, Sequence

from story.cards import LIMITS_WATTS, Card
from story.tape import Tape
from wattgov_actuator import exposition
from wattgov_actuator.cycle.snapshot import Reloads, Snapshot
from wattgov_actuator.exposition import Exposition
from wattgov_actuator.pause import Pause
from wattgov_actuator.rules import Policies, RuleSet

Labels = Mapping[str, str]
RULE, KNOB = "trim-while-fast", "gpu_power_limit"
WAKING_SECONDS, WAKING_JOULES = 5.7, 1900.0
CHAT_AWAY = range(2100, 2160)
"""Seconds of each hour and a half in which the chat takes no notes."""
POLICIES_UNSEEN = range(3000, 3240)
"""Seconds of each hour and a half in which the cluster's API server is away."""
PERIOD_SECONDS = 5400
SURE_PART, SURE_WATTS = 0.18, 5.0
"""How wide the interval of a saving is: a part of it, and some watts."""


def health(tape: Tape, who: Labels, seconds: float, *, leads: bool, busy: float) -> None:
    """Store how it works: its ticks, its questions, its journal, its rules; *busy* is 0 to 1."""
    tape.gauge("wattgov_actuator_tick_late_seconds", 0.001 + 0.006 * busy, **who)
    tape.count("wattgov_actuator_query_seconds_count", seconds, **who)
    tape.count("wattgov_actuator_query_seconds_sum", seconds * (0.004 + 0.003 * busy), **who)
    tape.gauge("wattgov_actuator_leader", float(leads), **who)
    tape.gauge("wattgov_actuator_journal_usable", 1.0, **who)
    tape.count("wattgov_actuator_journal_failures_total", 0.0, **who)
    tape.gauge("wattgov_actuator_config_last_reload_successful", 1.0, **who)
    tape.gauge("wattgov_actuator_config_hash", 1.0, sha256="5c0ffee5c0de", **who)
    for mode in ("tighten", "all"):
        tape.gauge("wattgov_actuator_paused", 0.0, mode=mode, **who)


def told(tape: Tape, who: Labels, *, leads: bool) -> None:
    """Store what it is told, and what it tells: policies of a cluster, logins, notes on changes."""
    at = tape.now % PERIOD_SECONDS
    tape.gauge("wattgov_actuator_web_config_last_reload_successful", 1.0, **who)
    tape.count("wattgov_actuator_web_config_failures_total", 0.0, **who)
    if leads:
        for state, count in (("in_force", 2.0), ("resting", 1.0), ("refused", 0.0)):
            tape.gauge("wattgov_actuator_energy_policies", count, state=state, **who)
        seen = at not in POLICIES_UNSEEN
        tape.gauge("wattgov_actuator_energy_policies_watched", float(seen), **who)
    lost = leads and at in CHAT_AWAY
    for sink in ("grafana", "webhook"):
        failed = lost and sink == "webhook"
        noted = float((leads and at % 300 == 0) or lost)
        for result, more in (
            ("sent", noted * (not failed)),
            ("failed", noted * failed),
            ("dropped", 0.0),
        ):
            tape.count("wattgov_actuator_notes_total", more, sink=sink, result=result, **who)


def savings(tape: Tape, who: Labels, cards: Sequence[Card], seconds: float) -> None:
    """Store what the limits save, with its interval, what that costs, and how long a write took."""
    for card in cards:
        knob = {"knob": KNOB, "target": card.uuid, **who}
        for took, direction in ((0.021, "tighten"), (0.025, "loosen")):
            slower = took + 0.004 * card.number
            tape.gauge("wattgov_actuator_write_seconds", slower, direction=direction, **knob)
        page = {"rule": RULE, "method": "measured", **who}
        tape.count("wattgov_actuator_saved_joules_total", 0.0, **page)
        if card.limit_watts >= LIMITS_WATTS["default"]:
            continue
        saved = card.demand_watts - card.watts
        place = {"rule": RULE, **knob}
        sure = SURE_PART * saved + SURE_WATTS
        for bound, watts in (("mean", saved), ("low", saved - sure), ("high", saved + sure)):
            one = {"bound": bound, "method": "measured", **place}
            tape.gauge("wattgov_actuator_saved_watts", watts, **one)
        tape.gauge("wattgov_actuator_latency_cost_ratio", 1.0 / card.pace - 1.0, **place)
        tape.count("wattgov_actuator_saved_joules_total", saved * seconds, **page)


def sleeper(tape: Tape, who: Labels, app: str, *, asleep: bool, slept: bool) -> None:
    """Store the level of an app that sleeps while nobody asks; *slept* is a scrape ago."""
    place = {"knob": "hibernate", "target": app, "unit": "level", **who}
    tape.gauge("wattgov_actuator_knob_in_force", float(not asleep), **place)
    if asleep:
        tape.gauge("wattgov_actuator_knob_wanted", 0.0, **place)
        tape.gauge("wattgov_actuator_knob_prior", 1.0, **place)
    one = {"knob": "hibernate", "target": app, **who}
    for direction, took in (("tighten", 1.4), ("loosen", WAKING_SECONDS)):
        tape.gauge("wattgov_actuator_write_seconds", took, direction=direction, **one)
    woken = float(slept and not asleep)
    for result, more in (("woken", woken), ("failed", 0.0)):
        tape.count("wattgov_actuator_wakes_total", more, result=result, **one)
    tape.count("wattgov_actuator_wake_seconds_count", woken, **one)
    tape.count("wattgov_actuator_wake_seconds_sum", woken * WAKING_SECONDS, **one)
    page = {"rule": "sleep-while-unused", "method": "measured", **who}
    tape.count("wattgov_actuator_wake_joules_total", woken * WAKING_JOULES, **page)
    decision = {"rule": "sleep-while-unused", "knob": "hibernate", **who}
    became = {asleep: "unchanged", not asleep: "applied" if asleep else "restored"}[slept]
    for reason in ("unchanged", "applied", "restored"):
        tape.count("wattgov_actuator_decisions_total", reason == became, reason=reason, **decision)


def published() -> set[str]:
    """Return the names that a real actuator publishes with all that there is to tell of."""
    snapshot = Snapshot(
        enforcing=False,
        last_success=0.0,
        reloads=Reloads(0.0, ""),
        rules=RuleSet((), enforce=False, leads=True, policies=Policies()),
        pause=Pause(0.0, 1.0),
    )
    registry = Exposition(lambda: snapshot, lambda: 0.0).registry(
        lambda: exposition.web(0, good=True),
        lambda: exposition.notes([("webhook", "sent", 0)]),
        lambda: exposition.watched(policies=True),
    )
    found: set[str] = set()
    for one in registry.collect():
        end = {"counter": ("_total",), "summary": ("_sum", "_count")}.get(one.type, ("",))
        found |= {one.name + each for each in end}
    return found
