"""How long a write takes: from the order until it reads back, over as many ticks as it needs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.fakes import Clock, FileKnob
from wattgov_actuator.acting.durations import Writes
from wattgov_actuator.decision import Reason
from wattgov_actuator.reading import Fault, InForce, KnobError

CARD = ("gpu_power_limit", "GPU-a")


class Slow(FileKnob):
    """A card that takes its time, by the test's clock; it may be busy for longer than we wait."""

    clock: Clock
    busy = False
    late: Callable[[], None] | None = None

    def read(self, target: str) -> InForce:
        """Return what is set, unless it is at work."""
        if self.busy:
            raise KnobError(Fault.BUSY, "it is at work")
        return super().read(target)

    def write(self, target: str, value: float) -> None:
        """Set after two seconds, or whenever it is let."""
        self.clock.advance(2)
        if self.late is not None:
            self.busy = True
            self.late = lambda: FileKnob.write(self, target, value)
            raise KnobError(Fault.BUSY, "it takes longer")
        super().write(target, value)


@pytest.fixture
def knob(tmp_path: Path) -> Slow:
    """Return a card."""
    made = Slow(tmp_path / "cards")
    made.add()
    return made


@pytest.fixture
def bench(knob: Slow, tmp_path: Path) -> Iterator[Bench]:
    """Return a writer with it."""
    made = Bench(tmp_path, "gpu_power_limit", lambda: knob)
    knob.clock = made.clock
    yield made
    made.close()


def seconds(bench: Bench) -> dict[str, float]:
    """Return what is known of the card, by direction."""
    found = bench.writer.durations.seconds
    assert {place[:2] for place in found} <= {CARD}
    return {place[2]: value for place, value in found.items()}


def test_each_direction_has_its_own(bench: Bench) -> None:
    """Tightened, and put back."""
    assert {} == seconds(bench)
    bench.act(200.0)
    assert {"tighten": 2.0} == seconds(bench)
    bench.act(300.0, Reason.RESTORED)

    assert {"tighten": 2.0, "loosen": 2.0} == seconds(bench)


def test_a_busy_write_counts_until_it_reads_back(bench: Bench, knob: Slow) -> None:
    """Ticks go by meanwhile; tries again do not begin it anew."""
    knob.late = lambda: None
    assert bench.act(200.0).reason is Reason.BUSY
    bench.clock.advance(60)
    bench.observe()
    assert {} == seconds(bench)
    knob.late()
    knob.busy = False
    bench.clock.advance(1)
    bench.observe()

    assert {"tighten": 63.0} == seconds(bench)


@pytest.mark.parametrize("fault", [Fault.REFUSED, None])
def test_what_was_not_done_took_no_time(bench: Bench, knob: Slow, fault: Fault | None) -> None:
    """Refused, or accepted and not done; who sets it later is somebody else."""
    knob.refuses, knob.lies = fault, fault is None
    assert bench.act(200.0).reason is Reason.REFUSED
    knob.add(watts=200.0)
    bench.observe()

    assert {} == seconds(bench)


def test_tries_are_counted_by_what_became_of_them(bench: Bench, knob: Slow) -> None:
    """Refused, done, and done again; the times add up."""
    knob.refuses = Fault.REFUSED
    bench.act(200.0)
    knob.refuses = None
    bench.act(200.0)
    bench.act(300.0, Reason.RESTORED)
    bench.act(200.0)
    counted = bench.writer.durations.writes

    assert Writes(done=2, seconds=4.0, failed=1) == counted[*CARD, "tighten"]
    assert Writes(done=1, seconds=2.0) == counted[*CARD, "loosen"]


def test_an_order_that_nobody_waited_for_and_that_failed_is_not_silent(
    bench: Bench, knob: Slow
) -> None:
    """It is journalled when it is tried again, once, with what the device had against it."""
    bench.act(200.0)
    knob.late = lambda: None
    assert bench.act(300.0, Reason.RESTORED).reason is Reason.BUSY
    knob.busy, knob.late = False, None
    bench.clock.advance(60)
    assert bench.act(300.0, Reason.RESTORED).reason is Reason.RESTORED
    told = [(row["reason"], row["detail"]) for row in bench.journal.decisions()]

    assert ("busy", "it is at work") == told[-3]
    assert (
        "refused",
        "the last order for 300 watts came to nothing: it still reads 200 watts",
    ) == told[-2]
    assert "restored" == told[-1][0]
    assert 1 == bench.writer.durations.writes[*CARD, "loosen"].failed


def test_a_device_that_has_no_time_has_taken_no_order(bench: Bench, knob: Slow) -> None:
    """It is asked again and again, and none of that is a failure."""
    knob.refuses = Fault.BUSY
    for _ in range(3):
        assert bench.act(200.0).reason is Reason.BUSY
    knob.refuses = None
    bench.act(200.0)

    assert ["busy"] * 3 + ["applied"] == [row["reason"] for row in bench.journal.decisions()]
    assert {(*CARD, "tighten"): (1, 0)} == {
        way: (each.done, each.failed) for way, each in bench.writer.durations.writes.items()
    }
