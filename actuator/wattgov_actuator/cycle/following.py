"""Which scrapes the loop follows: those of the one exporter that its fastest group goes by."""

from collections.abc import Iterable, Mapping
from math import isfinite

from wattgov_actuator.cycle.scrapes import Scrapes, next_look, question, seen
from wattgov_actuator.reading import Answer, Moment
from wattgov_actuator.rules import Group, RuleSet


class Following:
    """One loop, one way to follow.

    Several exporters are scraped at several moments: where nobody tells which of them reads the
    devices here, none is followed. A fleet's loops so stay apart as far as its scrapes do.
    """

    def __init__(self) -> None:
        self._instance = ""
        self._scrapes: Scrapes | None = None

    def asks(self, rules: RuleSet) -> tuple[str, ...]:
        """Return what to ask beside the rules' own expressions: one cheap question, or none.

        First, so that what it sees the others see, too.
        """
        lead = _lead(rules)
        if lead is None or not self._instance:
            return ()
        asked = question(lead.protect.freshness, self._instance)
        return () if asked is None else (asked,)

    def heard(
        self,
        rules: RuleSet,
        looked: Moment,
        answers: Mapping[str, Answer],
        instances: Iterable[str],
    ) -> None:
        """Learn from the answers of a tick; *instances* are those whose series name devices here.

        Until one does, the only one there is will be it.
        """
        lead = _lead(rules)
        if lead is None:
            return
        for expr in self.asks(rules):
            times = [each.value for each in answers[expr].samples if isfinite(each.value)]
            seconds = lead.interval_seconds
            self._scrapes = seen(self._scrapes, seconds, looked, max(times)) if times else None
        if lead.protect.freshness in answers:
            known = set(instances) or answers[lead.protect.freshness].instances
            self._instance = next(iter(known)) if len(known) == 1 else ""

    def next_look(self, rules: RuleSet, looked: float, planned: float) -> float:
        """Return when to look after *looked*, near *planned*."""
        return next_look(self._scrapes, rules.interval_seconds, looked, planned)


def _lead(rules: RuleSet) -> Group | None:
    """Return the group whose interval is the loop's."""
    return min(rules.groups, key=lambda group: group.interval_seconds, default=None)
