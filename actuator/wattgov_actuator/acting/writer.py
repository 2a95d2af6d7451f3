"""The cycle of a write: read, journal the undo, write, read back, journal the result.

A return code is never trusted, only what reads back. Putting back needs the journal for what to put
back, and the knob; it needs neither Prometheus nor room on the disk.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache

from wattgov_actuator.acting.durations import LOOSEN, Durations
from wattgov_actuator.acting.foreign import foreign
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal, JournalError, State, Undo
from wattgov_actuator.acting.sentences import enforced, gone, late, lie
from wattgov_actuator.connection import Connection, connection_of
from wattgov_actuator.deciding.arbitration import RESTORE
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import (
    Fault,
    InForce,
    KnobError,
    Moment,
    Probe,
    Reading,
    Target,
    Trouble,
    amount,
)

LOG = logging.getLogger(__name__)
LATE_SECONDS = 600.0  # as long as any backend waits for its server, which may be at work still


def nobody() -> None:
    """Tell nobody."""


class Writer:
    """The only one who writes knobs, and who knows what is ours on them."""

    def __init__(self, journal: Journal, hands: Hands, now: Callable[[], Moment]) -> None:
        self._journal, self._hands, self._now = journal, hands, now
        self._begun_at = now().unix
        self._changed: dict[tuple[str, str], float] = {}
        self._trouble: dict[tuple[str, str], Trouble] = {}
        self.durations = Durations()
        self.connect(())

    def connect(
        self, connections: Iterable[Connection], alive: Callable[[], None] = nobody
    ) -> tuple[Decision, ...]:
        """Reach these devices, and those where an undo of ours is still to be done.

        Where another way leads to a target from now on, it may lead to another device: what we have
        changed there is put back before, by the way that it was changed; what became of that comes
        back.
        """
        given = tuple(connections)
        known, moved = {each.place: each for each in given}, []
        for undo in self._journal.undos():
            way = _way(undo)
            new = known.get((undo.knob, undo.target))
            if way is not None:
                new = new or known.setdefault(way.place, way)
            if new != way or (way is None and any(each.knob == undo.knob for each in given)):
                moved.append(undo)
        decisions = self._back(moved, alive)
        self._hands.connect(tuple(known.values()))
        return decisions

    def heed(self, alive: Callable[[], None]) -> None:
        """Give a sign of life before each word to a device that may be slow: that is no hang."""
        self._hands.alive = alive

    def settle(self, seconds: float) -> None:
        """Wait for what devices still work on, so long at most."""
        self._hands.settle(seconds)

    def observe(self, knobs: Iterable[str]) -> tuple[tuple[Reading, ...], Mapping[str, str]]:
        """Return a reading of every target with what we hold on it, and notes by knob.

        An undo whose prior value is found in force is closed, unless an order of ours may still
        come; one whose value is neither that nor ours becomes a conflict.
        """
        undos = {(undo.knob, undo.target): undo for undo in self._journal.undos()}
        wide = dict.fromkeys([*knobs, *(knob for knob, _ in undos)])
        ours = {place: undo.ours for place, undo in undos.items()}
        found, notes = self._hands.look(wide, self._now().steady, ours)
        places = [(each.target.knob, each.target.name) for each in found]
        readings = [
            self._held(each, undos.get(place)) for each, place in zip(found, places, strict=True)
        ]
        away = [undo for place, undo in undos.items() if place not in places]
        readings += [self._lost(undo, notes[undo.knob]) for undo in away]
        return tuple(readings), notes

    def warmth(self, knobs: Iterable[str]) -> Mapping[tuple[str, str], float]:
        """Return the temperatures that the devices of these knobs tell, by knob and target."""
        return self._hands.warmth(knobs)

    def act(self, decision: Decision) -> Decision:
        """Carry out one decision; return it with what came of it."""
        undo = self._journal.undo(decision.knob, decision.target)
        try:
            target = self._hands.target(decision.knob, decision.target)
            if target is None:
                return self._failed(decision, KnobError(Fault.LOST, "the device is gone"))
            found = self._hands.read(target, () if undo is None else undo.ours)
        except KnobError as error:
            return self._failed(decision, error)
        current = found.value
        if decision.current is None or not target.same(current, decision.current):
            now = amount(current, target.unit)
            detail = f"changed to {now} while the rules were asked; left alone"
            return self._recorded(replace(decision, reason=Reason.CONFLICT, detail=detail))
        if undo is not None and _goes_back(decision, undo, target):
            return self._put_back(undo, target, decision)
        return self._write(target, found, decision)

    def restore(
        self, *, give_up_conflicts: bool = False, alive: Callable[[], None] = nobody
    ) -> tuple[Decision, ...]:
        """Put back every open undo; with *give_up_conflicts*, close those no longer ours.

        A conflict stands until a person asks for that: a restart alone is no consent. What sleeps
        is woken first: until then a server takes nothing else back. *alive* is called before each:
        many devices that do not answer are no hang.
        """
        return self._back(self._journal.undos(), alive, give_up_conflicts=give_up_conflicts)

    def _back(
        self,
        undos: Iterable[Undo],
        alive: Callable[[], None] = nobody,
        *,
        give_up_conflicts: bool = False,
    ) -> tuple[Decision, ...]:
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
        """Put a target back no more, which was *found* to be impossible, since somebody says so."""
        undo = self._journal.undo(found.knob, found.target)
        by = f" by {who}" if who else ""
        decision = replace(found, detail=f"{found.detail}; given up{by}: it stays as it is")
        if undo is not None:
            self._end(undo, State.CLOSED, decision)
        return decision

    def _restored(self, undo: Undo, probe: Probe, *, give_up_conflicts: bool) -> Decision:
        decision = self._decision(undo, Reason.RESTORED, "nothing stays changed")
        target = probe.target(undo.target)
        if undo.state is State.OPEN and target is None:
            return replace(decision, reason=Reason.LOST, detail=gone(probe.note))
        if undo.state is State.OPEN and target is not None:
            decision = self._put_back(undo, target, decision)
        now = self._journal.undo(undo.knob, undo.target)
        if now is None or now.state is not State.CONFLICT:
            return decision
        decision = replace(decision, reason=Reason.CONFLICT, detail=now.note)
        if give_up_conflicts:
            detail = f"{now.note}; now the rules may act on it again"
            self._end(now, State.CLOSED, replace(decision, detail=detail))
        return decision

    def _write(self, target: Target, found: InForce, decision: Decision) -> Decision:
        """Go through the cycle for a value of ours."""
        wanted = found.value if decision.wanted is None else decision.wanted
        value = min(max(wanted, target.low), target.high)
        try:
            undo = self._journal.intend(decision, value, found, target.via)
        except JournalError as error:
            return replace(decision, reason=Reason.UNJOURNALLED, detail=str(error))
        self._begin(target, found.value, value, decision)
        refusal = self._hands.write(target, value)
        unmoved = refusal is not None and refusal.fault not in {Fault.LOST, Fault.BUSY}
        try:
            after = self._hands.read(target, (found.value if unmoved else value,))
        except KnobError as error:  # the undo stays open: what is in force is not known
            if error.fault is Fault.BUSY:  # the order was taken: its pause begins now
                self._changed[target.knob, target.name] = self._now().steady
            self.durations.leave(target, error)
            return self._failed(decision, error)
        decision = replace(decision, read_back=after.value)
        self.durations.look(target, after.value, self._now().steady)
        if refusal is None and target.same(after.value, value):
            self._done(target)
            detail = decision.detail + enforced(after, value, target)
            decision = replace(decision, wanted=value, prior=undo.prior, detail=detail)
        else:
            refusal = refusal or lie(target, value, after.value)
            self._note(target, refusal)
            self.durations.fail(target, refusal)
            if foreign(target, found.value, value, after.value, refused=unmoved):
                detail = self._conflict(undo, after.value).detail
                return replace(decision, reason=Reason.CONFLICT, detail=detail)
            decision = replace(decision, reason=Reason(refusal.fault), detail=refusal.detail)
            if refusal.fault is Fault.LOST:  # nobody has said that it is not carried out yet
                return self._recorded(decision)
        if target.same(after.value, undo.prior):
            self._end(undo, State.CLOSED, decision)
            return decision
        with suppress(JournalError):  # what was intended is on disk: it can be undone
            self._journal.settle(undo, after.value, decision)
        return decision

    def _put_back(self, undo: Undo, target: Target, decision: Decision) -> Decision:
        """Write the prior value, unless somebody else has changed the knob since."""
        try:
            current = self._hands.read(target, undo.ours).value
            decision = replace(decision, current=current, wanted=undo.prior, prior=undo.prior)
            if target.same(current, undo.prior):
                if target.via and self._may_come(undo):
                    return self._failed(decision, KnobError(Fault.LOST, late(undo, LATE_SECONDS)))
                self._end(undo, State.CLOSED, decision)
                return decision
            if not any(target.same(current, each) for each in undo.ours):
                return self._not_ours(undo, current)
            self._begin(target, current, undo.prior, decision)
            refusal = self._hands.restore(target, undo.prior, undo.text)
            after = self._hands.read(target, (undo.prior if refusal is None else current,)).value
        except KnobError as error:
            self.durations.leave(target, error)
            return self._failed(decision, error)
        decision = replace(decision, read_back=after)
        self.durations.look(target, after, self._now().steady)
        if target.same(after, undo.prior):
            self._done(target)
            self._end(undo, State.CLOSED, decision)
            return decision
        refusal = refusal or lie(target, undo.prior, after)
        self.durations.fail(target, refusal)
        return self._failed(decision, refusal)

    def _may_come(self, undo: Undo) -> bool:
        """Tell whether a server may still carry out an order that nobody alive has waited for.

        Who gave it was killed, or got no answer; to order the prior value meanwhile is no cure, for
        some servers end when they are told to wake and do not sleep.
        """
        trouble = self._trouble.get((undo.knob, undo.target))
        alone = undo.at < self._begun_at or (trouble is not None and trouble.fault is Fault.LOST)
        age = self._now().unix - undo.at
        return undo.intended is not None and alone and 0 <= age < LATE_SECONDS

    def _begin(self, target: Target, current: float, value: float, decision: Decision) -> None:
        """Note an order; one like it that went on by itself and came to nothing is journalled."""
        if not self.durations.begin(target, current, value, self._now().steady):
            return
        why = self._hands.failure(target) or f"it still reads {amount(current, target.unit)}"
        detail = f"the last order for {amount(value, target.unit)} came to nothing: {why}"
        self._failed(decision, KnobError(Fault.REFUSED, detail))

    def _held(self, reading: Reading, undo: Undo | None) -> Reading:
        """Add to a reading what is ours on it."""
        target, current = reading.target, reading.current
        place = (target.knob, target.name)
        trouble = reading.trouble or self._trouble.get(place)
        reading = replace(reading, changed=self._changed.get(place), trouble=trouble)
        if current is not None:
            self.durations.look(target, current, self._now().steady)
        took = self.durations.seconds.get((*place, LOOSEN))
        reading = replace(reading, loosened_seconds=took)
        if undo is None:
            return reading
        if current is None:
            return replace(reading, prior=undo.prior)
        if target.same(current, undo.prior):
            if undo.intended is None or self._now().unix - undo.at >= LATE_SECONDS:
                detail = "found at its prior value; nothing to put back"
                self._end(undo, State.CLOSED, self._decision(undo, Reason.RESTORED, detail))
            return reading
        if undo.state is State.CONFLICT:
            return replace(reading, prior=undo.prior, conflict=undo.note)
        if any(target.same(current, each) for each in undo.ours):
            return replace(reading, prior=undo.prior)
        found = self._not_ours(undo, current)
        if found.reason is Reason.CONFLICT:
            reading = replace(reading, prior=undo.prior, conflict=found.detail)
        return reading

    def _lost(self, undo: Undo, note: str) -> Reading:
        """Return a reading of a device that we changed and that is not there any more."""
        prior = undo.prior
        target = Target(undo.knob, undo.target, {"uuid": undo.target}, prior, prior, undo.unit, 0)
        trouble = Trouble(Fault.LOST, gone(note), self._now().steady)
        return Reading(target, None, prior, trouble=trouble)

    def _not_ours(self, undo: Undo, current: float) -> Decision:
        """Leave a value that is not ours alone: it is somebody's, or a new start has ended ours.

        A part of this machine keeps no setting over a new start. The prior value is not set anew:
        it would have ended likewise without us, and what is in force may be a person's by now.
        """
        if undo.via or not self._journal.restarted(undo):
            return self._conflict(undo, current)
        detail = (
            f"the machine was started anew, which ended our {_ours(undo)}; it is left at "
            f"{amount(current, undo.unit)}, which is not ours"
        )
        decision = replace(self._decision(undo, Reason.RESTORED, detail), current=current)
        decision = replace(decision, wanted=current)
        self._end(undo, State.CLOSED, decision)
        return decision

    def _conflict(self, undo: Undo, current: float) -> Decision:
        """Leave to somebody what somebody has set."""
        detail = (
            f"somebody set {amount(current, undo.unit)} after our {_ours(undo)}; it is left alone "
            "until `wattgov-actuator restore`"
        )
        LOG.warning(line("conflict", knob=undo.knob, target=undo.target, detail=detail))
        decision = replace(self._decision(undo, Reason.CONFLICT, detail), current=current)
        self._end(undo, State.CONFLICT, decision)
        return decision

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

    def _end(self, undo: Undo, state: State, decision: Decision) -> None:
        with suppress(JournalError):  # found at its prior value later, it is closed then
            self._journal.end(undo, state, decision)

    def _done(self, target: Target) -> None:
        place = (target.knob, target.name)
        self._changed[place] = self._now().steady
        self._trouble.pop(place, None)

    def _note(self, target: Target, error: KnobError) -> None:
        now = self._now().steady
        self._trouble[target.knob, target.name] = Trouble(error.fault, error.detail, now)

    def _failed(self, decision: Decision, error: KnobError) -> Decision:
        """Say what came of it; the journal holds it once, however often it is tried again."""
        place = (decision.knob, decision.target)
        before = self._trouble.get(place)
        self._trouble[place] = Trouble(error.fault, error.detail, self._now().steady)
        failed = replace(decision, reason=Reason(error.fault), detail=error.detail)
        if before is not None and (before.fault, before.detail) == (error.fault, error.detail):
            return failed
        return self._recorded(failed)

    def _recorded(self, decision: Decision) -> Decision:
        with suppress(JournalError):  # it has told, and counts
            self._journal.record((decision,))
        return decision


def _way(undo: Undo) -> Connection | None:
    """Return how its target was reached; None for a part of this machine."""
    try:
        return connection_of(undo.via) if undo.via else None
    except ValueError as error:
        LOG.error(line("connection_lost", target=undo.target, detail=error))  # noqa: TRY400 (one line per event)
        return None


def _ours(undo: Undo) -> str:
    return " or ".join(amount(each, undo.unit) for each in undo.ours)


def _goes_back(decision: Decision, undo: Undo, target: Target) -> bool:
    """Tell whether a decision ends where we began: then the setting comes back to the letter."""
    wanted = decision.wanted
    back = wanted is not None and target.same(wanted, undo.prior)
    return decision.reason is Reason.RESTORED or (back and undo.state is State.OPEN)
