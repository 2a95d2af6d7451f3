"""What a virtual card draws, stores and loses: exact, whoever looks and how often."""

import math
from collections.abc import Iterator

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.curves import A40, V100, CapCurve
from testbed.nvml import VirtualGpus

pytest_plugins = ["testbed.fixtures"]

# One node serves all examples: each begins with a reset.
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

seconds = st.floats(1e-9, 1e4).map(lambda value: round(value, 9))
changes = st.one_of(
    st.tuples(st.just("load"), st.floats(0, 1000)),
    st.tuples(st.just("outside"), st.floats(100, 800)),
    st.tuples(st.just("limit"), st.integers(200, 700)),
    st.tuples(st.just("look"), st.just(0)),
)


def change(gpus: VirtualGpus, what: str, value: float) -> None:
    """Do one thing to card 0."""
    if what == "load":
        gpus.set_load(0, value)
    elif what == "outside":
        gpus.set_outside_limit(0, value)
    elif what == "limit":
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceSetPowerManagementLimit(handle, round(value) * 1000)
    else:
        gpus.card(0)


def milliwatts(gpus: VirtualGpus) -> int:
    """Return what card 0 draws at this moment."""
    return round(gpus.card(0).draw_watts * 1e3)


def new(gpus: VirtualGpus) -> None:
    """Begin again, on the virtual clock."""
    gpus.reset(clock_ns=10**9)


@pytest.fixture(autouse=True)
def driver(gpus: VirtualGpus) -> Iterator[None]:
    """Open the driver once; the node behind it is reset by each example."""
    del gpus
    pynvml.nvmlInit()
    yield
    pynvml.nvmlShutdown()


@shared
@given(st.lists(st.tuples(changes, seconds), max_size=30))
def test_energy_is_the_integral_of_power(
    gpus: VirtualGpus, story: list[tuple[tuple[str, float], float]]
) -> None:
    """After any changes at any times, the counter is the sum of power times time, to the mJ."""
    new(gpus)
    picojoules = 0
    for (what, value), wait in story:
        change(gpus, what, value)
        before = gpus.now_ns()
        power = milliwatts(gpus)
        gpus.advance(wait)
        picojoules += power * (gpus.now_ns() - before)

    assert picojoules // 10**9 == gpus.card(0).energy_millijoules


