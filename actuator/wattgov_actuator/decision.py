"""The vocabulary of deciding: a reason for everything that is done or left, and the decision."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from wattgov_actuator.condition import Judged
from wattgov_actuator.pause import Pause
from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.record import record
from wattgov_actuator.rules import Group, Rule


class Reason(StrEnum):
    """Why a decision is what it is: log field, metric label, journal column and docs heading."""

    APPLIED = "applied"
    WOULD_APPLY = "would_apply"
    RESTORED = "restored"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    HELD_STALE = "held_stale"
    NO_DATA = "no_data"
    NO_TARGET = "no_target"
    NOT_LOCAL = "not_local"
    VETOED_THERMAL = "vetoed_thermal"
    VETOED_SLA = "vetoed_sla"
    VETOED_QUORUM = "vetoed_quorum"
    OUTRANKED = "outranked"
    CLAMPED = "clamped"
    SLEWED = "slewed"
    COOLDOWN = "cooldown"
    RATE_LIMITED = "rate_limited"
    INACTIVE = "inactive"
    PAUSED = "paused"
    DISARMED = "disarmed"
    CONFLICT = "conflict"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"
    LOST = "lost"
    BUSY = "busy"
    IN_USE = "in_use"
    UNJOURNALLED = "unjournalled"
    INEFFECTIVE = "ineffective"
    ROLLED_BACK = "rolled_back"


UNCHANGED = Reason.UNCHANGED  # the most frequent one, looked up once


MEANING = {
    Reason.APPLIED: "The knob was written, and reads back as wanted.",
    Reason.WOULD_APPLY: "A dry run: enforcing, the knob would have been written now.",
    Reason.RESTORED: "The value from before our first write was put back. A new start of the "
    "machine ends what was set, ours and the value before: then that is left as it is.",
    Reason.UNCHANGED: "Nothing to do: the condition is false, or the knob is where it should be.",
    Reason.WAITING: "The condition is true, but not yet for as long as `for` asks, or there is not "
    "yet anything to compare its effect with.",
    Reason.HELD_STALE: "The raw samples are too old: nothing is tightened, and after `hold` what "
    "was claimed is put back.",
    Reason.NO_DATA: "Prometheus gave no answer, a partial one or NaN: nothing is tightened, and "
    "after `hold` what was claimed is put back.",
    Reason.NO_TARGET: "This machine has nothing that the knob could turn.",
    Reason.NOT_LOCAL: "The series name devices of other machines only.",
    Reason.VETOED_THERMAL: "A thermal claim holds the knob; rules have no say until it clears.",
    Reason.VETOED_SLA: "The SLA is breached, was so a moment ago, or cannot be judged: nothing is "
    "tightened.",
    Reason.VETOED_QUORUM: "Too little of the fleet is healthy, or known to be: nothing is "
    "tightened until it is.",
    Reason.OUTRANKED: "Another rule's claim on this knob comes first.",
    Reason.CLAMPED: "The knob is at its bound: the rule's min or max, the hardware's, or the value "
    "from before our first write.",
    Reason.SLEWED: "The knob was written, but only as far as `slew` lets it go in one tick.",
    Reason.COOLDOWN: "The last change to this knob is too recent to tighten again.",
    Reason.RATE_LIMITED: "The knob was changed as often lately as `rate` allows: nothing is "
    "tightened.",
    Reason.INACTIVE: "It is outside the `active` windows of the rule, or the one that it stands in "
    "for does its work: it claims nothing then.",
    Reason.PAUSED: "Somebody paused it: rules tighten nothing until `resume`; loosening, restoring "
    "and thermal protection go on.",
    Reason.DISARMED: "Somebody used `pause --restore`: everything was put back, and nothing is "
    "done until `resume`.",
    Reason.CONFLICT: "Somebody else changed the value after us; it is left alone. A change in the "
    "moment between our write and its read-back is seen as theirs only where no driver rounds so: "
    "the other way, or beyond what the driver refused.",
    Reason.REFUSED: "The driver said no, or said yes and did not do it.",
    Reason.UNSUPPORTED: "This device has no such knob.",
    Reason.LOST: "The device or its driver does not answer.",
    Reason.BUSY: "The device works on our last order or rests from it; it is asked at each tick.",
    Reason.IN_USE: "Somebody works with what was to be put to sleep: it stays awake, and is tried "
    "again after the rule's `cooldown`.",
    Reason.UNJOURNALLED: "The undo could not be written to disk, so the knob was not touched.",
    Reason.INEFFECTIVE: "The rule went as far as it may, and the device is not held back by it: it "
    "was put back, and is tried again later.",
    Reason.ROLLED_BACK: "Since the last step a unit of work takes more energy or more time than is "
    "allowed: it was taken back, and is tried again later.",
}


@record
class Input:
    """A value a decision rests on."""

    name: str
    value: float | None
    sampled: float | None  # unix seconds of the oldest raw sample behind it
    state: str = ""  # true, false, stale or no_data; empty where it was not judged


@record
class Checked:
    """What one guard made of a wish."""

    guard: str
    reason: Reason
    detail: str
    before: float | None  # what was wanted when the wish came to it
    after: float | None


@record
class Decision:
    """What was decided for one rule and one target, and why."""

    group: str
    rule: str
    knob: str
    target: str  # "": the rule has no target on this machine
    unit: str
    reason: Reason
    detail: str  # a sentence
    at: float  # unix seconds
    current: float | None = None
    prior: float | None = None
    wanted: float | None = None
    inputs: tuple[Input, ...] = ()
    acts: bool = False  # the knob is to be written: to prior, when reason is RESTORED
    guards: tuple[Checked, ...] = ()  # those that had something to say, in their order
    read_back: float | None = None  # what the knob said after the write


@record
class Held:
    """What is remembered of one rule at one target."""

    claim: float | None = None
    true_since: float | None = None  # steady seconds, as all below
    unknown_since: float | None = None
    true_at: float | None = None  # when it was true last, of a rule that keeps
    law: object = None  # what the law wants to remember


ENOUGH = 4  # samples that a comparison needs on both sides


class Sampled(NamedTuple):
    """What one look measured; None where the rule does not ask."""

    energy: float | None  # per unit of work
    latency: float | None = None
    load: float | None = None
    draw: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What is remembered of a rule's last step at one target."""

    at: float | None = None  # the value in force
    since: float = 0.0  # steady seconds, as all below: since when
    samples: tuple[Sampled, ...] = ()  # at this value, once it had settled
    compared: tuple[Sampled, ...] | None = None  # before the step; None: nothing is on trial
    back_to: float | None = None  # the value before the step
    base: tuple[Sampled, ...] | None = None  # before the rule's first step
    verdict: Reason | None = None  # the step is to be taken back
    last: Reason | None = None  # the verdict before the next try
    why: str = ""
    until: float = 0.0  # no new try before
    failures: int = 0  # in a row


