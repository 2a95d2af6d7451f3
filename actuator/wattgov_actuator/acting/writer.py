"""The cycle of a write: read, journal the undo, write, read back, journal the result.

A return code is never trusted, only what reads back.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from wattgov_actuator.acting.foreign import foreign
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.acting.outcomes import Outcomes
from wattgov_actuator.acting.sentences import enforced, gone, lie
from wattgov_actuator.acting.undo import State, Undo
from wattgov_actuator.acting.undoing import Undoing
from wattgov_actuator.connection import Connection, connection_of
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import (
    Clock,
    Fault,
    InForce,
    KnobError,
    Reading,
    Target,
    Trouble,
    amount,
)

LOG = logging.getLogger(__name__)


def nobody() -> None:
    """Tell nobody."""


class Writer:
    """The only one who writes knobs, and who knows what is ours on them."""

    def __init__(self, journal: Journal, hands: Hands, now: Clock) -> None:
        self._journal, self._hands, self._now = journal, hands, now
        self._outcomes = Outcomes(journal, hands, now)
        self._undoing = Undoing(journal, hands, self._outcomes, now)
        self.durations = self._outcomes.durations
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
        decisions = self._undoing.back(moved, alive)
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
                return self._outcomes.failed(decision, KnobError(Fault.LOST, "the device is gone"))
            found = self._hands.read(target, () if undo is None else undo.ours)
        except KnobError as error:
            return self._outcomes.failed(decision, error)
        current = found.value
        if decision.current is None or not target.same(current, decision.current):
            now = amount(current, target.unit)
            detail = f"changed to {now} while the rules were asked; left alone"
            return self._outcomes.recorded(replace(decision, reason=Reason.CONFLICT, detail=detail))
        if undo is not None and _goes_back(decision, undo, target):
            return self._undoing.put_back(undo, target, decision)
        return self._write(target, found, decision)

    def restore(
        self, *, give_up_conflicts: bool = False, alive: Callable[[], None] = nobody
    ) -> tuple[Decision, ...]:
        """Put back every open undo; with *give_up_conflicts*, close those no longer ours.

        A conflict stands until a person asks for that: a restart alone is no consent. What sleeps
        is woken first: until then a server takes nothing else back. *alive* is called before each:
        many devices that do not answer are no hang.
        """
        return self._undoing.back(self._journal.undos(), alive, give_up_conflicts=give_up_conflicts)

    def give_up(self, found: Decision, who: str) -> Decision:
        """Put a target back no more, which was *found* to be impossible, since somebody says so."""
        return self._undoing.give_up(found, who)

    def _write(self, target: Target, found: InForce, decision: Decision) -> Decision:
        """Go through the cycle for a value of ours."""
        wanted = found.value if decision.wanted is None else decision.wanted
        value = min(max(wanted, target.low), target.high)
        try:
            undo = self._journal.intend(decision, value, found, target.via)
        except JournalError as error:
            return replace(decision, reason=Reason.UNJOURNALLED, detail=str(error))
        self._outcomes.begin(target, found.value, value, decision)
        refusal = self._hands.write(target, value)
        unmoved = refusal is not None and refusal.fault not in {Fault.LOST, Fault.BUSY}
        try:
            after = self._hands.read(target, (found.value if unmoved else value,))
        except KnobError as error:  # the undo stays open: what is in force is not known
            if error.fault is Fault.BUSY:  # the order was taken: its pause begins now
                self._outcomes.changed[target.knob, target.name] = self._now().steady
            self.durations.leave(target, error)
            return self._outcomes.failed(decision, error)
        decision = replace(decision, read_back=after.value)
        self.durations.look(target, after.value, self._now().steady)
        if refusal is None and target.same(after.value, value):
            self._outcomes.done(target)
            detail = decision.detail + enforced(after, value, target)
            decision = replace(decision, wanted=value, prior=undo.prior, detail=detail)
        else:
            refusal = refusal or lie(target, value, after.value)
            self._outcomes.note(target, refusal)
            self.durations.fail(target, refusal)
            if foreign(target, found.value, value, after.value, refused=unmoved):
                detail = self._undoing.conflict(undo, after.value).detail
                return replace(decision, reason=Reason.CONFLICT, detail=detail)
            decision = replace(decision, reason=Reason(refusal.fault), detail=refusal.detail)
            if refusal.fault is Fault.LOST:  # nobody has said that it is not carried out yet
                return self._outcomes.recorded(decision)
        if target.same(after.value, undo.prior):
            self._undoing.end(undo, State.CLOSED, decision)
            return decision
        with suppress(JournalError):  # what was intended is on disk: it can be undone
            self._journal.settle(undo, after.value, decision)
        return decision

    def _held(self, reading: Reading, undo: Undo | None) -> Reading:
        """Add to a reading what is ours on it."""
        target, current = reading.target, reading.current
        reading = self._outcomes.known(reading)
        if undo is None:
            return reading
        if current is None:
            return replace(reading, prior=undo.prior)
        if target.same(current, undo.prior):
            self._undoing.found_prior(undo)
            return reading
        if undo.state is State.CONFLICT:
            return replace(reading, prior=undo.prior, conflict=undo.note)
        if any(target.same(current, each) for each in undo.ours):
            return replace(reading, prior=undo.prior)
        found = self._undoing.not_ours(undo, current)
        if found.reason is Reason.CONFLICT:
            reading = replace(reading, prior=undo.prior, conflict=found.detail)
        return reading

    def _lost(self, undo: Undo, note: str) -> Reading:
        """Return a reading of a device that we changed and that is not there any more."""
        prior = undo.prior
        target = Target(undo.knob, undo.target, {"uuid": undo.target}, prior, prior, undo.unit, 0)
        trouble = Trouble(Fault.LOST, gone(note), self._now().steady)
        return Reading(target, None, prior, trouble=trouble)


def _way(undo: Undo) -> Connection | None:
    """Return how its target was reached; None for a part of this machine."""
    try:
        return connection_of(undo.via) if undo.via else None
    except ValueError as error:
        LOG.error(line("connection_lost", target=undo.target, detail=error))  # noqa: TRY400 (one line per event)
        return None


def _goes_back(decision: Decision, undo: Undo, target: Target) -> bool:
    """Tell whether a decision ends where we began: then the setting comes back to the letter."""
    wanted = decision.wanted
    back = wanted is not None and target.same(wanted, undo.prior)
    return decision.reason is Reason.RESTORED or (back and undo.state is State.OPEN)
