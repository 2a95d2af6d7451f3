"""What the loop has done so far, summed up for those who look at it from outside."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter

from wattgov_actuator.deciding.trying import Saving
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.reading import Answer

COUNTED = attrgetter("rule", "knob", "reason")  # in C: there may be thousands in a tick


class Ledger:
    """Counts, sums, and the latest decision of each rule and target; one loop, one ledger."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()  # by rule, knob, reason
        self.failures: Counter[str] = Counter()  # of queries
        self.saved_joules: dict[tuple[str, str], float] = {}  # by rule and method
        self.lost_joules: dict[tuple[str, str], float] = {}
        self.wake_joules: dict[tuple[str, str], float] = {}  # of the lost ones
        self._latest: dict[str, dict[tuple[str, str], Decision]] = {}  # group; rule, target
        self._noted: dict[tuple[str, str], tuple[Reason, float | None]] = {}  # by rule, target

    @property
    def latest(self) -> tuple[Decision, ...]:
        """The latest decision of each rule and target, group by group."""
        return tuple(each for group in self._latest.values() for each in group.values())

    def answered(self, answers: Mapping[str, Answer]) -> None:
        """Count the queries that gave nothing."""
        self.failures.update(str(each.failure) for each in answers.values() if each.failure)

    def saved(self, savings: Iterable[Saving]) -> None:
        """Add what is saved, or used in vain, since the last look: two sums, neither may fall."""
        for each in savings:
            book = self.saved_joules if each.watts >= 0 else self.lost_joules
            page = (each.rule, each.method)
            book[page] = book.get(page, 0.0) + abs(each.watts) * each.seconds
            if each.wake_joules > 0:
                self.wake_joules[page] = self.wake_joules.get(page, 0.0) + each.wake_joules

    def decided(self, decisions: Collection[Decision], groups: Iterable[str]) -> list[Decision]:
        """Enter decisions, which are all there are of *groups*; return those that are news."""
        self._latest.update({name: {} for name in groups})
        self.counts.update(map(COUNTED, decisions))
        latest, noted, news = self._latest, self._noted, []
        for each in decisions:
            place, wanted = (each.rule, each.target), each.wanted
            latest.setdefault(each.group, {})[place] = each
            word = (each.reason, None if wanted is None else round(wanted, 1))
            if noted.get(place) != word:
                noted[place] = word
                news.append(each)
        if len(self._noted) > 2 * sum(map(len, self._latest.values())):  # of containers long gone
            live = {place for rows in self._latest.values() for place in rows}
            self._noted = {place: word for place, word in self._noted.items() if place in live}
        return news

    def forget(self, *, rules_but: Collection[str], groups_but: Collection[str]) -> None:
        """Forget what was last said by the rules and groups that are not there any more."""
        noted, latest = self._noted.items(), self._latest.items()
        self._noted = {place: word for place, word in noted if place[0] in rules_but}
        self._latest = {name: rows for name, rows in latest if name in groups_but}
