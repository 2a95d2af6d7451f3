"""The two apps: `chat`, a model served by vLLM, and `search`, an HTTP service."""

import math
from collections.abc import Sequence

from story.cards import Card
from story.tape import Tape
from testbed.exposition import (
    FINISHED_REASONS,
    FIRST_TOKEN_SECONDS,
    INTER_TOKEN_SECONDS,
    ITERATION_TOKENS,
    REQUEST_SECONDS,
)

HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PROMPT_TOKENS, GENERATED_TOKENS = 620.0, 210.0
SECONDS_A_TOKEN, SECONDS_A_TOKEN_MORE = 0.0062, 0.0000813
SPREAD = 0.35
"""Of the logarithm of a request's time."""


def batch(per_second: float, cards: Sequence[Card]) -> float:
    """Return how many requests run on each card, by Little's law."""
    each = per_second / len(cards)
    pace = min(card.pace for card in cards)
    step = SECONDS_A_TOKEN / pace
    return each * GENERATED_TOKENS * step / max(0.05, 1.0 - each * GENERATED_TOKENS * 0.00008)


def chat(tape: Tape, cards: Sequence[Card], per_second: float, seconds: float) -> float:
    """Store what the engine would; return the 95th percentile of its latency in seconds."""
    slowest = 0.0
    for card in cards:
        who = {"job": "apps", "instance": "gpu-1:8000", "app": "chat", "model_name": "llama-3.1-8b"}
        who["engine"] = str(card.number)
        done = per_second / len(cards) * seconds
        token = (SECONDS_A_TOKEN + SECONDS_A_TOKEN_MORE * card.batch * 1.6) / card.pace
        crowd = 1.0 + (card.batch / 60.0) ** 3
        median = GENERATED_TOKENS * token * crowd * 0.85
        for reason in FINISHED_REASONS:
            part = {"stop": 0.985, "abort": 0.015}.get(reason, 0.0)
            tape.count("vllm:request_success_total", done * part, finished_reason=reason, **who)
        tape.count("vllm:prompt_tokens_total", done * PROMPT_TOKENS, **who)
        tape.count("vllm:generation_tokens_total", done * GENERATED_TOKENS, **who)
        tape.gauge("vllm:num_requests_running", round(card.batch), **who)
        tape.gauge("vllm:num_requests_waiting", round(max(0.0, card.batch - 40.0)), **who)
        tape.gauge("vllm:kv_cache_usage_perc", min(1.0, card.batch / 90.0), **who)
        for state in ("awake", "weights_offloaded", "discard_all"):
            awake = float(state == "awake")
            tape.gauge("vllm:engine_sleep_state", awake, sleep_state=state, **who)
        _spread(tape, "vllm:e2e_request_latency_seconds", REQUEST_SECONDS, median, done, who)
        first = 0.025 + 0.004 * card.batch * crowd
        _spread(tape, "vllm:time_to_first_token_seconds", FIRST_TOKEN_SECONDS, first, done, who)
        gaps = done * (GENERATED_TOKENS - 1.0)
        _spread(tape, "vllm:inter_token_latency_seconds", INTER_TOKEN_SECONDS, token, gaps, who)
        steps = seconds / token
        tokens = max(1.0, done * GENERATED_TOKENS / steps)
        _spread(tape, "vllm:iteration_tokens_total", ITERATION_TOKENS, tokens, steps, who)
        slowest = max(slowest, median * math.exp(1.645 * SPREAD))
    tape.gauge("up", 1.0, job="apps", instance="gpu-1:8000", app="chat")
    return slowest


def search(tape: Tape, per_second: float, seconds: float) -> None:
    """Store what an instrumented HTTP service would."""
    who = {"job": "apps", "instance": "gpu-2:8001", "app": "search"}
    good = per_second * seconds
    for status, done in (("200", good), ("503", good * 0.002)):
        labels = {**who, "method": "GET", "handler": "/search", "status": status}
        tape.count("http_requests_total", done, **labels)
        name = "http_request_duration_seconds"
        _spread(tape, name, HTTP_SECONDS, 0.04 + 0.0006 * per_second, done, labels)
    tape.gauge("up", 1.0, **who)


def _spread(
    tape: Tape,
    name: str,
    bounds: Sequence[float],
    median: float,
    events: float,
    labels: dict[str, str],
) -> None:
    """Add events to a histogram, their logarithms normal around the median's."""
    for bound in bounds:
        below = 0.5 * (1.0 + math.erf(math.log(bound / median) / SPREAD / math.sqrt(2.0)))
        tape.count(f"{name}_bucket", events * below, le=str(bound), **labels)
    tape.count(f"{name}_bucket", events, le="+Inf", **labels)
    tape.count(f"{name}_count", events, **labels)
    tape.count(f"{name}_sum", events * median * math.exp(SPREAD**2 / 2.0), **labels)
