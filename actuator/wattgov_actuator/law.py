"""What a control law is asked, and what it answers; `laws` has each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import IntEnum
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.record import record


class Rank(IntEnum):
    """Whose claims a loosening rule may lift: those of its own class and below."""

    COST = 0
    CARBON = 1
    BUDGET = 2


class Measure(NamedTuple):
    """What an expression gave at one target."""

    known: bool
    value: float | None = None  # None, and known: there is no series
    why: str = ""


UNMEASURED = Measure(known=False, why="it was not asked")


class Peer(NamedTuple):
    """One of the devices that share a budget."""

    name: str
    current: float  # what is in force, or what it goes back to once nobody else holds it lower
    low: float
    high: float
    need: float | None  # the value of the expression; None: not known


@record
class Look:
    """What a law may look at: one target at one tick."""

    reading: Reading
    now: Moment
    claim: float | None = None  # what the rule holds so far
    true: bool = False
    value: float | None = None  # of the rule's expression
    low: float = 0.0  # how far the rule may go here: policy, hardware, and the value before us
    high: float = 0.0
    slack: float = 0.0  # differences smaller than this are not written
    interval_seconds: float = 15.0
    asked: Mapping[str, Measure] = field(default_factory=dict)  # by the law's own expressions
    hold_seconds: float = 120.0  # of the group
    woken: float | None = None  # steady seconds of the last order to wake it
    shared: object = None  # what the law's own `share` made of all its devices at this tick
    memory: object = None  # what the law returned to be remembered
    others: float | None = None  # the lowest claim of other rules here, for a law that judges


@record
class Want:
    """What a law asks for: hold a claim, or loosen the claims that others hold."""

    claim: float | None  # None: no claim
    lift: float | None = None  # claims of the same class and below rise to at least this
    memory: object = None  # comes back in the next look
    detail: str = ""  # a sentence, where the law has more to say than the condition
    saved_watts: float | None = None  # now, where the law knows; below 0: used in vain
    wake_joules: float = 0.0  # that a waking took since the last look, beyond being idle
    method: str = "measured"  # or estimated


class Traits(NamedTuple):
    """What a law needs of the tick, beside its wish."""

    measures: bool = False  # the value itself: no series is unknown then, not false
    rests: bool = False  # wants nothing, and remembers nothing, while false and without a claim
    keeps: bool = False  # `keep` means something to it
    paced: bool = False  # it keeps its own pace: no cooldown unless the rule gives one
    blind: bool = False  # it is asked also when its value is not known, and tightens nothing then
    judges: bool = False  # it measures by itself what its steps bring, and what others leave it
    sums: bool = False  # what its devices get adds up: who gets less is written first
    fixed: bool = False  # it wants one value, and goes no further
    rank: Rank = Rank.COST


class Law(Protocol):
    """One rule's control law with its settings; pure."""

    traits: ClassVar[Traits]

    @property
    def asks(self) -> tuple[str, ...]:
        """The expressions that the law wants answered besides the rule's own."""

    def wish(self, look: Look) -> Want:
        """Return what to ask for."""


@runtime_checkable
class Sharing(Protocol):
    """A law whose devices share something, such as watts."""

    def share(self, peers: Sequence[Peer]) -> object:
        """Return what each look of this tick gets to see; asked once, not once a device."""


@runtime_checkable
class Ranked(Protocol):
    """A law whose targets are not all needed alike."""

    @property
    def priority(self) -> float:
        """How much they are needed; the lowest is the first to be tightened."""


@runtime_checkable
class Metering(Protocol):
    """A law that measures by itself, also while its target is busy with an order."""

    def meter(self, look: Look) -> Want:
        """Return what to remember, and what is saved or spent; it asks for no change."""


class Alone:
    """A law with no expressions besides the rule's own."""

    __slots__ = ()

    @property
    def asks(self) -> tuple[str, ...]:
        """Nothing more."""
        return ()
