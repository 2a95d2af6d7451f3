"""The live loop: ask, tick, act, remember; and put everything back, however it ends."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import takewhile
from math import inf
from queue import Empty, SimpleQueue

from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.acting.restoring import Tell, log_decision, open_undos, put_back
from wattgov_actuator.acting.writer import Writer, nobody
from wattgov_actuator.cycle.following import Following
from wattgov_actuator.cycle.ledger import Ledger
from wattgov_actuator.cycle.meanwhile import meanwhile
from wattgov_actuator.cycle.reload import carried, unchanged
from wattgov_actuator.cycle.snapshot import Reloads, Snapshot
from wattgov_actuator.cycle.wakes import Wakes
from wattgov_actuator.deciding.facts import Facts, Memory
from wattgov_actuator.deciding.tick import Outcome, due, heat_changes, tick
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.language.rulefile import FASTEST_SECONDS
from wattgov_actuator.logfmt import line
from wattgov_actuator.orders import (
    RELOAD_ON,
    Heed,
    Inbox,
    Look,
    Orders,
    Reload,
    Restore,
    Wake,
    stops,
)
from wattgov_actuator.pause import Pause
from wattgov_actuator.reading import Answer, Moment
from wattgov_actuator.rules import RuleSet

LOG = logging.getLogger(__name__)
Ask = Callable[[Iterable[str]], Mapping[str, Answer]]
WATCH_SECONDS = 1.0  # between two looks at the devices' own thermometers, and at who wakes or stops


def _never(_: float) -> Pause | None:
    """Find no pause."""
    return None


class _StoppedError(Exception):
    """A stop was ordered in the middle of a tick, which has done nothing yet."""


class Loop:
    """One actuator at work; `snapshot` may be read from any thread."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        ask: Ask,
        writer: Writer,
        journal: Journal,
        now: Callable[[], Moment],
        enforcing: bool,
        alive: Callable[[], None] = nobody,
        beat_seconds: float = 5.0,
        paused: Callable[[float], Pause | None] = _never,
        load: Callable[[], RuleSet] | None = None,
        armed: bool = False,
        tell: Tell | None = None,
    ) -> None:
        """Take what works; *alive* is called between any two steps, and each *beat_seconds*.

        *paused* tells at unix seconds what a person wants; *load* reads the rules again, or raises
        Invalid; *armed* enforces whatever they say; *tell* is told of what was decided anew.
        """
        self._tell = tell or log_decision
        self._paused, self._load, self._armed = paused, load, armed
        self._alive, self._beat_seconds = alive, beat_seconds
        writer.heed(alive)
        self._rules, self._ask, self._writer, self._journal = rules, ask, writer, journal
        self._now = now
        self._orders = Inbox(SimpleQueue())
        self._memory = Memory()
        self._soon = frozenset[str]()  # groups that somebody wants looked at by the next tick
        self._ledger = Ledger()
        loaded = Reloads(now().unix, rules.sha256)
        self._late_seconds = 0.0
        self._wakes = Wakes()
        self.snapshot = Snapshot(enforcing, reloads=loaded, rules=rules)

    def run(self, orders: Orders) -> int:
        """Tick until a signal other than SIGHUP is ordered; restore; return an exit status.

        A queue and not an Event, because a signal handler fills it: Event.set takes a lock that
        the interrupted wait may hold, and SimpleQueue.put was made to be interrupted.
        """
        status = 0
        self._orders = Inbox(orders)
        try:
            self._until_stopped()
        except _StoppedError:
            LOG.info(line("stopping", on=self._orders.stop, detail="while Prometheus was asked"))
        except Exception:
            LOG.exception(line("tick_failed"))
            failures = self.snapshot.tick_failures + 1
            self.snapshot = replace(self.snapshot, tick_failures=failures)
            status = 1
        finally:
            left = put_back(self._writer, self._tell, self._alive)
            self.snapshot = replace(self.snapshot, open_undos=open_undos(self._journal))
        return status or int(left)

    def step(self, *more: str) -> Mapping[str, Answer]:
        """Do one tick; return the answers to its questions, and before them to *more*."""
        began, knobs = self._now(), self._rules.knobs
        self._looked(began.unix)
        groups = due(self._rules, self._memory, began.steady, self._soon)
        self._soon = frozenset()
        asked = [expr for group in groups for expr in group.expressions()]
        answers = self._answered(dict.fromkeys([*more, *asked]))
        pause = self._looked(self._now().unix)  # it may be new since the first question
        self._alive()
        readings, notes = self._writer.observe(knobs)
        celsius = self._writer.warmth(self._rules.warm_knobs)
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
            open_undos=open_undos(self._journal),
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
            rules=self._rules,
            at=moment,
            late_seconds=self._late_seconds,
            latency=before.latency.after(answers),
            asked=self._memory.asked,
            held=self._memory.held,
            watches=self._memory.watches,
            turns=self._memory.turns,
            notes=notes,
        )
        self.look_at_wakes()
        return answers

    def wake(self, order: Wake) -> None:
        """Note that somebody wants a target; the next tick comes at once and wakes it."""
        places = {
            (each.target.knob, each.target.name)
            for each in self.snapshot.readings
            if each.target.name == order.target
        }
        if not places:
            order.answer.put(f"there is no target called {order.target} here")
            return
        at, knobs = self._now().steady, {knob for knob, _ in places}
        woken = {**self._memory.woken, **dict.fromkeys(places, at)}
        self._memory = replace(self._memory, woken=woken)
        self._soon |= {g.name for g in self._rules.groups for r in g.rules if r.knob in knobs}
        self._wakes.add(order, at)

    def look_at_wakes(self) -> None:
        """Answer those whose targets are awake."""
        if not self._wakes:
            return
        readings, _ = self._writer.observe(self._rules.knobs)
        self.snapshot = replace(self.snapshot, readings=readings)
        up = {
            each.target.name for each in readings if each.current is not None and each.prior is None
        }
        self._wakes.answer(up, self._now().steady)

    def look_at_heat(self) -> None:
        """Read the devices' own thermometers; where one trips or clears, act without Prometheus."""
        if not self._rules.warm_knobs:
            return
        celsius = self._writer.warmth(self._rules.warm_knobs)
        now, known = self._now(), self.snapshot.readings
        if not heat_changes(self._rules, self._memory, celsius, now.steady, known):
            return
        readings, notes = self._writer.observe(self._rules.knobs)
        pause = self.snapshot.pause
        facts = Facts({}, readings, now.steady, notes, pause, asked=(), celsius=celsius)
        outcome, _ = self._decided(facts, now)
        readings, _ = self._writer.observe(self._rules.knobs)
        self.snapshot = replace(
            self.snapshot,
            decisions=self._ledger.latest,
            counts=dict(self._ledger.counts),
            readings=readings,
            wanted={**self.snapshot.wanted, **outcome.wanted},
            open_undos=open_undos(self._journal),
        )

    def _decided(
        self, facts: Facts, now: Moment, groups: Iterable[str] = ()
    ) -> tuple[Outcome, tuple[Decision, ...]]:
        """Decide, act, remember, log and journal; *groups* are those that were asked."""
        outcome = tick(self._rules, self._memory, facts, now)
        self._memory = outcome.memory
        decisions = tuple(self._carried_out(each) for each in outcome.decisions)
        news = self._ledger.decided(decisions, groups)
        for each in news:
            self._tell(each)
        with suppress(JournalError):  # it has told, and counts
            # The writer has journalled what it wrote.
            self._journal.record(tuple(each for each in news if not _wrote(each)))
        return outcome, decisions

    def _answered(self, expressions: Iterable[str]) -> Mapping[str, Answer]:
        """Ask, and keep an eye on the heat, and on who stops or pauses us, while Prometheus thinks.

        No sign of life is given here but by who asks: a question without an end is a hang.
        """
        going = takewhile(lambda _: self._orders.stop is None, tuple(expressions))
        return meanwhile(partial(self._ask, going), self._watched, WATCH_SECONDS)

    def _watched(self) -> None:
        self._orders.look()
        if self._orders.stop is not None:
            raise _StoppedError
        self._looked(self._now().unix)
        self.look_at_heat()

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
            known = self.snapshot.reloads or Reloads(self._now().unix, self._rules.sha256)
            self.snapshot = replace(self.snapshot, reloads=replace(known, mistakes=mistakes))
            return mistakes
        before, self._rules = self._rules, rules
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

    def _looked(self, unix: float) -> Pause | None:
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

    def _put_all_back(self) -> None:
        """Restore what is ours, and forget every claim."""
        if open_undos(self._journal):
            put_back(self._writer, self._tell, self._alive)
        self._memory = replace(self._memory, held={})

    def _until_stopped(self) -> None:
        following = Following()
        due_at = planned = self._now().steady
        while True:
            rules, began = self._rules, self._now()
            self._late_seconds = max(began.steady - planned, 0.0)
            answers = self.step(*following.asks(rules))
            following.heard(rules, began, answers, self._memory.seen.values())
            planned = due_at + rules.interval_seconds
            planned = following.next_look(rules, began.steady, planned)
            due_at = max(planned, self._now().steady)  # a slow tick is not made up for
            if self._stopped(due_at):
                return
            due_at = min(due_at, self._now().steady)

    def _stopped(self, due_at: float) -> bool:
        """Wait for the next tick with signs of life; return whether to stop instead.

        New rules, and a new pause, are a reason not to wait any longer.
        """
        while True:
            self._alive()
            now = self._now()
            left = due_at - now.steady
            if left > 0 and self._paused(now.unix) != self.snapshot.pause:
                return False
            watched = bool(self._rules.warm_knobs or self._wakes)
            beat = min(self._beat_seconds, WATCH_SECONDS) if watched else self._beat_seconds
            try:
                order = self._orders.get(True, max(min(left, beat), 0.0))
            except Empty:
                if left <= beat:
                    return False
                self.look_at_heat()
                self.look_at_wakes()
                continue
            if stops(order):
                LOG.info(line("stopping", on=order))
                return True
            if self._obeyed(Reload() if order == RELOAD_ON else order):
                return False

    def _obeyed(self, order: object) -> bool:
        """Do what somebody asks for, and answer; return whether it is a reason to tick now."""
        match order:
            case Reload():
                mistakes = self.reload()
                order.answer.put(mistakes)
                return not mistakes
            case Heed():
                self._looked(self._now().unix)
                order.answer.put(open_undos(self._journal))
            case Restore():
                order.answer.put(self._restored())
            case Look():
                return self._hurried(order)
            case Wake():
                self.wake(order)
        return True

    def _restored(self) -> tuple[Decision, ...]:
        """Put everything back, once; what others have changed may be acted on again."""
        decisions = self._writer.restore(give_up_conflicts=True, alive=self._alive)
        for each in decisions:
            self._tell(each)
        self._memory = replace(self._memory, held={})
        self.snapshot = replace(self.snapshot, open_undos=open_undos(self._journal))
        return decisions

    def _hurried(self, order: Look) -> bool:
        """Make groups due; one that was asked a moment ago is not, however many hurry us."""
        asked, now = self._memory.asked, self._now().steady
        soon = {
            group.name
            for group in self._rules.groups
            if group.name in order.groups and now - asked.get(group.name, -inf) >= FASTEST_SECONDS
        }
        self._soon |= soon
        order.answer.put(tuple(sorted(soon)))
        return bool(soon)

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


def _wrote(decision: Decision) -> bool:
    return decision.acts and decision.reason is not Reason.WOULD_APPLY
