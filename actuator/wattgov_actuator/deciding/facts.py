"""What a tick begins with: what is remembered, and what the world said."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wattgov_actuator.decision import Held, Trial, Watch
from wattgov_actuator.pause import Pause
from wattgov_actuator.reading import Answer, Reading
from wattgov_actuator.rules import Group

NOTHING, QUIET = Held(), Watch()  # what is remembered where nothing is


@dataclass(frozen=True, slots=True)
class Memory:
    """What the actuator remembers between ticks; gone with the process, and nothing is lost."""

    held: Mapping[tuple[str, str], Held] = field(default_factory=dict)  # by rule, target
    watches: Mapping[tuple[str, str, str], Watch] = field(default_factory=dict)  # group, knob, …
    seen: Mapping[tuple[str, str], str] = field(default_factory=dict)  # instance by knob, target
    asked: Mapping[str, float] = field(default_factory=dict)  # steady seconds by group
    turns: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)  # knob, target
    woken: Mapping[tuple[str, str], float] = field(default_factory=dict)  # knob, target
    trials: Mapping[tuple[str, str], Trial] = field(default_factory=dict)  # by rule, target


@dataclass(frozen=True, slots=True)
class Facts:
    """What the world said: Prometheus' answers by expression, and the knobs."""

    answers: Mapping[str, Answer]
    readings: tuple[Reading, ...]
    asked_at: float  # steady seconds, before the first question
    notes: Mapping[str, str] = field(default_factory=dict)  # by knob: why targets are missing
    pause: Pause | None = None  # a person's
    asked: tuple[Group, ...] | None = None  # the groups whose expressions were; None: those due
    celsius: Mapping[tuple[str, str], float] = field(default_factory=dict)  # by knob, target
