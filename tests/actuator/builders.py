"""Rules, readings and scenes with one thing said and the rest ordinary."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from actuator.fakes import DEFAULT, FRESH, target
from wattgov_actuator.condition import Judged, State
from wattgov_actuator.decision import Held, Reason, Scene, Watch, Wish
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.laws import LAWS
from wattgov_actuator.laws.threshold import Step
from wattgov_actuator.reading import Answer, Moment, QueryFailure, Reading, Sample
from wattgov_actuator.rules import Bounds, Group, Law, Look, Protect, Rule, RuleSet

NOW = Moment(unix=1_000_000.0, steady=500.0)
SILENT = Answer(failure=QueryFailure.DOWN, detail="Prometheus is down")
PROTECT = Protect(freshness=FRESH)
ASKED = Held(true_since=0.0)
QUIET = Watch()


def watts(value: float) -> Quantity:
    """Return a quantity in watts."""
    return Quantity(value, "watts")


def rule(
    action: str = "trim",
    expr: str = "quiet",
    law: Law | None = None,
    low: float = 150,
    high: float | None = None,
    for_seconds: float = 0,
    cooldown_seconds: float = 60,
) -> Rule:
    """Return a rule that steps down by 20 W, not below 150 W."""
    bounds = Bounds(watts(low), None if high is None else watts(high))
    step = Step(watts(-20)) if law is None else law
    return Rule(action, expr, "gpu_power_limit", step, bounds, for_seconds, cooldown_seconds)


def group(
    *rules: Rule, protect: Protect = PROTECT, name: str = "gpus", interval_seconds: float = 15
) -> Group:
    """Return a group of one such rule, unless others are given."""
    return Group(name, interval_seconds, protect, rules or (rule(),))


def ruleset(*rules: Rule, protect: Protect = PROTECT) -> RuleSet:
    """Return a rule set of one group."""
    return RuleSet((group(*rules, protect=protect),))


def loaded(path: Path, text: str) -> RuleSet:
    """Return the rules of a file with this text."""
    path.write_text(text)
    return load([path], LAWS, KNOBS)


def answer(*series: tuple[Mapping[str, str], float]) -> Answer:
    """Return an answer of these series."""
    return Answer(tuple(Sample(labels, value) for labels, value in series))


def on(value: float = 1.0, uuid: str = "GPU-a", **labels: str) -> Answer:
    """Return an answer of one series that names a card."""
    return answer(({"uuid": uuid, "instance": "here", **labels}, value))


def fresh(age_seconds: float = 0.0, instance: str = "here") -> Answer:
    """Return the freshness of an exporter that has read its cards some seconds ago."""
    return answer(({"instance": instance, "source": "nvml"}, NOW.unix - age_seconds))


def reading(current: float | None = DEFAULT, prior: float | None = None, **more: object) -> Reading:
    """Return a reading of the card GPU-a."""
    return replace(Reading(target(), current, prior), **more)  # type: ignore[arg-type]


def look(at: Reading | None = None, **more: object) -> Look:
    """Return what a law sees of the card GPU-a, between 100 W and what was set before us."""
    where = reading() if at is None else at
    ordinary = Look(where, NOW, true=True, value=1.0, low=100.0, high=where.base or 0.0)
    return replace(ordinary, **more)  # type: ignore[arg-type]


def scene(
    state: State = State.TRUE,
    *,
    the_rule: Rule | None = None,
    protect: Protect = PROTECT,
    at: Reading | None = None,
    held: Held = ASKED,
    watch: Watch = QUIET,
    hot: str = "",
) -> Scene:
    """Return the scene of a rule that is true and may act."""
    chosen = the_rule or rule()
    judged = Judged(state, "because", 1.0, NOW.unix)
    where = reading() if at is None else at
    return Scene(NOW, group(chosen, protect=protect), chosen, where, judged, held, watch, hot)


def wish(claim: float | None = 280.0, lift: float | None = None) -> Wish:
    """Return the wish for 280 W."""
    return Wish(claim, lift, claim if lift is None else lift, Reason.UNCHANGED, "because")
