"""The virtual engine's serving, in virtual time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import arrivals, serving
from testbed.arrivals import Arrival
from testbed.nvml import VirtualGpus
from testbed.serving import Lane
from testbed.simulation import STEP_SECONDS, Simulation

pytest_plugins = ["testbed.fixtures"]

requests = st.lists(
    st.builds(Arrival, st.floats(0, 5), st.integers(1, 20_000), st.integers(1, 400)),
    min_size=1,
    max_size=40,
).map(lambda some: sorted(some, key=lambda arrival: arrival.seconds))


def drained(simulation: Simulation, throughputs: list[float]) -> None:
    """Step until nothing is left to do."""
    while simulation.seconds < 6 or any(lane.depth for lane in simulation.lanes):
        simulation.step(throughputs)

        assert simulation.seconds < 1000


@given(requests, st.integers(1, 4), st.integers(1, 20), st.floats(0.3, 1.0))
def test_every_request_ends_and_no_token_is_lost(
    some: list[Arrival], cards: int, max_sequences: int, throughput: float
) -> None:
    """Whatever the load, the cards and the pace: what arrived is finished, tokens and all."""
    simulation = Simulation(iter(some), cards, max_sequences)
    drained(simulation, [throughput] * cards)
    totals = simulation.totals
    context = sum(arrival.context_tokens for arrival in some)
    generated = sum(arrival.generated_tokens for arrival in some)

    assert len(some) == sum(total.finished for total in totals)
    assert len(some) == sum(total.request_seconds.count for total in totals)
    assert len(some) == sum(total.first_token_seconds.count for total in totals)
    assert context == sum(total.prompt_tokens for total in totals)
    assert generated == sum(total.generated_tokens for total in totals)
    assert generated - len(some) == sum(total.inter_token_seconds.count for total in totals)
    assert context + generated == sum(total.iteration_tokens.sum for total in totals)


@given(st.integers(1, 20_000), st.integers(1, 400), st.floats(0, 1), st.floats(0.3, 1.0))
def test_one_request_takes_its_prefill_and_its_tokens(
    context: int, generated: int, seconds: float, throughput: float
) -> None:
    """Alone on a card, a request's latency is the formula's, whatever the steps cut it into."""
    simulation = Simulation(iter([Arrival(seconds, context, generated)]), 1)
    drained(simulation, [throughput])
    (total,) = simulation.totals
    prefill = context / serving.PREFILL_TOKENS_PER_SECOND / throughput
    decode = (generated - 1) * serving.inter_token_seconds(1, throughput)

    assert math.isclose(prefill, total.first_token_seconds.sum, abs_tol=1e-9)
    assert math.isclose(prefill + decode, total.request_seconds.sum, abs_tol=1e-6)


def test_a_card_prefills_one_context_at_a_time() -> None:
    """Two contexts of a second each, come together, are ready after one second and after two."""
    context = round(serving.PREFILL_TOKENS_PER_SECOND)
    simulation = Simulation(iter([Arrival(0.0, context, 1)] * 2), 1)
    drained(simulation, [1.0])

    assert math.isclose(1.0 + 2.0, simulation.totals[0].first_token_seconds.sum)


def test_what_finds_no_slot_waits() -> None:
    """Past the slots requests wait in order, and get in when a slot is free."""
    simulation = Simulation(iter([Arrival(0.0, 10, 300)] * 5), 1, max_sequences=2)
    simulation.step([1.0])
    lane = simulation.lanes[0]

    assert (2, 3) == (len(lane.running), len(lane.waiting))

    drained(simulation, [1.0])

    assert 5 == simulation.totals[0].finished


def test_a_request_goes_where_the_fewest_are() -> None:
    """The emptiest card gets the next request, the first of equals."""
    one = Arrival(0.0, 1, 1)
    lanes = [Lane(waiting=(one, one)), Lane(), Lane(waiting=(one,))]
    shares = serving.assign(lanes, [one] * 4)

    assert [1, 2, 1] == [len(share) for share in shares]


@pytest.mark.parametrize(
    ("batch", "watts", "milliseconds"),
    [(8, 486, 7.3), (32, 560, 8.9), (64, 610, 11.5), (128, 669, 16.5), (256, 691, 26.0)],
)
def test_the_fit_is_near_the_measurements(batch: int, watts: float, milliseconds: float) -> None:
    """ML.ENERGY v3, Llama-3.1-8B on an H100: within 3 % of the watts and 8 % of the median gap."""
    assert math.isclose(watts, serving.demand_watts(batch), rel_tol=0.03)
    assert math.isclose(milliseconds, 1e3 * serving.inter_token_seconds(batch, 1.0), rel_tol=0.08)


def test_an_empty_card_draws_its_idle_power() -> None:
    """No batch, no demand above idle."""
    assert serving.IDLE_WATTS == serving.demand_watts(0)


def served(gpus: VirtualGpus, cap_watts: float, seconds: float) -> tuple[float, float]:
    """Serve the committed trace under a cap; return (p95 seconds, mean watts)."""
    gpus.reset(clock_ns=10**9)
    cards = range(gpus.count())
    for card in cards:
        gpus.set_outside_limit(card, cap_watts)
    trace = arrivals.looped(arrivals.read(arrivals.DEFAULT))
    simulation = Simulation(trace, len(cards))
    while simulation.seconds < seconds:
        simulation.step([gpus.card(card).relative_throughput for card in cards])
        for card, lane in enumerate(simulation.lanes):
            gpus.set_load(card, serving.demand_watts(len(lane.running)))
        gpus.advance(STEP_SECONDS)
    joules = sum(gpus.card(card).energy_millijoules for card in cards) / 1e3
    return p95(simulation), joules / seconds / len(cards)


def p95(simulation: Simulation) -> float:
    """Return the 95th percentile as Prometheus' histogram_quantile estimates it."""
    per_card = [total.request_seconds.buckets() for total in simulation.totals]
    summed = [
        (row[0][0], sum((count for _, count in row), 0.0)) for row in zip(*per_card, strict=True)
    ]
    rank = 0.95 * summed[-1][1]
    below = before = 0.0
    for bound, count in summed:
        if count >= rank:
            return below + (float(bound) - below) * (rank - before) / (count - before)
        below, before = float(bound), count
    raise AssertionError(summed)


def test_a_cap_trades_latency_for_power(gpus: VirtualGpus) -> None:
    """At 467 of 700 W latency rises visibly and modestly, and the power falls by a fifth or so."""
    free_seconds, free_watts = served(gpus, 700.0, 120)
    capped_seconds, capped_watts = served(gpus, 467.0, 120)

    assert 1.5 < free_seconds < 2.5
    assert 1.05 < capped_seconds / free_seconds < 1.12
    assert 0.72 < capped_watts / free_watts < 0.85


def test_latency_grows_as_the_cap_falls(gpus: VirtualGpus) -> None:
    """Caps above the demand change nothing; below it each one is slower, and draws less."""
    caps = (700, 600, 480, 430, 380)
    seconds, watts = zip(*(served(gpus, cap, 40) for cap in caps), strict=True)

    assert seconds[0] == seconds[1]
    assert watts[0] == watts[1]
    assert sorted(seconds) == list(seconds)
    assert seconds[1] < seconds[2] < seconds[3] < seconds[4]
    assert watts[1] > watts[2] > watts[3] > watts[4]
