"""The hibernation law: asleep while nobody needs it, awake as soon as somebody might.

The rule's own expression gives the seconds since the target was last used. It goes to sleep when
that is longer than the policy says, and longer than sleeping takes to pay for the next waking, at
two looks in a row. Not knowing never puts anything to sleep. While it sleeps its own metrics may be
gone, which says nothing: it is woken by the wake expression, by an order, by the policy's longest
sleep, and when nobody can tell for long whether it is wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar, NamedTuple

from wattgov_actuator.document.strict import Fields
from wattgov_actuator.policies import policy
from wattgov_actuator.rules import (
    UNMEASURED,
    Bounds,
    Kind,
    Law,
    LawForm,
    Look,
    Measure,
    Peer,
    Policy,
    Strategy,
    Traits,
    Want,
)

QUIET = Measure(known=True)  # what was not asked for says nothing
CONFIRMED = 2  # looks in a row: one may have fallen between two requests
SMOOTHING = 0.2  # of each new sample, in the mean of a draw
SETTLED_SECONDS = 60.0  # or `idle`, where that is less: a draw from before is forgotten then


@dataclass(frozen=True, slots=True)
class Rest:
    """What the law remembers of one target."""

    confirmed: int = 0  # looks in a row that found it idle
    since: float | None = None  # steady seconds, as all below: asleep since
    woken: float | None = None  # when it was woken last
    blind_since: float | None = None  # nobody can tell whether it is wanted
    looked: float | None = None
    idle_watts: float | None = None  # its mean draw while it was idle and awake
    asleep_watts: float | None = None
    waking: bool = False  # it was woken, and has not been seen awake since
    spent_joules: float = 0.0  # on that, beyond its idle draw
    rising_watts: float | None = None  # what it drew beyond that when it was last seen waking
    waking_joules: float | None = None  # the mean of what a waking took


class Worth(NamedTuple):
    """What a look is worth, as a `Want` has it."""

    saved_watts: float | None = None
    wake_joules: float = 0.0
    method: str = "measured"


@dataclass(frozen=True, slots=True)
class Hibernate:
    """Sleep by a policy."""

    policy: Policy
    wake: str = ""  # a series of it wakes
    cpu: str = ""  # must lie below the policy's `cpu_below`
    draw: str = ""  # watts
    traits: ClassVar[Traits] = Traits(measures=True, paced=True, blind=True)

    @property
    def asks(self) -> tuple[str, ...]:
        """What wakes, and what else tells that it is idle."""
        return tuple(filter(None, (self.wake, self.cpu, self.draw)))

    @property
    def priority(self) -> float:
        """The policy's."""
        return self.policy.priority

    def share(self, peers: Sequence[Peer]) -> frozenset[str]:
        """Return who may sleep: all but as many as are kept warm, the longest idle first.

        A target that is awake and not known to be idle is not counted as warm.
        """
        asleep = sorted(each.name for each in peers if each.current <= each.low)
        known = [each for each in peers if each.current > each.low and each.need is not None]
        idle = [
            each.name for each in sorted(known, key=lambda each: (-(each.need or 0), each.name))
        ]
        order = [*asleep, *idle]
        return frozenset(order[: max(len(order) - self.policy.keep_warm, 0)])

    def meter(self, look: Look) -> Want:
        """Go on measuring while it falls asleep, or wakes."""
        rest, worth = self._metered(look)
        return Want(look.claim, None, rest, "", *worth)

    def wish(self, look: Look) -> Want:
        """Claim sleep, or nothing."""
        rest, worth = self._metered(look)
        if look.claim is not None:
            why, rest = self._woken(rest, look)
            if not why:
                return Want(look.claim, None, rest, "asleep", *worth)
            rest = replace(rest, since=None, woken=look.now.steady, confirmed=0)
            return Want(None, None, replace(rest, waking=True, spent_joules=0.0), why, *worth)
        why = self._busy(rest, look)
        if why:
            return Want(None, None, replace(rest, confirmed=0), why, *worth)
        rest = replace(rest, confirmed=rest.confirmed + 1)
        if rest.confirmed < CONFIRMED:
            return Want(None, None, rest, "idle; looked at once more", *worth)
        rest = replace(rest, since=look.now.steady, blind_since=None)
        return Want(look.reading.target.low, None, rest, "idle", *worth)

    def _busy(self, rest: Rest, look: Look) -> str:
        """Say why it does not go to sleep; the first reason of these that holds."""
        idle, needed = look.value, max(self.policy.idle_seconds, self.break_even_seconds(rest))
        if not look.true or idle is None:
            return "how long it has been idle is not known"
        cpu = look.asked.get(self.cpu, UNMEASURED) if self.cpu else QUIET
        wanted = look.asked.get(self.wake, UNMEASURED) if self.wake else QUIET
        calm = cpu.known and (not self.cpu or (cpu.value or 0.0) < self.policy.cpu_below)
        ago = look.now.steady - max(filter(None, (rest.woken, look.woken)), default=-inf)
        reasons = (
            (idle < needed, f"idle for {idle:.0f} s of {needed:.0f} s"),
            (not wanted.known, f"whether it is wanted is not known: {wanted.why}"),
            (wanted.value is not None, "it is wanted"),
            (not calm or (self.cpu and cpu.value is None), f"its CPU: {cpu.value}, {cpu.why}"),
            (ago < self.policy.awake_seconds, f"woken {ago:.0f} s ago"),
            (not self._spared(look), f"{self.policy.keep_warm} are kept warm"),
        )
        return next((why for holds, why in reasons if holds), "")

    def _woken(self, rest: Rest, look: Look) -> tuple[str, Rest]:
        """Say why it is woken; empty while it may sleep on."""
        now, longest = look.now.steady, self.policy.longest_seconds
        since = now if rest.since is None else rest.since
        wanted = look.asked.get(self.wake, UNMEASURED) if self.wake else QUIET
        blind = None if wanted.known else now if rest.blind_since is None else rest.blind_since
        dark = 0.0 if blind is None else now - blind
        used = look.value if look.true and look.value is not None else inf
        slept = now - since
        reasons = (
            (wanted.known and wanted.value is not None, f"wanted: {wanted.why}"),
            (look.woken is not None and look.woken >= since, "somebody asked for it"),
            (used < min(self.policy.idle_seconds, slept), f"it was used {used:.0f} s ago"),
            (slept >= longest, f"asleep for {slept:.0f} s, the longest allowed"),
            (not self._spared(look), f"{self.policy.keep_warm} are kept warm"),
            (dark >= look.hold_seconds > 0, f"nobody can tell for {dark:.0f} s if it is wanted"),
        )
        rest = replace(rest, since=since, blind_since=blind)
        return next((why for holds, why in reasons if holds), ""), rest

    @staticmethod
    def _spared(look: Look) -> bool:
        """Tell whether enough others are awake."""
        return isinstance(look.shared, frozenset) and look.reading.target.name in look.shared

    def break_even_seconds(self, rest: Rest) -> float:
        """Return how long a sleep must last to save more than its waking took.

        Both as measured, or else as the policy estimates them. Whoever waits as long as that before
        sleeping uses at most twice the energy, beyond what is used anyway, of one who knows when
        the next request comes (ski rental, Karlin et al. 1988).
        """
        cost, saved = rest.waking_joules, self.policy.idle_watts
        if cost is None:
            cost = self.policy.waking_joules
        if rest.idle_watts is not None and rest.asleep_watts is not None:
            saved = rest.idle_watts - rest.asleep_watts
        elif saved is None:  # its sleeps were too short to be measured: at most all of its draw
            saved = rest.idle_watts
        return max(cost, 0.0) / saved if saved is not None and saved > 0 else 0.0

    def _metered(self, look: Look) -> tuple[Rest, Worth]:
        """Return the memory after this look, and what is saved or spent now."""
        before = look.memory if isinstance(look.memory, Rest) else Rest()
        rest, worth = self._drawn(before, look)
        return replace(rest, looked=look.now.steady), worth

    def _drawn(self, rest: Rest, look: Look) -> tuple[Rest, Worth]:
        """Take the means of its draw.

        A draw is a mean over a window, or was scraped a while ago: what it is idle or asleep is
        taken only once it has been that for long enough.
        """
        found = look.asked.get(self.draw, UNMEASURED)
        watts, now = found.value if found.known else None, look.now.steady
        asleep, current = look.claim is not None, look.reading.current
        up = not asleep and current is not None and current > look.reading.target.low
        settled, usual = min(SETTLED_SECONDS, self.policy.idle_seconds), rest.idle_watts
        if asleep and watts is not None and rest.since is not None and now - rest.since >= settled:
            rest = replace(rest, asleep_watts=_mixed(rest.asleep_watts, watts))
        if watts is None or (usual is None and (asleep or rest.waking)):
            saved = self.policy.idle_watts if asleep else None
            spent = self.policy.waking_joules if rest.waking and up else 0.0
            return replace(rest, waking=rest.waking and not up), Worth(saved, spent, "estimated")
        if asleep and usual is not None:
            return rest, Worth(usual - watts)
        if rest.waking and usual is not None:
            return self._rising(rest, look, watts - usual, up=up)
        if look.true and look.value is not None and look.value >= settled:
            rest = replace(rest, idle_watts=_mixed(usual, watts))
        return rest, Worth()

    @staticmethod
    def _rising(rest: Rest, look: Look, more_watts: float, *, up: bool) -> tuple[Rest, Worth]:
        """Charge what it draws more while it wakes, and not what it draws for work from then on.

        By the look that finds it awake it may have been at work, or at rest again: what it drew
        until then is rather what was seen before.
        """
        now, took = look.now.steady, look.reading.loosened_seconds
        woken = now if rest.woken is None else rest.woken
        end = min(now, woken + took) if up and took is not None else now
        if up and rest.rising_watts is not None:
            more_watts = rest.rising_watts
        spent = more_watts * max(end - (now if rest.looked is None else rest.looked), 0.0)
        spent_joules, seen = rest.spent_joules + spent, None if up else more_watts
        rest = replace(rest, waking=not up, spent_joules=spent_joules, rising_watts=seen)
        if up:
            rest = replace(rest, waking_joules=_mixed(rest.waking_joules, rest.spent_joules))
        return rest, Worth(None, spent)


def _mixed(mean: float | None, value: float) -> float:
    return value if mean is None else mean + SMOOTHING * (value - mean)


def parse(fields: Fields, knob: str, kind: Kind, strategy: Strategy, _bounds: Bounds) -> Law | None:
    """Read `hibernate` of a rule."""
    if kind.accepts and "asleep" not in kind.levels:
        told = f"{knob} cannot sleep; hibernate goes with the knob hibernate"
        fields.refuse("hibernate", told)
    block = fields.block("hibernate")
    if block is None:
        return None
    base = strategy.policies.get(block.name("policy", list(strategy.policies), ""), Policy())
    law = Hibernate(
        policy(block, base), *(block.expression(key, "") for key in ("wake", "cpu", "draw"))
    )
    if law.cpu and not law.policy.cpu_below:
        block.say("cpu", "cpu is compared with cpu_below; give it here or in the policy")
    block.end()
    return law


FORM = LawForm(keys=("hibernate",), parse=parse)
