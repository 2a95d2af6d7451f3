"""The live loop: ask, tick, act, remember; and put everything back, however it ends."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from queue import Empty, SimpleQueue

from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.journal import Journal, JournalError, State
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import Answer, Moment
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.snapshot import Snapshot
from wattgov_actuator.tick import Facts, Memory, due, tick
from wattgov_actuator.writer import Writer

LOG = logging.getLogger(__name__)
Ask = Callable[[Iterable[str]], Mapping[str, Answer]]


def _nobody() -> None:
    """Tell nobody."""


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
        alive: Callable[[], None] = _nobody,
        beat_seconds: float = 5.0,
    ) -> None:
        """Take what works; *alive* is called between any two steps, and each *beat_seconds*."""
        self._alive, self._beat_seconds = alive, beat_seconds
        self._rules, self._ask, self._writer, self._journal = rules, ask, writer, journal
        self._now = now
        self._memory = Memory()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._failures: Counter[str] = Counter()
        self._latest: dict[str, dict[tuple[str, str], Decision]] = {}  # group; rule, target
        self._noted: dict[tuple[str, str], tuple[Reason, float | None]] = {}  # by rule, target
        self.snapshot = Snapshot(enforcing)

    def run(self, stop: "SimpleQueue[str]") -> int:
        """Tick until something is put into *stop*; restore; return an exit status.

        A queue and not an Event, because a signal handler fills it: Event.set takes a lock that
        the interrupted wait may hold, and SimpleQueue.put was made to be interrupted.
        """
        status = 0
        try:
            self._until(stop)
        except Exception:
            LOG.exception(line("tick_failed"))
            failures = self.snapshot.tick_failures + 1
            self.snapshot = replace(self.snapshot, tick_failures=failures)
            status = 1
        finally:
            left = put_back(self._writer)
            self.snapshot = replace(self.snapshot, open_undos=_open(self._journal))
        return status or int(left)

    def step(self) -> None:
        """Do one tick."""
        began, knobs = self._now(), self._rules.knobs
        groups = due(self._rules, self._memory, began.steady)
        expressions = dict.fromkeys(expr for group in groups for expr in group.expressions())
        answers = self._ask(expressions)
        self._alive()
        readings, notes = self._writer.observe(knobs)
        self._alive()
        moment = self._now()
        outcome = tick(
            self._rules, self._memory, Facts(answers, readings, began.steady, notes), moment
        )
        self._memory = outcome.memory
        decisions = tuple(self._carried_out(each) for each in outcome.decisions)
        self._note(decisions)
        self._counts.update((each.rule, each.knob, each.reason) for each in decisions)
        self._failures.update(str(each.failure) for each in answers.values() if each.failure)
        self._latest.update({group.name: {} for group in groups}, **{"": {}})
        for each in decisions:
            self._latest[each.group][each.rule, each.target] = each
        if any(each.acts for each in decisions):
            readings, _ = self._writer.observe(knobs)
        before, answered = self.snapshot, any(not each.failure for each in answers.values())
        self.snapshot = Snapshot(
            enforcing=before.enforcing,
            ticks=before.ticks + 1,
            tick_failures=before.tick_failures,
            tick_seconds=self._now().steady - began.steady,
            decisions=tuple(each for group in self._latest.values() for each in group.values()),
            counts=dict(self._counts),
            readings=readings,
            wanted=outcome.wanted,
            open_undos=_open(self._journal),
            journal_failures=self._journal.failures,
            journal_trouble=self._journal.trouble,
            last_success=moment.unix if answered else before.last_success,
            query_failures=dict(self._failures),
            rule_targets={**before.rule_targets, **outcome.rule_targets},
        )

    def _until(self, stop: "SimpleQueue[str]") -> None:
        interval = self._rules.interval_seconds
        due_at = self._now().steady
        while True:
            self.step()
            now = self._now().steady
            due_at = max(due_at + interval, now)  # a slow tick is not made up for
            if self._stopped(stop, due_at):
                return

    def _stopped(self, stop: "SimpleQueue[str]", due_at: float) -> bool:
        """Wait for the next tick with signs of life; return whether to stop instead."""
        while True:
            self._alive()
            left = due_at - self._now().steady
            try:
                word = stop.get(timeout=max(min(left, self._beat_seconds), 0.0))
            except Empty:
                if left <= self._beat_seconds:
                    return False
                continue
            LOG.info(line("stopping", on=word))
            return True

    def _carried_out(self, decision: Decision) -> Decision:
        """Act, or say what an enforcing run would do; putting back is done in any case."""
        if not decision.acts:
            return decision
        self._alive()
        if self.snapshot.enforcing or decision.reason is Reason.RESTORED:
            return self._writer.act(decision)
        return replace(decision, reason=Reason.WOULD_APPLY)

    def _note(self, decisions: tuple[Decision, ...]) -> None:
        """Log and journal what is new; the writer has journalled what it wrote."""
        new = []
        for each in decisions:
            word = (each.reason, None if each.wanted is None else round(each.wanted, 1))
            if self._noted.get((each.rule, each.target)) != word:
                self._noted[each.rule, each.target] = word
                log_decision(each)
                wrote = each.acts and each.reason is not Reason.WOULD_APPLY
                new += [] if wrote else [each]
        try:
            self._journal.record(tuple(new))
        except JournalError as error:
            LOG.error(line("journal_failed", detail=error))  # noqa: TRY400 (one line per event)


def put_back(writer: Writer, *, give_up_conflicts: bool = False) -> bool:
    """Restore everything; return whether something could not be."""
    left = False
    for decision in writer.restore(give_up_conflicts=give_up_conflicts):
        log_decision(decision)
        left |= decision.reason not in {Reason.RESTORED, Reason.CONFLICT}
    return left


def log_decision(decision: Decision) -> None:
    """Write one line about a decision."""
    LOG.info(
        line(
            "decision",
            reason=decision.reason,
            rule=decision.rule,
            knob=decision.knob,
            target=decision.target or None,
            in_force=decision.current,
            wanted=decision.wanted,
            detail=decision.detail,
        )
    )


def _open(journal: Journal) -> int:
    return sum(undo.state is State.OPEN for undo in journal.undos())
