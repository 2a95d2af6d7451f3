"""The way back: the prior value is written, unless the target is not ours any more.

It needs the journal for what to put back, and the knob; it needs neither Prometheus nor room on the
disk.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache

from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.acting.outcomes import Outcomes
from wattgov_actuator.acting.sentences import gone, late, lie
from wattgov_actuator.acting.undo import State, Undo
from wattgov_actuator.deciding.arbitration import RESTORE
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import Clock, Fault, KnobError, Probe, Target, amount

LOG = logging.getLogger(__name__)
LATE_SECONDS = 600.0  # as long as any backend waits for its server, which may be at work still


class Undoing:
    """Puts back what was changed, and tells what is not ours any more."""

    def __init__(self, journal: Journal, hands: Hands, outcomes: Outcomes, now: Clock) -> None:
        self._journal, self._hands, self._outcomes, self._now = journal, hands, outcomes, now
        self._begun_at = now().unix

    def back(
        self,
        undos: Iterable[Undo],
        alive: Callable[[], None],
        *,
        give_up_conflicts: bool = False,
    ) -> tuple[Decision, ...]:
        """Put back what can be; a server that sleeps is woken before it is told anything else."""
        results = []
        probed = cache(self._hands.probe)  # once: what is dead is not waited for at each undo
        for undo in sorted(undos, key=lambda each: each.unit != "level"):
            alive()
            try:
                probe = probed(undo.knob)
                results.append(self._restored(undo, probe, give_up_conflicts=give_up_conflicts))
            except Exception as error:  # a bug at one target must not leave the others changed
                LOG.exception(line("restore_failed", knob=undo.knob, target=undo.target))
                results.append(self._decision(undo, Reason.LOST, f"not put back: {error!r}"))
        return tuple(results)

    def give_up(self, found: Decision, who: str) -> Decision:
        """Close the undo of a target that was *found* impossible to put back, by order of *who*."""
        undo = self._journal.undo(found.knob, found.target)
        by = f" by {who}" if who else ""
        decision = replace(found, detail=f"{found.detail}; given up{by}: it stays as it is")
        if undo is not None:
            self.end(undo, State.CLOSED, decision)
        return decision

    def put_back(self, undo: Undo, target: Target, decision: Decision) -> Decision:
        """Write the prior value, unless somebody else has changed the knob since."""
        try:
            current = self._hands.read(target, undo.ours).value
            decision = replace(decision, current=current, wanted=undo.prior, prior=undo.prior)
            if target.same(current, undo.prior):
                if target.via and self._may_come(undo):
                    return self._outcomes.failed(
                        decision, KnobError(Fault.LOST, late(undo, LATE_SECONDS))
                    )
                self.end(undo, State.CLOSED, decision)
                return decision
            if not any(target.same(current, each) for each in undo.ours):
                return self.not_ours(undo, current)
            self._outcomes.begin(target, current, undo.prior, decision)
            refusal = self._hands.restore(target, undo.prior, undo.text)
            after = self._hands.read(target, (undo.prior if refusal is None else current,)).value
        except KnobError as error:
            self._outcomes.durations.leave(target, error)
            return self._outcomes.failed(decision, error)
        decision = replace(decision, read_back=after)
        self._outcomes.durations.look(target, after, self._now().steady)
        if target.same(after, undo.prior):
            self._outcomes.done(target)
            self.end(undo, State.CLOSED, decision)
            return decision
        refusal = refusal or lie(target, undo.prior, after)
        self._outcomes.durations.fail(target, refusal)
        return self._outcomes.failed(decision, refusal)

    def found_prior(self, undo: Undo) -> None:
        """Close the undo of a target at its prior value, unless an order of ours may still come."""
        if undo.intended is None or self._now().unix - undo.at >= LATE_SECONDS:
            detail = "found at its prior value; nothing to put back"
            self.end(undo, State.CLOSED, self._decision(undo, Reason.RESTORED, detail))

    def not_ours(self, undo: Undo, current: float) -> Decision:
        """Leave a value that is not ours alone: it is somebody's, or a new start has ended ours.

        A part of this machine keeps no setting over a new start. The prior value is not set anew:
        it would have ended likewise without us, and what is in force may be a person's by now.
        """
        if undo.via or not self._journal.restarted(undo):
            return self.conflict(undo, current)
        detail = (
            f"the machine was started anew, which ended our {_ours(undo)}; it is left at "
            f"{amount(current, undo.unit)}, which is not ours"
        )
        decision = replace(self._decision(undo, Reason.RESTORED, detail), current=current)
        decision = replace(decision, wanted=current)
        self.end(undo, State.CLOSED, decision)
        return decision

    def conflict(self, undo: Undo, current: float) -> Decision:
        """Leave to somebody what somebody has set."""
        detail = (
            f"somebody set {amount(current, undo.unit)} after our {_ours(undo)}; it is left alone "
            "until `wattgov-actuator restore`"
        )
        LOG.warning(line("conflict", knob=undo.knob, target=undo.target, detail=detail))
        decision = replace(self._decision(undo, Reason.CONFLICT, detail), current=current)
        self.end(undo, State.CONFLICT, decision)
        return decision

    def end(self, undo: Undo, state: State, decision: Decision) -> None:
        """Close an undo, or mark it as a conflict, where that can be journalled."""
        with suppress(JournalError):  # found at its prior value later, it is closed then
            self._journal.end(undo, state, decision)

    def _restored(self, undo: Undo, probe: Probe, *, give_up_conflicts: bool) -> Decision:
        decision = self._decision(undo, Reason.RESTORED, "nothing stays changed")
        target = probe.target(undo.target)
        if undo.state is State.OPEN and target is None:
            return replace(decision, reason=Reason.LOST, detail=gone(probe.note))
        if undo.state is State.OPEN and target is not None:
            decision = self.put_back(undo, target, decision)
        now = self._journal.undo(undo.knob, undo.target)
        if now is None or now.state is not State.CONFLICT:
            return decision
        decision = replace(decision, reason=Reason.CONFLICT, detail=now.note)
        if give_up_conflicts:
            detail = f"{now.note}; now the rules may act on it again"
            self.end(now, State.CLOSED, replace(decision, detail=detail))
        return decision

    def _may_come(self, undo: Undo) -> bool:
        """Tell whether a server may still carry out an order that nobody alive has waited for.

        Who gave it was killed, or got no answer; to order the prior value meanwhile is no cure, for
        some servers end when they are told to wake and do not sleep.
        """
        trouble = self._outcomes.trouble.get((undo.knob, undo.target))
        alone = undo.at < self._begun_at or (trouble is not None and trouble.fault is Fault.LOST)
        age = self._now().unix - undo.at
        return undo.intended is not None and alone and 0 <= age < LATE_SECONDS

    def _decision(self, undo: Undo, reason: Reason, detail: str) -> Decision:
        return Decision(
            group="",
            rule=RESTORE,
            knob=undo.knob,
            target=undo.target,
            unit=undo.unit,
            reason=reason,
            detail=detail,
            at=self._now().unix,
            prior=undo.prior,
            wanted=undo.prior,
        )


def _ours(undo: Undo) -> str:
    return " or ".join(amount(each, undo.unit) for each in undo.ours)
