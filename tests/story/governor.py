"""The actuators: on gpu-1 one that enforces, on gpu-2 one in a dry run."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from story.cards import Card
from story.tape import Tape

STEP_WATTS, FLOOR_WATTS = 50.0, 450.0
TARGET_SECONDS = 5.5
EVERY_TICKS = 8
"""Ticks between two steps down: the cooldown."""
REARM_TICKS = 24
HOT_CELSIUS, COOL_CELSIUS = 73.0, 66.5
SLOW_ANSWERS = range(1200, 1300)
"""Seconds of each hour and a half in which Prometheus is too slow for one of them."""


@dataclass(slots=True)
class Governor:
    """One actuator and what it remembers."""

    instance: str
    cards: Sequence[Card]
    enforcing: bool
    wanted: dict[int, float] = field(default_factory=dict)
    rest_ticks: int = 40  # before its first step, so that the morning has a before
    hot: set[int] = field(default_factory=set)

    def tick(self, tape: Tape, p95_seconds: float) -> None:
        """Decide for each card, and store what the actuator would tell."""
        self.rest_ticks -= 1
        breached = p95_seconds > TARGET_SECONDS
        if breached:
            self.rest_ticks = REARM_TICKS
        moved = False
        for card in self.cards:
            before = self.wanted.get(card.number)
            trim, relax = self._reasons(card, p95_seconds, breached=breached)
            self._count(tape, "trim-while-fast", trim)
            self._count(tape, "relax-when-slow", relax)
            moved = moved or self.wanted.get(card.number) != before
            if self.enforcing:
                card.limit_watts = self.wanted.get(card.number, 700.0)
        if moved and not breached:
            self.rest_ticks = EVERY_TICKS
        self._tell(tape)

    def _reasons(self, card: Card, p95_seconds: float, *, breached: bool) -> tuple[str, str]:
        """Return what became of the rule that trims and of the one that relaxes."""
        if card.celsius > HOT_CELSIUS:
            self.hot.add(card.number)
        elif card.celsius < COOL_CELSIUS:
            self.hot.discard(card.number)
        if card.number in self.hot:
            self.wanted[card.number] = FLOOR_WATTS
            return "vetoed_thermal", "vetoed_thermal"
        if breached:
            held = self.wanted.pop(card.number, None)
            return "vetoed_sla", "restored" if held else "vetoed_sla"
        if p95_seconds > 0.9 * TARGET_SECONDS:
            return "unchanged", self._relaxed(card, p95_seconds)
        return self._trimmed(card), "unchanged"

    def _relaxed(self, card: Card, p95_seconds: float) -> str:
        held = self.wanted.get(card.number)
        if p95_seconds <= 0.97 * TARGET_SECONDS or held is None:
            return "unchanged"
        self.wanted[card.number] = min(held + STEP_WATTS, 700.0)
        return self._acted

    def _trimmed(self, card: Card) -> str:
        held = self.wanted.get(card.number, 700.0)
        if self.rest_ticks > 0:
            return "cooldown"
        if held <= FLOOR_WATTS:
            return "clamped"
        self.wanted[card.number] = held - STEP_WATTS
        return self._acted

    @property
    def _acted(self) -> str:
        return "applied" if self.enforcing else "would_apply"

    def _count(self, tape: Tape, rule: str, reason: str) -> None:
        who = {"job": "wattgov-actuator", "instance": self.instance}
        tape.count(
            "wattgov_actuator_decisions_total",
            1.0,
            rule=rule,
            knob="gpu_power_limit",
            reason=reason,
            **who,
        )

    def _tell(self, tape: Tape) -> None:
        who = {"job": "wattgov-actuator", "instance": self.instance}
        for card in self.cards:
            place = {"knob": "gpu_power_limit", "target": card.uuid, "unit": "watts"}
            wanted = self.wanted.get(card.number)
            if wanted is not None:
                tape.gauge("wattgov_actuator_knob_wanted", wanted, **place, **who)
                if self.enforcing:
                    tape.gauge("wattgov_actuator_knob_prior", 700.0, **place, **who)
            tape.gauge("wattgov_actuator_knob_in_force", card.limit_watts, **place, **who)
        undos = len(self.wanted) if self.enforcing else 0
        tape.gauge("wattgov_actuator_open_undos", undos, **who)
        tape.gauge("wattgov_actuator_enforcing", float(self.enforcing), **who)
        tape.gauge("wattgov_actuator_last_query_success_timestamp_seconds", tape.now - 0.4, **who)
        tape.gauge("wattgov_actuator_query_age_seconds", 0.4, **who)
        for reason in ("timeout", "down", "partial"):
            lost = reason == "timeout" and not self.enforcing and tape.now % 5400 in SLOW_ANSWERS
            tape.count("wattgov_actuator_query_failures_total", lost, reason=reason, **who)
        for rule in ("trim-while-fast", "relax-when-slow"):
            tape.gauge("wattgov_actuator_rule_targets", len(self.cards), rule=rule, **who)
        tape.gauge("wattgov_actuator_tick_seconds", 0.021 + 0.002 * undos, **who)
        for result, more in (("ok", 1.0), ("failed", 0.0)):
            tape.count("wattgov_actuator_ticks_total", more, result=result, **who)
        tape.gauge("up", 1.0, **who)
