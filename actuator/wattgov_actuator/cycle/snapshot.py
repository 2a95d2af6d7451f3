"""What the governor shows to the outside: one frozen value, replaced at the end of each tick."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wattgov_actuator.acting.durations import Way, Writes
from wattgov_actuator.cycle.latency import Latency
from wattgov_actuator.deciding.trying import Saving
from wattgov_actuator.decision import Decision, Held, Watch
from wattgov_actuator.pause import Pause
from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.rules import RuleSet


@dataclass(frozen=True, slots=True)
class Reloads:
    """The last time the rules were read."""

    success_at: float  # unix seconds of the last time they were good
    sha256: str  # of the files in force
    mistakes: tuple[str, ...] = ()  # why the ones before are in force


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The actuator after its last tick."""

    enforcing: bool
    ticks: int = 0
    tick_failures: int = 0
    tick_seconds: float = 0.0  # of the last tick
    decisions: tuple[Decision, ...] = ()  # the latest of each rule and target
    counts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)  # rule, knob, reason
    readings: tuple[Reading, ...] = ()
    wanted: Mapping[tuple[str, str], float] = field(default_factory=dict)  # by knob, target
    write_seconds: Mapping[tuple[str, str, str], float] = field(default_factory=dict)  # knob, …
    writes: Mapping[Way, Writes] = field(default_factory=dict)
    open_undos: int = 0
    journal_failures: int = 0  # writes that did not succeed
    journal_trouble: str = ""  # why nothing can be journalled, and so nothing is done
    last_success: float | None = None  # unix seconds of the last query that was answered
    query_failures: Mapping[str, int] = field(default_factory=dict)  # by failure
    rule_targets: Mapping[str, int] = field(default_factory=dict)  # by rule
    pause: Pause | None = None
    reloads: Reloads | None = None
    savings: tuple[Saving, ...] = ()
    saved_joules: Mapping[tuple[str, str], float] = field(default_factory=dict)  # by rule, method
    lost_joules: Mapping[tuple[str, str], float] = field(default_factory=dict)  # used, not saved
    wake_joules: Mapping[tuple[str, str], float] = field(default_factory=dict)  # of the lost ones
    rules: RuleSet | None = None  # in force
    at: Moment | None = None  # when the last tick decided
    late_seconds: float = 0.0  # how much later than planned it began
    latency: Latency = field(default_factory=Latency)
    asked: Mapping[str, float] = field(default_factory=dict)  # steady seconds by group
    held: Mapping[tuple[str, str], Held] = field(default_factory=dict)  # by rule, target
    watches: Mapping[tuple[str, str, str], Watch] = field(default_factory=dict)  # group, knob, …
    turns: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)  # knob, target
    notes: Mapping[str, str] = field(default_factory=dict)  # by knob: why there are no more targets