UNTRIED = Trial()


@record
class Watch:
    """What is remembered of a group's guards at one target."""

    hot: str = ""  # why the thermal claim is held, by Prometheus
    hot_unknown_since: float | None = None
    burning: str = ""  # likewise, by the device's own thermometer
    burning_unknown_since: float | None = None
    breach: str = ""  # why the SLA counts as breached now
    breached_at: float | None = None  # the last moment of a breach
    sla_unknown: str = ""
    sla_unknown_since: float | None = None
    unhealthy: str = ""  # why too little of the fleet is healthy, or known to be

    @property
    def heat(self) -> str:
        """Why a thermal claim is held, by whichever tells."""
        return self.burning or self.hot


@record
class Scene:
    """All that a guard may look at: one rule at one target at one tick."""

    now: Moment
    group: Group
    rule: Rule
    reading: Reading
    judged: Judged
    held: Held
    watch: Watch
    hot: str  # why any group's thermal claim holds this target
    turns: tuple[float, ...] = ()  # steady seconds of our changes to this target, the latest last
    pause: Pause | None = None  # a person's
    trial: Trial = UNTRIED
    stood_in: str = ""  # why the rule that this one stands in for needs nobody to
    woken: float | None = None  # steady seconds of the last order to wake the target
    others: float | None = None  # the lowest claim of other rules, where the law judges


@record
class Wish:
    """What a rule asks for, on its way through the guards."""

    claim: float | None
    lift: float | None
    wanted: float | None  # what to show, also when a guard stops it
    reason: Reason
    detail: str
    guards: tuple[Checked, ...] = ()  # what has become of it on the way

    def tightens(self, scene: Scene) -> bool:
        """Tell whether the wish is a claim that is new, or goes further than the one held.

        Further is lower; where a knob goes both ways it is away from the value before us.
        """
        held, base = scene.held.claim, scene.reading.base
        if self.claim is None or held is None:
            return self.claim is not None
        if scene.reading.target.both_ways and base is not None and self.claim > base:
            return self.claim > held
        return self.claim < held and not (scene.reading.target.both_ways and self.claim == base)

    def presses(self, scene: Scene) -> bool:
        """Tell whether it tightens below the value in force.

        A claim that does not costs no write: another rule holds the knob there already, and when
        that one lets go the knob must not pass this claim on its way up.
        """
        target, claim, current = scene.reading.target, self.claim, scene.reading.current
        if claim is None or current is None or target.both_ways:
            return self.tightens(scene)
        return claim < current and not target.same(claim, current) and self.tightens(scene)

    def stopped(self, scene: Scene, reason: Reason, detail: str) -> "Wish":
        """Leave everything as it is, for a reason; what was wished stays to be seen."""
        return Wish(scene.held.claim, None, self.wanted, reason, detail, self.guards)

    def released(self, scene: Scene, reason: Reason, detail: str) -> "Wish":
        """Give up the claim; without one to give up, the reason is *reason*."""
        reason = reason if scene.held.claim is None else Reason.RESTORED
        return Wish(None, None, scene.reading.base, reason, detail, self.guards)

    def checked(self, guard: str, before: "Wish") -> "Wish":
        """Note that *guard* made this of *before*, if there is anything to be told."""
        if (self.reason, self.detail, self.wanted) == (before.reason, before.detail, before.wanted):
            return self
        note = Checked(guard, self.reason, self.detail, before.wanted, self.wanted)
        notes = (*before.guards, note)
        return Wish(self.claim, self.lift, self.wanted, self.reason, self.detail, notes)


Guard = Callable[[Scene, Wish], Wish]
