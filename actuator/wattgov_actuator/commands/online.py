"""What Prometheus says to each expression of the rules right now, and whether a rule can use it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from wattgov_actuator.columns import value_text
from wattgov_actuator.guards.bounds import floor
from wattgov_actuator.laws.threshold import Set
from wattgov_actuator.naming import named
from wattgov_actuator.places import places
from wattgov_actuator.reading import Answer, QueryFailure, Target
from wattgov_actuator.rules import Group, Rule, RuleSet

BAD = {QueryFailure.BAD_QUERY, QueryFailure.NOT_A_VECTOR}  # asking again would not help
SILENT = {  # what no series means, by the last part of the place
    "freshness": "no series: how old readings are is not known, so nothing will ever be tightened",
    "sla": "no series: it is kept, or its metrics are missing",
    "thermal": "no series: nothing is too hot, or its metric is missing",
    "clear": "no series: nothing has cooled down, or its metric is missing",
}
FALSE = "no series: it is false everywhere, or its metrics are missing"
UNMEASURED = "no series: it is not known, and the rule holds what it has"


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say about one expression."""

    place: str
    expr: str
    word: str  # ok, or what is wrong
    says: str  # a sentence
    failure: QueryFailure | None = None


def findings(
    rules: RuleSet, answers: Mapping[str, Answer], targets: Iterable[Target]
) -> tuple[Finding, ...]:
    """Judge every expression, in the order of the files; *targets* are those of this machine."""
    here = tuple(targets)
    own = {rule.action: rule for group in rules.groups for rule in group.rules}
    guards = {group.name: group for group in rules.groups}
    found = []
    for place, expr in places(rules):
        rule = own.get(place)
        owner = rule or own.get(place.rpartition(".")[0]) or guards[place.rpartition(".")[0]]
        meant = [each for each in here if _concerns(owner, each)]
        word, says = _judged(place, answers[expr], meant, rule)
        found.append(Finding(place, expr, word, says, answers[expr].failure))
    return tuple(found)


def floored(rules: RuleSet, targets: Iterable[Target]) -> Iterator[str]:
    """Yield where a rule sets less than it may on the devices of this machine.

    Their highest values are not known offline, and so is what a floor in percent comes to.
    """
    here = tuple(targets)
    for rule in (each for group in rules.groups for each in group.rules):
        law = rule.law
        if not isinstance(law, Set):
            continue
        short = [
            (floor(each, rule.bounds), each)
            for each in here
            if _concerns(rule, each) and law.value.of(each.high) < floor(each, rule.bounds)
        ]
        if short:
            low, first = max(short, key=lambda each: each[0])
            what = (
                f"its floor of {rule.bounds.low} is {value_text(low, first.unit)} at {first.name}"
            )
            yield f"note: {rule.action}: set {law.value} is never reached here: {what}; give a min"


def _judged(
    place: str, answer: Answer, targets: Sequence[Target], rule: Rule | None
) -> tuple[str, str]:
    """Return a word and a sentence; *rule*: whose own expression it is."""
    count = len(answer.samples)
    if answer.failure is not None:
        return answer.failure, answer.detail
    if not count:
        if rule is not None and not rule.law.traits.measures:
            return "empty", FALSE
        return "empty", SILENT.get(place.rpartition(".")[2], UNMEASURED)
    strange = sum(not isfinite(each.value) for each in answer.samples)
    if strange:
        return "nan", f"{strange} of {count} series have no finite value, which is not known"
    reached = [each for each in targets if named(answer, each.labels).of(each)]
    measures = rule is None or rule.law.traits.measures
    if targets and not reached and not (measures and _wide(answer, targets)):
        known = ", ".join(sorted({label for each in targets for label in each.labels}))
        what = f"none of {count} series names one of the {len(targets)} devices here"
        return "elsewhere", f"{what}; they are known by {known}"
    return "ok", f"{count} series; they name {len(reached)} of {len(targets)} devices here"


def _wide(answer: Answer, targets: Sequence[Target]) -> bool:
    """Tell whether series name no device at all: what a guard or a law measures is about all."""
    return any(named(answer, each.labels).wide for each in targets)


def _concerns(owner: Rule | Group, target: Target) -> bool:
    rules = owner.rules if isinstance(owner, Group) else (owner,)
    return any(rule.knob == target.knob and rule.takes(target.labels) for rule in rules)
