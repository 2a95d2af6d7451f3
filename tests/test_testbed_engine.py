"""The engine as a process: what Prometheus scrapes, what NVML shows, how it ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pynvml
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

import testbed
from testbed import arrivals
from testbed.__main__ import main
from testbed.arrivals import Arrival
from testbed.engine import Engine
from testbed.nvml import VirtualGpus
from testbed.simulation import Simulation

pytest_plugins = ["testbed.fixtures"]

SECONDS = 60

COMMAND = [sys.executable, "-m", "testbed", "engine"]

COLON = "metric names should not contain ':'"

TRIES = 20_000


def get(url: str) -> str:
    """GET *url*; return the body."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=SECONDS)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()

        assert 200 == answer.status

        return answer.read().decode()
    finally:
        connection.close()


def values(text: str, name: str, **labels: str) -> list[float]:
    """Return the values of the series *name* whose labels include *labels*."""
    return [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def until(done: Callable[[], bool]) -> None:
    """Ask again and again; the asking itself takes the time."""
    for _ in range(TRIES):
        if done():
            return
    raise AssertionError(f"still not so after {TRIES} tries")


@pytest.fixture
def node(fake_driver: Path) -> Iterator[VirtualGpus]:
    """Two cards, in the folder where the engine will look for the driver."""
    with VirtualGpus(fake_driver, fake_driver.with_name("engine-gpus"), gpus=2) as gpus:
        gpus.reset(2)
        pynvml.nvmlInit()
        yield gpus
        pynvml.nvmlShutdown()


@pytest.fixture
def engine(node: VirtualGpus) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the engine on the node; give the process and the address of its metrics."""
    state = node.environment()["FAKE_NVML_STATE"]
    with subprocess.Popen(
        [*COMMAND, "--state", state, "--port", "0", "--gpus", "2", "--model", "small"],
        env={**os.environ, "PYTHONPATH": str(Path(testbed.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def test_the_engine_serves_shows_and_ends(
    node: VirtualGpus, engine: tuple[subprocess.Popen[str], str]
) -> None:
    """It finishes requests, holds the cards, passes promtool, and on SIGTERM leaves nothing."""
    process, url = engine
    until(lambda: min(values(get(url), "vllm:request_success_total", finished_reason="stop")) > 0)
    text = get(url)
    cards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(2)]
    until(lambda: min(node.card(index).draw_watts for index in range(2)) > 400)
    held = [pynvml.nvmlDeviceGetComputeRunningProcesses(card) for card in cards]
    (sample,) = pynvml.nvmlDeviceGetProcessUtilization(cards[0], 0)

    assert "" == get(url.replace("/metrics", "/health"))
    assert [[(process.pid, 60 << 30)]] * 2 == [
        [(one.pid, one.usedGpuMemory) for one in some] for some in held
    ]
    assert process.pid == sample.pid
    assert 2 == len(values(text, "vllm:num_requests_running", model_name="small"))
    assert 0 < values(text, "vllm:generation_tokens_total", engine="1")[0]
    assert "_created" not in text

    process.send_signal(signal.SIGTERM)

    assert 0 == process.wait(timeout=SECONDS)
    assert [0.0, 0.0] == [node.card(index).demand_watts for index in range(2)]
    assert [[], []] == [pynvml.nvmlDeviceGetComputeRunningProcesses(card) for card in cards]


def test_the_exposition_is_as_clean_as_vllm_s_names_allow(
    engine: tuple[subprocess.Popen[str], str], promtool: str
) -> None:
    """Only vLLM's colons, and its histogram called `_total`, displease promtool."""
    text = get(engine[1])
    names = {family.name for family in text_string_to_metric_families(text)}
    counters = {"vllm:request_success", "vllm:prompt_tokens", "vllm:generation_tokens"}
    expected = {f"{name}_total {COLON}" for name in counters}
    expected |= {f"{name} {COLON}" for name in names - counters}
    expected |= {'vllm:iteration_tokens_total non-counter metrics should not have "_total" suffix'}
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert counters < names
    assert expected == set((checked.stdout + checked.stderr).splitlines())


def test_a_killed_engine_leaves_the_cards_idle(
    node: VirtualGpus, engine: tuple[subprocess.Popen[str], str]
) -> None:
    """A kill -9 cannot tidy up; the driver does, as a real one would."""
    process, _ = engine
    until(lambda: node.card(0).draw_watts > 400)
    process.kill()
    process.wait(timeout=SECONDS)

    assert 70.0 == node.card(0).draw_watts


def test_the_pace_is_what_the_cap_leaves(gpus: VirtualGpus) -> None:
    """In the engine's own loop, a cap that someone sets slows the tokens down and the draw too."""
    gpus.set_clock(10**9)
    trace = arrivals.looped(arrivals.read(arrivals.DEFAULT))
    simulation = Simulation(trace, 4)
    engine = Engine(gpus, simulation, "small", clock=lambda: 0.0)
    for card in range(4):
        gpus.hold(card, os.getpid(), 1)
    gaps = []
    for limit in (700.0, 300.0):
        before = _gaps(simulation)
        for card in range(4):
            gpus.set_outside_limit(card, limit)
        for _ in range(500):
            engine.tick(sample=True)
            gpus.advance(0.02)
        count, seconds = (now - then for now, then in zip(_gaps(simulation), before, strict=True))
        gaps.append(seconds / count)

    assert gaps[1] > 1.3 * gaps[0]
    assert gpus.card(0).draw_watts <= 300.0


def test_an_engine_that_is_stopped_leaves_the_cards(gpus: VirtualGpus) -> None:
    """After run, the cards are idle and empty, although the process lives on."""
    simulation = Simulation(iter([Arrival(0.0, 1, 10_000)] * 4), 4)
    engine = Engine(gpus, simulation, "small", clock=lambda: 0.0)
    for card in range(4):
        gpus.hold(card, os.getpid(), 1)
    engine.tick(sample=True)
    busy = [gpus.card(card).draw_watts for card in range(4)]
    stop = threading.Event()
    stop.set()
    engine.run(stop)

    assert min(busy) > 400
    assert [70.0] * 4 == [gpus.card(card).draw_watts for card in range(4)]
    with pytest.raises(ValueError, match="no such process"):
        gpus.release(0, os.getpid())


def _gaps(simulation: Simulation) -> tuple[float, float]:
    """Return (how many gaps between tokens, their sum in seconds)."""
    histograms = [total.inter_token_seconds for total in simulation.totals]
    return sum(one.count for one in histograms), sum(one.sum for one in histograms)


def test_a_bad_trace_is_a_sentence(tmp_path: Path) -> None:
    """A trace that cannot be read ends the command with its reason, not with a traceback."""
    trace = tmp_path / "bad.csv"
    trace.write_text("a,b\n1,2\n")
    result = CliRunner().invoke(
        main,
        ["engine", "--state", str(tmp_path / "gpus"), "--port", "0", "--trace", str(trace)],
    )

    assert 1 == result.exit_code
    assert result.output.startswith(f"Error: {trace}: not a trace of")


def test_too_many_cards_are_refused(node: VirtualGpus) -> None:
    """An engine that asks for more cards than the node has says so."""
    state = node.environment()["FAKE_NVML_STATE"]
    result = CliRunner().invoke(main, ["engine", "--state", state, "--port", "0", "--gpus", "3"])

    assert 1 == result.exit_code
    assert f"Error: {state}: the node has 2 cards, not 3\n" == result.output
