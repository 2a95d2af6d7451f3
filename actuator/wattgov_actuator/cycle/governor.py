"""The governor: ask, tick, act, remember. When it does so, and on whose orders, the loop says."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from math import inf

from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.acting.restoring import Tell, log_decision, open_undos, put_back
from wattgov_actuator.acting.writer import Writer, nobody
from wattgov_actuator.cycle.ledger import Ledger
from wattgov_actuator.cycle.reload import carried, unchanged
from wattgov_actuator.cycle.snapshot import Reloads, Snapshot
from wattgov_actuator.deciding.facts import Facts, Memory
from wattgov_actuator.deciding.tick import Outcome, due, heat_changes, tick
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.language.rulefile import FASTEST_SECONDS
from wattgov_actuator.logfmt import line
from wattgov_actuator.pause import Pause
from wattgov_actuator.reading import Answer, Clock, Moment
from wattgov_actuator.rules import RuleSet

LOG = logging.getLogger(__name__)
Ask = Callable[[Iterable[str]], Mapping[str, Answer]]


def _never(_: float) -> Pause | None:
    """Find no pause."""
    return None


class Governor:
    """One actuator at work; `snapshot` may be read from any thread."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        writer: Writer,
        journal: Journal,
        now: Clock,
        enforcing: bool,
        alive: Callable[[], None] = nobody,
        paused: Callable[[float], Pause | None] = _never,
        load: Callable[[], RuleSet] | None = None,
        armed: bool = False,
        tell: Tell | None = None,
    ) -> None:
        """Take what works; *alive* is called between any two steps.

        *paused* tells at unix seconds what a person wants; *load* reads the rules again, or raises
        Invalid; *armed* enforces whatever they say; *tell* is told of what was decided anew.
        """
        self._tell = tell or log_decision
        self._paused, self._load, self._armed = paused, load, armed
        self._alive, self._now = alive, now
        writer.heed(alive)
        self.rules, self._writer, self._journal = rules, writer, journal
        self._memory = Memory()
        self._soon = frozenset[str]()  # groups that somebody wants looked at by the next tick
        self._ledger = Ledger()
        loaded = Reloads(now().unix, rules.sha256)
        self.snapshot = Snapshot(enforcing, reloads=loaded, rules=rules)

    @property
    def instances(self) -> Iterable[str]:
        """The instances whose series name devices here."""
        return self._memory.seen.values()

    @property
    def open_undos(self) -> int:
        """How many targets hold a value of ours."""
        return open_undos(self._journal)

    def step(self, ask: Ask, *more: str, late_seconds: float = 0.0) -> Mapping[str, Answer]:
        """Do one tick; return the answers to its questions, and before them to *more*."""
        began, knobs = self._now(), self.rules.knobs
        self.look_at_pause(began.unix)
        groups = due(self.rules, self._memory, began.steady, self._soon)
        self._soon = frozenset()
        asked = [expr for group in groups for expr in group.expressions()]
        answers = ask(dict.fromkeys([*more, *asked]))
        pause = self.look_at_pause(self._now().unix)  # it may be new since the first question
        self._alive()
        readings, notes = self._writer.observe(knobs)
        celsius = self._writer.warmth(self.rules.warm_knobs)
        self._alive()
        moment = self._now()
        facts = Facts(answers, readings, began.steady, notes, pause, groups, celsius)
        outcome, decisions = self._decided(facts, moment, [group.name for group in groups] + [""])
        self._ledger.saved(outcome.savings)
        self._ledger.answered(answers)
        if any(each.acts for each in decisions):
            readings, _ = self._writer.observe(knobs)
        before, answered = self.snapshot, any(not each.failure for each in answers.values())
        self.snapshot = Snapshot(
            enforcing=before.enforcing,
            ticks=before.ticks + 1,
            tick_failures=before.tick_failures,
            tick_seconds=self._now().steady - began.steady,
            decisions=self._ledger.latest,
            counts=dict(self._ledger.counts),
            readings=readings,
            wanted=outcome.wanted,
            write_seconds=dict(self._writer.durations.seconds),
            writes=dict(self._writer.durations.writes),
            open_undos=self.open_undos,
            journal_failures=self._journal.failures,
            journal_trouble=self._journal.trouble,
            last_success=moment.unix if answered else before.last_success,
            query_failures=dict(self._ledger.failures),
            rule_targets={**before.rule_targets, **outcome.rule_targets},
            pause=pause,
            reloads=before.reloads,
            savings=outcome.savings,
            saved_joules=dict(self._ledger.saved_joules),
            lost_joules=dict(self._ledger.lost_joules),
            wake_joules=dict(self._ledger.wake_joules),
            rules=self.rules,
            at=moment,
            late_seconds=late_seconds,
            latency=before.latency.after(answers),
            asked=self._memory.asked,
            held=self._memory.held,
            watches=self._memory.watches,
            turns=self._memory.turns,
            notes=notes,
        )
        return answers

    def wake(self, name: str) -> str:
        """Have the next tick wake a target; return what is to be said against that."""
        readings = self.snapshot.readings
        places = {(r.target.knob, r.target.name) for r in readings if r.target.name == name}
        if not places:
            return f"there is no target called {name} here"
        at, knobs = self._now().steady, {knob for knob, _ in places}
        woken = {**self._memory.woken, **dict.fromkeys(places, at)}
        self._memory = replace(self._memory, woken=woken)
        self._soon |= {g.name for g in self.rules.groups for r in g.rules if r.knob in knobs}
        return ""

    def awake(self) -> set[str]:
        """Look at the devices; return the names of those that are there and not held."""
        readings, _ = self._writer.observe(self.rules.knobs)
        self.snapshot = replace(self.snapshot, readings=readings)
        return {
            each.target.name for each in readings if each.current is not None and each.prior is None
        }

    def hurry(self, groups: Collection[str]) -> frozenset[str]:
        """Make groups due; return them without those that were asked a moment ago."""
        asked, now = self._memory.asked, self._now().steady
        soon = frozenset(
            group.name
            for group in self.rules.groups
            if group.name in groups and now - asked.get(group.name, -inf) >= FASTEST_SECONDS
        )
        self._soon |= soon
        return soon

    def look_at_heat(self) -> None:
        """Read the devices' own thermometers; where one trips or clears, act without Prometheus."""
        if not self.rules.warm_knobs:
            return
        celsius = self._writer.warmth(self.rules.warm_knobs)
        now, known = self._now(), self.snapshot.readings
        if not heat_changes(self.rules, self._memory, celsius, now.steady, known):
            return
        readings, notes = self._writer.observe(self.rules.knobs)
        pause = self.snapshot.pause
        facts = Facts({}, readings, now.steady, notes, pause, asked=(), celsius=celsius)
        outcome, _ = self._decided(facts, now)
        readings, _ = self._writer.observe(self.rules.knobs)
        self.snapshot = replace(
            self.snapshot,
            decisions=self._ledger.latest,
            counts=dict(self._ledger.counts),
            readings=readings,
            wanted={**self.snapshot.wanted, **outcome.wanted},
            open_undos=self.open_undos,
        )

    def look_at_pause(self, unix: float) -> Pause | None:
        """Return what a person has paused; the kill switch is obeyed before anybody is asked.

        So is a journal that is gone: nobody after us would know what to put back.
        """
        pause, before = self._paused(unix), self.snapshot.pause
        if pause != before:
            LOG.warning(line("resumed" if pause is None else "paused", detail=pause))
            self.snapshot = replace(self.snapshot, pause=pause)
        if self._journal.lost or (pause is not None and pause.restore):
            self._put_all_back()
        return pause

    def overruled(self, unix: float) -> bool:
        """Tell whether a person has paused, or let go on, since the last look at that."""
        return self._paused(unix) != self.snapshot.pause

    def reload(self) -> tuple[str, ...]:
        """Read the rules again; with mistakes, which are returned, the old ones stay in force."""
        if self._load is None:
            return ("these rules were not read from files",)
        try:
            rules = self._load()
        except Invalid as error:
            mistakes = tuple(map(str, error.mistakes))
            for each in mistakes:
                LOG.error(line("rules_not_reloaded", mistake=each))  # noqa: TRY400 (one line each)
            known = self.snapshot.reloads or Reloads(self._now().unix, self.rules.sha256)
            self.snapshot = replace(self.snapshot, reloads=replace(known, mistakes=mistakes))
            return mistakes
        before, self.rules = self.rules, rules
        for decision in self._writer.connect(rules.connections, self._alive):
            self._tell(decision)
        kept, enforcing = unchanged(before, rules), self._armed or rules.enforce
        groups = {group.name for group in rules.groups} | {""}
        self._memory = carried(self._memory, before, rules)
        self._ledger.forget(rules_but=kept, groups_but=groups)
        if self.snapshot.enforcing and not enforcing:
            self._put_all_back()
        shown = self.snapshot.rule_targets.items()
        self.snapshot = replace(
            self.snapshot,
            enforcing=enforcing,
            rule_targets={rule: count for rule, count in shown if rule in kept},
            reloads=Reloads(self._now().unix, rules.sha256),
            rules=rules,
        )
        mode = "enforcing" if enforcing else "dry run"
        LOG.info(line("rules_reloaded", mode=mode, sha256=rules.sha256[:12] or None))
        return ()

    def restore(self) -> tuple[Decision, ...]:
        """Put everything back, once; what others have changed may be acted on again."""
        decisions = self._writer.restore(give_up_conflicts=True, alive=self._alive)
        for each in decisions:
            self._tell(each)
        self._memory = replace(self._memory, held={})
        self.snapshot = replace(self.snapshot, open_undos=self.open_undos)
        return decisions

    def failed(self) -> None:
        """Count a tick that an error has ended."""
        self.snapshot = replace(self.snapshot, tick_failures=self.snapshot.tick_failures + 1)

    def end(self) -> bool:
        """Put everything back; return whether something could not be."""
        left = put_back(self._writer, self._tell, self._alive)
        self.snapshot = replace(self.snapshot, open_undos=self.open_undos)
        return left

    def _decided(
        self, facts: Facts, now: Moment, groups: Iterable[str] = ()
    ) -> tuple[Outcome, tuple[Decision, ...]]:
        """Decide, act, remember, log and journal; *groups* are those that were asked."""
        outcome = tick(self.rules, self._memory, facts, now)
        self._memory = outcome.memory
        decisions = tuple(self._carried_out(each) for each in outcome.decisions)
        news = self._ledger.decided(decisions, groups)
        for each in news:
            self._tell(each)
        with suppress(JournalError):  # it has told, and counts
            # The writer has journalled what it wrote.
            self._journal.record(tuple(each for each in news if not _wrote(each)))
        return outcome, decisions

    def _carried_out(self, decision: Decision) -> Decision:
        """Act, or say what an enforcing run would do; putting back is done in any case."""
        if not decision.acts:
            return decision
        self._alive()
        pause = self._paused(self._now().unix)  # it may be new, and this is the last moment
        if decision.reason is not Reason.RESTORED and pause is not None and pause.restore:
            return replace(decision, reason=Reason.DISARMED, detail=f"disarmed {pause}", acts=False)
        if self.snapshot.enforcing or decision.reason is Reason.RESTORED:
            return self._writer.act(decision)
        return replace(decision, reason=Reason.WOULD_APPLY)

    def _put_all_back(self) -> None:
        """Restore what is ours, and forget every claim."""
        if self.open_undos:
            put_back(self._writer, self._tell, self._alive)
        self._memory = replace(self._memory, held={})


def _wrote(decision: Decision) -> bool:
    return decision.acts and decision.reason is not Reason.WOULD_APPLY
