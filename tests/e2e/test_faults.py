"""The fault matrix: the real command before a real Prometheus, and everything that can break.

All faults are gone through once, in lanes side by side; each test looks at one of them.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fakes.faulty_proxy import FAULTS, REFUSED, WHOLE
from fault_table import (
    ACTUATOR,
    ENDED,
    EXPORTER,
    HANGS,
    KNOB,
    PROMETHEUS,
    PUSHED,
    START,
    Case,
    Turn,
)
from knob_faults import DONE, hangs, pushed
from lanes import ALL, COOL, HOLD_SECONDS, HOT, PRIOR, Card, Exporter, Lane, Seen, scraping
from testbed.nvml import VirtualGpus
from testbed.web import serving
from wattgov_actuator.knobs import open_knob

pytest_plugins = ["testbed.fixtures"]
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]

CARDS = {**{f"lane{number}": ALL for number in range(len(START))}, "knobs": 2, "driver": 2}
ENDS = ("refused", "hangs", "HTML", "flood")
"""Each lane is started in one fault, and ended in another one."""


class Played:
    """What has happened, by fault; what went wrong is raised where it is looked at."""

    def __init__(self) -> None:
        self._done: dict[str, Future[object]] = {}

    def go(self, lane: Lane, name: str, act: Callable[[], object]) -> None:
        """Go through a fault, and mend what is left of it when that fails."""
        done = self._done[name] = Future()
        try:
            done.set_result(act())
        except Exception as error:  # noqa: BLE001 (it belongs to the test of that fault)
            done.set_exception(error)
            lane.mend()

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 (each kind of fault has its own)
        """Return what has come of it."""
        return self._done[name].result()


def begun(lane: Lane, start: Case) -> Seen:
    """Start in a fault, and go on without it."""
    lane.start(start.fault)
    lane.heat(HOT)
    lane.quiet(lane.free)
    lane.ticked()
    lane.heat(COOL)
    seen = Seen(lane.reason(lane.free), lane.writes(), (), 0.0, start.heat, lane.cooled(0))
    lane.mend()
    return seen


def asking(played: Played, lane: Lane, number: int) -> None:
    """Go through a share of the faults of Prometheus and of the exporter."""
    start, end = START[number], ENDS[number]
    played.go(lane, start.name, partial(begun, lane, start))
    for case in (*PROMETHEUS, *EXPORTER)[number :: len(START)]:
        played.go(lane, case.name, partial(lane.suffer, case))
    played.go(lane, end, partial(lane.end, end))


def turning(played: Played, lane: Lane) -> None:
    """Go through what can happen to a knob, and beside the actuator."""
    lane.start()
    for turn, act in DONE.items():

        def rest_and(act: Callable[[Lane], str] = act) -> str:
            lane.rested()
            return act(lane)

        played.go(lane, turn.name, rest_and)
    lane.end()


def driving(played: Played, lane: Lane, victoria_metrics: str) -> None:
    """Let a driver hang; then use its cards before VictoriaMetrics."""
    lane.start(WHOLE, "--lease", "5")
    lane.rested()
    played.go(lane, HANGS.name, partial(hangs, lane))
    lane.gpus.clear()
    data = lane.folder / "victoria"
    played.go(lane, PUSHED.name, partial(pushed, victoria_metrics, data, lane))


@pytest.fixture(scope="module")
def played(
    prometheus: str,
    victoria_metrics: str,
    fake_driver: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Played]:
    """Go through all of them."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        gpus = stack.enter_context(VirtualGpus(fake_driver, folder / "gpus", sum(CARDS.values())))
        targets = open_knob("gpu_power_limit").probe().targets
        cards = iter([Card(index, target.name) for index, target in enumerate(targets)])
        exporters = {name: Exporter(time.time) for name in CARDS}
        port = stack.enter_context(serving(0, {f"/{name}": exporters[name] for name in CARDS}))
        url = stack.enter_context(scraping(prometheus, folder, f"127.0.0.1:{port}", list(CARDS)))
        lanes = {}
        for name, count in CARDS.items():
            some = tuple(next(cards) for _ in range(count))
            lane = stack.enter_context(closing(Lane(name, folder / name, url, some, gpus)))
            lane.expose(exporters[name])
            lanes[name] = lane
        played = Played()
        with ThreadPoolExecutor(len(lanes)) as pool:
            done = [
                pool.submit(asking, played, lanes[f"lane{number}"], number)
                for number in range(len(START))
            ]
            done.append(pool.submit(turning, played, lanes["knobs"]))
            done.append(pool.submit(driving, played, lanes["driver"], victoria_metrics))
        for each in done:
            each.result()
        yield played


@pytest.mark.parametrize("case", [*START, *PROMETHEUS, *EXPORTER], ids=lambda case: case.name)
def test_what_is_not_known_is_not_acted_on(played: Played, case: Case) -> None:
    """Nothing is tightened, a claim is held and put back after `hold`, and then it goes on."""
    seen = played[case.name]

    assert isinstance(seen, Seen)
    assert (case.tightens, case.held, case.heat) == (seen.tightens, seen.held, seen.heat)
    assert case.device == seen.device
    assert (seen.writes > 0) == (case.tightens == "applied")
    assert not case.held or seen.held_seconds >= HOLD_SECONDS


@pytest.mark.parametrize(
    "turn", [each for each in (*KNOB, *ACTUATOR) if each is not ENDED], ids=lambda turn: turn.name
)
def test_what_a_knob_or_a_neighbour_does_is_told(played: Played, turn: Turn) -> None:
    """Nothing of ours is left where it should not be, and what is somebody else's stays."""
    assert turn.reason == played[turn.name]


@pytest.mark.parametrize("end", ENDS)
def test_the_end_puts_back_without_prometheus(played: Played, end: str) -> None:
    """It needs no answer for that, and does not wait long for one."""
    status, limits = played[end]

    assert (ENDED.reason, [PRIOR] * ALL) == (f"exit {status}", limits)


def test_the_table_leaves_no_fault_of_the_proxy_out() -> None:
    """A new one has to be specified before it can be used."""
    assert {*FAULTS, REFUSED} == {case.fault for case in PROMETHEUS} | {WHOLE}
