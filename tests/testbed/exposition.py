"""What the engine has done, under the names that vLLM's V1 engine publishes.

Names, labels and buckets are those of vllm/v1/metrics/loggers.py, so that rules written for vLLM
are tested on them. prometheus_client appends `_total` to counters; no `_created` series are made.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from testbed.histogram import Histogram
from testbed.serving import Lane, Work

# fmt: off
REQUEST_SECONDS = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0,
    120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0,
)
FIRST_TOKEN_SECONDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
    10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
)
INTER_TOKEN_SECONDS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
    10.0, 20.0, 40.0, 80.0,
)
ITERATION_TOKENS = (
    1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0,
)
# fmt: on

FINISHED_REASONS = ("stop", "length", "abort", "error", "repetition")
"""Every request of the trace ends by itself: stop."""


@dataclass(slots=True)
class Totals:
    """What one card's engine has done since it started."""

    finished: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    request_seconds: Histogram = field(default_factory=lambda: Histogram(REQUEST_SECONDS))
    first_token_seconds: Histogram = field(default_factory=lambda: Histogram(FIRST_TOKEN_SECONDS))
    inter_token_seconds: Histogram = field(default_factory=lambda: Histogram(INTER_TOKEN_SECONDS))
    iteration_tokens: Histogram = field(default_factory=lambda: Histogram(ITERATION_TOKENS))

    def add(self, work: Work) -> None:
        """Count one step."""
        self.finished += len(work.finished_seconds)
        self.prompt_tokens += work.prompt_tokens
        self.generated_tokens += work.generated_tokens
        for seconds in work.finished_seconds:
            self.request_seconds.add(seconds)
        for seconds in work.first_token_seconds:
            self.first_token_seconds.add(seconds)
        # vLLM observes the gap before each token but the first.
        gaps = work.generated_tokens - len(work.first_token_seconds)
        self.inter_token_seconds.add(work.inter_token_seconds, gaps)
        self._add_iterations(work.iterations, work.iteration_tokens)

    def _add_iterations(self, iterations: int, tokens: int) -> None:
        """Spread a step's tokens over its iterations, in whole tokens."""
        if iterations:
            each, larger = divmod(tokens, iterations)
            self.iteration_tokens.add(each + 1, larger)
            self.iteration_tokens.add(each, iterations - larger)


def families(model: str, lanes: Sequence[Lane], totals: Sequence[Totals]) -> Iterable[Metric]:
    """Give the state of all cards as metrics; a card is one `engine`, as one data-parallel rank."""
    success = CounterMetricFamily(
        "vllm:request_success",
        "Requests that are done, whatever the reason.",
        labels=["model_name", "engine", "finished_reason"],
    )
    for engine, total in enumerate(totals):
        for reason in FINISHED_REASONS:
            done = total.finished if reason == "stop" else 0
            success.add_metric([model, str(engine), reason], done)
    yield success
    counters = {
        "vllm:prompt_tokens": ("Context tokens prefilled.", "prompt_tokens"),
        "vllm:generation_tokens": ("Tokens generated.", "generated_tokens"),
    }
    for name, (text, attribute) in counters.items():
        counter = CounterMetricFamily(name, text, labels=["model_name", "engine"])
        for engine, total in enumerate(totals):
            counter.add_metric([model, str(engine)], getattr(total, attribute))
        yield counter
    gauges = {
        "vllm:num_requests_running": (
            "Requests in the batch.",
            [float(len(lane.running)) for lane in lanes],
        ),
        "vllm:num_requests_waiting": (
            "Requests waiting for a slot.",
            [float(len(lane.waiting)) for lane in lanes],
        ),
        "vllm:kv_cache_usage_perc": (
            "Part of the KV cache in use, 1 is all.",
            [lane.kv_usage for lane in lanes],
        ),
    }
    for name, (text, values) in gauges.items():
        gauge = GaugeMetricFamily(name, text, labels=["model_name", "engine"])
        for engine, value in enumerate(values):
            gauge.add_metric([model, str(engine)], value)
        yield gauge
    histograms = {
        "vllm:e2e_request_latency_seconds": ("Arrival to last token.", "request_seconds"),
        "vllm:time_to_first_token_seconds": ("Arrival to first token.", "first_token_seconds"),
        "vllm:inter_token_latency_seconds": ("Gap between tokens.", "inter_token_seconds"),
        "vllm:iteration_tokens_total": ("Tokens of an iteration.", "iteration_tokens"),
    }
    for name, (text, attribute) in histograms.items():
        histogram = HistogramMetricFamily(name, text, labels=["model_name", "engine"])
        for engine, total in enumerate(totals):
            counts: Histogram = getattr(total, attribute)
            histogram.add_metric([model, str(engine)], counts.buckets(), counts.sum)
        yield histogram
