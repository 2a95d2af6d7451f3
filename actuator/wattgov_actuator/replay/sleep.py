"""What a replay makes of sleep: how long, what that may have saved, and whom a wake kept waiting.

Awake is what was measured, so all of it rests on what the policy estimates: `idle_draw`, `waking`
and `waking_draw`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from wattgov_actuator.decision import Decision
from wattgov_actuator.knobs.level import AWAKE, is_asleep, sleeper
from wattgov_actuator.laws.hibernate import Hibernate
from wattgov_actuator.reading import Target
from wattgov_actuator.rules import Group, Policy, Rule, RuleSet
from wattgov_actuator.simulation import Planted

KNOB = "hibernate"


@dataclass(slots=True)
class Sleep:
    """What became of one target that may sleep."""

    target: Target
    times: int = 0
    seconds: float = 0.0
    wakes: int = 0
    saved_joules: float | None = None  # None: nobody estimates what sleeping saves
    wake_joules: float = 0.0
    late: list[float] = field(
        default_factory=list
    )  # seconds, of each wake that somebody waited for
    since: float | None = None  # unix seconds; None: awake
    policy: Policy = field(default_factory=Policy)  # of the rule that put it to sleep last

    @property
    def net_joules(self) -> float | None:
        """What is left of the savings when the wakes are paid for."""
        return None if self.saved_joules is None else self.saved_joules - self.wake_joules

    def decided(self, decision: Decision, policy: Policy) -> None:
        """Fall asleep or wake, as decided; *policy* is that of the rule, if it has one."""
        if is_asleep(AWAKE if decision.wanted is None else decision.wanted):
            self.times, self.since, self.policy = self.times + 1, decision.at, policy
        elif self.since is not None:
            self.wakes += 1
            self.wake_joules += self.policy.waking_joules
            used = decision.inputs[0].value if decision.inputs else None
            if used is not None and used < decision.at - self.since:
                self.late.append(self.policy.waking_seconds + used)
            self.since = None

    def passed(self, seconds: float) -> None:
        """Let time pass until the next tick."""
        if self.since is None:
            return
        self.seconds += seconds
        if self.policy.idle_watts is not None:
            self.saved_joules = (self.saved_joules or 0.0) + self.policy.idle_watts * seconds


def estimated(rules: RuleSet) -> RuleSet:
    """Return the rules without the draw that they measure: the past tells that of one awake."""

    def rule(one: Rule) -> Rule:
        law = one.law
        return replace(one, law=replace(law, draw="")) if isinstance(law, Hibernate) else one

    def group(one: Group) -> Group:
        return replace(one, rules=tuple(map(rule, one.rules)))

    return replace(rules, groups=tuple(map(group, rules.groups)))


def sleepers(rules: RuleSet) -> Iterator[Planted]:
    """Yield what the entries of the rule files let sleep, awake; nobody is asked whether it is."""
    for way in rules.connections:
        if way.knob == KNOB and KNOB in rules.knobs:
            yield from (Planted(each, AWAKE) for each in sleeper(way).targets)


def policies(rules: RuleSet) -> dict[str, Policy]:
    """Return the policies by rule."""
    return {
        rule.action: rule.law.policy
        for group in rules.groups
        for rule in group.rules
        if isinstance(rule.law, Hibernate)
    }


def percentile(values: Iterable[float], part: float) -> float:
    """Return the least value that at least *part* of them do not exceed."""
    found: Sequence[float] = sorted(values)
    return found[max(ceil(part * len(found)) - 1, 0)]
