"""The PID law, on plants of which the right answer is known."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from actuator.builders import look, reading
from actuator.fakes import target
from wattgov_actuator.laws.pid import Pid
from wattgov_actuator.reading import Moment, Reading, Target
from wattgov_actuator.rules import Look

TARGET, TICK_SECONDS = 0.18, 15.0
LAW = Pid(TARGET, kp=2.0, ki=0.2, kd=0.1)  # the gains that the docs show
BATCH = replace(target(), low=1.0, high=64.0, unit="requests", multiplicative=True, both_ways=True)


@dataclass
class Serving:
    """p95 latency in seconds of a batch: seen late, and with noise."""

    batch: float
    fixed: float = 0.03
    each: float = 0.006
    noise: float = 0.0
    seen: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        """Begin at rest."""
        self.seen = self.fixed + self.each * self.batch

    def measure(self) -> float:
        """Return what a query gives one interval later: most of the way to the truth."""
        self.seen += 0.7 * (self.fixed + self.each * self.batch - self.seen)
        return self.seen * (1 + self.noise * self.chance.gauss(0, 1))


def control(
    law: Pid, plant: Serving, ticks: int, vetoed: range = range(0), device: Target = BATCH
) -> Iterator[float]:
    """Let the law turn the batch; yield the latency of each tick. A veto puts the batch back."""
    memory: object = None
    claim: float | None = None
    prior = plant.batch
    for tick in range(ticks):
        value = plant.measure()
        want = law.wish(
            Look(
                reading=Reading(device, plant.batch, None if claim is None else prior),
                now=Moment(0, tick * TICK_SECONDS),
                claim=claim,
                true=True,
                value=value,
                low=device.low,
                high=device.high,
                memory=memory,
            )
        )
        memory = want.memory
        claim = None if tick in vetoed else want.claim
        plant.batch = prior if claim is None else claim
        yield value


def settled(values: list[float], within: float = 0.1) -> int:
    """Return after how many values all are near the target."""
    far = [i for i, value in enumerate(values) if abs(value / TARGET - 1) > within]
    return max(far, default=-1) + 1


@pytest.mark.parametrize("start", [8, 12, 48, 64])
@pytest.mark.parametrize(("fixed", "each"), [(0.03, 0.006), (0.031, 0.0065), (0.05, 0.006)])
def test_a_batch_settles_on_a_latency(start: float, fixed: float, each: float) -> None:
    """Within ten intervals and 10 %, from below and from above, and never far beyond."""
    values = list(control(LAW, Serving(start, fixed, each), 40))
    beyond = max(values) if start < 25 else 2 * TARGET - min(values)

    assert settled(values) <= 10
    assert beyond < 1.1 * TARGET
    assert settled(values[20:], within=0.05) == 0


def test_noise_does_not_shake_it() -> None:
    """With 3 % of noise in the latency it stays within 10 % of the target, once there."""
    plant = Serving(8, noise=0.03)
    list(control(LAW, plant, 20))
    batches = [plant.batch for _ in control(LAW, plant, 60)]

    assert all(abs(plant.fixed + plant.each * each - TARGET) < 0.1 * TARGET for each in batches)


def test_a_veto_of_five_minutes_winds_nothing_up() -> None:
    """After it the way back is as after the start, to the digit."""
    veto = range(20, 40)
    values = list(control(LAW, Serving(8), 80, vetoed=veto))
    fresh = list(control(LAW, Serving(8), 30))

    assert max(values[40:]) < 1.1 * TARGET
    assert settled(values[40:]) <= 10
    assert [pytest.approx(each, abs=1e-3) for each in fresh[1:20]] == values[41:60]


@pytest.mark.parametrize("stop", [0.0, 8.0])
def test_a_bound_winds_nothing_up(stop: float) -> None:
    """Held at its highest for an hour, it comes down as soon as the latency does go beyond."""
    device = replace(BATCH, high=16.0 + stop)
    plant = Serving(8)
    list(control(LAW, plant, 1, device=device))
    values = control(LAW, plant, 300, device=device)
    for _ in range(240):
        next(values)
    at_the_top = plant.batch
    plant.each = 0.02
    for _ in range(3):
        next(values)

    assert device.high == at_the_top
    assert plant.batch < 0.9 * at_the_top


def test_taking_over_moves_by_one_step_of_the_integral() -> None:
    """However far the target: the first claim differs from what is in force by ki*e*dt only."""
    law = Pid(target=100.0, kp=50.0, ki=0.1, kd=30.0)
    want = law.wish(look(reading(300), value=110.0))

    assert 300 - 0.1 * 10 * 15 == want.claim


def test_the_derivative_is_of_the_measurement() -> None:
    """A value on its way to the target brakes; another target kicks by kp alone."""
    law = Pid(target=100.0, kp=1.0, ki=0.0, kd=5.0)
    first = law.wish(look(reading(300), value=90.0))
    at = reading(300, prior=350)
    later = look(at, value=96.0, claim=300.0, memory=first.memory)
    later = replace(later, now=Moment(0, later.now.steady + 15))

    assert 300 - (10 - 4) - 5 * 6 / 15 == law.wish(later).claim
    assert 310 - (10 - 4) - 5 * 6 / 15 == replace(law, target=110.0).wish(later).claim


@pytest.mark.parametrize(("blocked_at", "grows"), [(300.0, False), (290.0, False), (200.0, True)])
def test_the_integral_waits_for_what_a_guard_stopped(blocked_at: float, grows: bool) -> None:
    """Slew, cooldown or another claim: it goes on only back towards what is in force."""
    law = Pid(target=100.0, kp=0.0, ki=1.0, kd=0.0)
    memory = law.wish(look(reading(285), value=101.0)).memory  # wished 270
    then = look(reading(blocked_at, prior=350), value=101.0, claim=blocked_at, memory=memory)
    then = replace(then, now=Moment(0, then.now.steady + 15))
    again = law.wish(then)

    assert (255.0 if grows else 270.0) == again.claim


def test_a_move_that_the_deadband_swallows_is_not_lost() -> None:
    """The integral goes on inside the deadband, which is all that it can gather."""
    law = Pid(target=100.0, kp=0.0, ki=0.1, kd=0.0)
    memory, claims = None, []
    for tick in range(5):
        now = Moment(0, tick * 15.0)
        want = law.wish(look(reading(300), now=now, value=101.0, slack=5.0, memory=memory))
        memory = want.memory
        claims.append(want.claim)

    assert [298, 297, 296, 294, 298] == claims


def test_near_enough_is_left_alone() -> None:
    """Within the tolerance nothing is integrated."""
    law = Pid(target=100.0, kp=1.0, ki=1.0, kd=0.0, tolerance=2.0)

    assert 300 == law.wish(look(reading(300), value=101.5)).claim


def test_after_a_silence_only_two_intervals_are_made_up_for() -> None:
    """An hour without an answer is not an hour of error."""
    law = Pid(target=100.0, kp=0.0, ki=0.1, kd=1.0)
    first = law.wish(look(reading(300), value=101.0))  # to 298.5
    late = look(reading(298.5, prior=300), value=101.0, claim=298.5, memory=first.memory)
    late = replace(late, now=Moment(0, late.now.steady + 3600))

    assert 296 == law.wish(late).claim


def test_a_knob_that_lowers_the_value_takes_negative_gains() -> None:
    """A cap on latency: head room means less watts."""
    law = Pid(target=0.2, kp=0.0, ki=-10.0, kd=0.0)

    assert 285 == law.wish(look(reading(300), value=0.1)).claim


def test_it_stays_inside_its_reach() -> None:
    """Whatever the error."""
    law = Pid(target=100.0, kp=0.0, ki=1000.0, kd=0.0)

    assert 100 == law.wish(look(reading(300), value=500.0)).claim
    assert 300 == law.wish(look(reading(300), value=-500.0)).claim
