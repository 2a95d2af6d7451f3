"""One card that serves a language model: continuous batching in fixed steps, as pure functions.

A request waits for a slot, its context is prefilled, then every decode iteration gives one token to
each request of the batch. The card's pace is the relative throughput its power cap leaves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from testbed.arrivals import Arrival

IDLE_WATTS = 70.0

MAX_SEQUENCES = 256
"""vLLM's default of max_num_seqs on an H100 is of this order; more requests wait."""

PREFILL_TOKENS_PER_SECOND = 25_000.0
"""2 · 8e9 FLOP a token at 400 TFLOP/s, about 40 % of an H100's dense bf16 peak. Derived, not
measured; a card prefills one request at a time, beside the decoding."""

KV_TOKENS = 360_000
"""44 GiB beside 16 GiB of weights, at 128 KiB a token (32 layers, 8 KV heads of 128, bf16)."""


def demand_watts(batch: int) -> float:
    """Return what a batch draws with no power cap.

    Fit to ML.ENERGY v3, Llama-3.1-8B on one H100, batches of 8 to 512; rmse 5.7 W.
    """
    if batch == 0:
        return IDLE_WATTS
    return 480.0 + 215.0 / (1.0 + math.exp(-1.20 * (math.log2(batch) - 5.5)))


def inter_token_seconds(batch: int, throughput: float) -> float:
    """Return the time of one decode iteration: same fit, median, at *throughput* ≤ 1."""
    return (6.20 + 0.0813 * batch) / 1e3 / throughput


@dataclass(frozen=True, slots=True)
class Running:
    """A request in the batch."""

    arrival: Arrival
    prefill_left: float
    """Context tokens; 0 once the first token is out."""
    emitted: int = 0
    progress: float = 0.0
    """Part of the next token."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What is on one card between two steps."""

    waiting: tuple[Arrival, ...] = ()
    running: tuple[Running, ...] = ()
    iterations: float = 0.0
    """Part of an iteration that is under way."""
    iteration_tokens: int = 0
    """Tokens of iterations that have not been counted."""

    @property
    def depth(self) -> int:
        """Return how many requests are on this card."""
        return len(self.waiting) + len(self.running)

    @property
    def kv_usage(self) -> float:
        """Return the part of the KV cache in use, 0 to 1; it is never what holds a request up."""
        held = sum(one.arrival.context_tokens + one.emitted for one in self.running)
        return min(held / KV_TOKENS, 1.0)


@dataclass(frozen=True, slots=True)
class Work:
    """What one step did on one card."""

    first_token_seconds: tuple[float, ...] = ()
    """Arrival to first token, of each request that got it."""
    finished_seconds: tuple[float, ...] = ()
    """Arrival to last token, of each request that is done."""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    inter_token_seconds: float = 0.0
    iterations: int = 0
    iteration_tokens: int = 0
    """Tokens of those iterations, context included."""


def assign(lanes: Sequence[Lane], arrivals: Sequence[Arrival]) -> list[tuple[Arrival, ...]]:
    """Give each arrival to the card with the fewest requests, the first of equals."""
    depths = [lane.depth for lane in lanes]
    given: list[list[Arrival]] = [[] for _ in lanes]
    for arrival in arrivals:
        least = depths.index(min(depths))
        depths[least] += 1
        given[least].append(arrival)
    return [tuple(some) for some in given]


def step(
    lane: Lane,
    arrivals: Sequence[Arrival],
    *,
    start: float,
    seconds: float,
    throughput: float,
    max_sequences: int = MAX_SEQUENCES,
) -> tuple[Lane, Work]:
    """Advance one card from *start* by *seconds*; return what is on it then, and what it did.

    The batch is the one at the beginning: a slot that is freed is filled in the next step.
    """
    queue = (*lane.waiting, *arrivals)
    free = max_sequences - len(lane.running)
    admitted = [Running(arrival, float(arrival.context_tokens)) for arrival in queue[:free]]
    batch = (*lane.running, *admitted)
    if not batch:
        return lane, Work()

    end = start + seconds
    iteration = inter_token_seconds(len(batch), throughput)
    rate = PREFILL_TOKENS_PER_SECOND * throughput
    prefill_free_at = start
    first_tokens, finished, left = [], [], []
    prompt_tokens = generated = 0
    for one in batch:
        begin = max(start, one.arrival.seconds)
        now = one
        if one.emitted == 0:
            begin = max(begin, prefill_free_at)
            ready = begin + one.prefill_left / rate
            prefill_free_at = min(max(ready, begin), end)
            if ready > end:
                done = max(end - begin, 0.0) * rate
                left.append(Running(one.arrival, one.prefill_left - done))
                continue
            first_tokens.append(ready - one.arrival.seconds)
            prompt_tokens += one.arrival.context_tokens
            now, begin = Running(one.arrival, 0.0, emitted=1), ready
        reached = now.progress + (end - begin) / iteration
        wanted = one.arrival.generated_tokens - now.emitted
        if reached >= wanted:
            ended = begin + (wanted - now.progress) * iteration
            finished.append(ended - one.arrival.seconds)
            emitted = one.arrival.generated_tokens
        else:
            emitted = now.emitted + int(reached)
            left.append(Running(one.arrival, 0.0, emitted, reached - int(reached)))
        generated += emitted - one.emitted
    return _count(
        Lane(queue[free:], tuple(left)),
        Work(tuple(first_tokens), tuple(finished), prompt_tokens, generated, iteration),
        before=lane,
        seconds=seconds,
    )


def _count(lane: Lane, work: Work, *, before: Lane, seconds: float) -> tuple[Lane, Work]:
    """Split the step into whole iterations and the part that the next step completes."""
    iterations = before.iterations + seconds / work.inter_token_seconds
    tokens = before.iteration_tokens + work.prompt_tokens + work.generated_tokens
    whole = int(iterations) if lane.running else max(int(iterations), min(tokens, 1))
    if whole == 0:
        return replace(lane, iterations=iterations, iteration_tokens=tokens), work
    part = iterations - int(iterations) if lane.running else 0.0
    return (
        replace(lane, iterations=part),
        replace(work, iterations=whole, iteration_tokens=tokens),
    )