@shared
@given(st.lists(st.tuples(changes, st.floats(0.001, 2.0)), max_size=30))
def test_power_usage_is_the_integral_over_a_second(
    gpus: VirtualGpus, story: list[tuple[tuple[str, float], float]]
) -> None:
    """The power usage is the energy of the last second, divided by it."""
    new(gpus)
    stretches: list[tuple[int, int]] = []
    for (what, value), wait in story:
        change(gpus, what, value)
        before, power = gpus.now_ns(), milliwatts(gpus)
        gpus.advance(wait)
        stretches.append((gpus.now_ns() - before, power))
    left, energy = 10**9, 0
    for length, power in reversed(stretches):
        energy += min(length, left) * power
        left -= min(length, left)
    covered = 10**9 - left
    usage = pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0))

    assert (energy // covered if covered else milliwatts(gpus)) == usage


def test_a_square_wave(gpus: VirtualGpus) -> None:
    """Ten periods of 150 W and 600 W, three seconds each, are 22.5 kJ."""
    new(gpus)
    for _ in range(10):
        for watts in (150.0, 600.0):
            gpus.set_load(0, watts)
            gpus.advance(3)

    assert 10 * 3 * 750 * 1000 == gpus.card(0).energy_millijoules


def test_looking_changes_nothing(gpus: VirtualGpus) -> None:
    """A card that is read every millisecond ends where one that is not read ends."""
    new(gpus)
    for gpu in (0, 1):
        gpus.set_load(gpu, 613.7)
    for _ in range(2000):
        gpus.advance(0.001)
        gpus.card(0)
    often, seldom = gpus.card(0), gpus.card(1)

    assert often.energy_millijoules == seldom.energy_millijoules
    assert math.isclose(often.celsius, seldom.celsius, rel_tol=1e-12)


@shared
@given(st.sampled_from([A40, V100]), st.floats(70, 700), st.integers(200, 700))
def test_a_cap_follows_the_curve(
    gpus: VirtualGpus, curve: CapCurve, demand: float, cap: int
) -> None:
    """A cap at or above the demand is inert; below it, the curve gives pace and power."""
    new(gpus)
    gpus.set_curve(curve)
    gpus.set_load(0, demand)
    change(gpus, "limit", cap)
    throughput, energy = curve.at(cap / 700)
    if cap >= round(demand, 3):
        throughput, watts = 1.0, demand
    else:
        watts = max(min(cap, demand * throughput * energy), 70.0)
    card = gpus.card(0)

    assert math.isclose(throughput, card.relative_throughput, rel_tol=1e-12)
    assert math.isclose(watts, card.draw_watts, abs_tol=0.0011)


def test_a_cap_at_the_demand_is_inert(gpus: VirtualGpus) -> None:
    """At exactly the demand nothing changes; one milliwatt below, the cap bites."""
    new(gpus)
    gpus.set_load(0, 500.0)
    gpus.set_outside_limit(0, 500.0)
    at = gpus.card(0)
    gpus.set_outside_limit(0, 499.999)

    assert (500.0, 1.0) == (at.draw_watts, at.relative_throughput)
    assert gpus.card(0).relative_throughput < 1.0


def test_a_card_never_draws_less_than_idle(gpus: VirtualGpus) -> None:
    """The lowest cap leaves an almost idle card at 70 W."""
    new(gpus)
    gpus.set_load(0, 50.0)

    assert 70.0 == gpus.card(0).draw_watts


def test_the_curve_passes_through_its_points() -> None:
    """At a measured cap the curve is the measurement; outside it is the nearest one."""
    for cap, throughput, energy in (*A40.points, *V100.points[:1]):
        curve = A40 if (cap, throughput, energy) in A40.points else V100

        assert (throughput, energy) == curve.at(cap)

    assert (0.31, 1.52) == A40.at(0.1)
    assert (1.0, 1.0) == A40.at(1.5)


def test_the_temperature_follows_the_power(gpus: VirtualGpus) -> None:
    """One time constant after a step, 63 % of the way; in the end 27 °C and 0.065 K/W."""
    new(gpus)
    cold = gpus.card(0).celsius
    gpus.set_load(0, 700.0)
    gpus.advance(30)
    warm = gpus.card(0).celsius
    gpus.advance(3000)
    hot = gpus.card(0).celsius

    assert math.isclose(27 + 0.065 * 70, cold)
    assert math.isclose(27 + 0.065 * 700, hot)
    assert math.isclose(hot + (cold - hot) * math.exp(-1), warm)


def test_a_reload_of_the_driver_forgets(gpus: VirtualGpus) -> None:
    """Energy starts again at zero and the limit is the default."""
    new(gpus)
    gpus.set_load(0, 500.0)
    change(gpus, "limit", 300)
    gpus.advance(10)
    gpus.reload_driver()

    assert 0 == gpus.card(0).energy_millijoules
    assert 700.0 == gpus.card(0).limit_watts


def test_the_virtual_clock_does_not_go_back(gpus: VirtualGpus) -> None:
    """Going back is refused, and the counter stays as it was."""
    new(gpus)
    gpus.advance(5)
    before = gpus.card(0).energy_millijoules
    with pytest.raises(ValueError, match="out of range"):
        gpus.set_clock(2 * 10**9)

    assert before == gpus.card(0).energy_millijoules == 5 * 70 * 1000


def test_the_real_clock_runs(gpus: VirtualGpus) -> None:
    """Without a virtual clock, energy accrues by itself."""
    gpus.set_load(0, 700.0)
    first = gpus.card(0).energy_millijoules
    began = gpus.now_ns()
    while gpus.now_ns() < began + 3_000_000:
        continue

    assert gpus.card(0).energy_millijoules >= first + 3 * 700


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (((0.5, 1.0, 1.0), (0.5, 1.0, 1.0)), "caps rise"),
        (((0.5, 0.0, 1.0),), "nothing is free"),
    ],
)
def test_a_senseless_curve_is_refused(
    gpus: VirtualGpus, points: tuple[tuple[float, float, float], ...], why: str
) -> None:
    """A curve's caps rise, and its values are above zero."""
    assert why
    with pytest.raises(ValueError, match="out of range"):
        gpus.set_curve(CapCurve("bad", points))
