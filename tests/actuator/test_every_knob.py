"""What holds for every knob of the table, on its fake machine."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.stands import STANDS, Stand
from testbed.nvml import VirtualGpus
from wattgov_actuator.decision import Reason
from wattgov_actuator.document.quantity import SYMBOLS

pytest_plugins = ["testbed.fixtures"]


@pytest.fixture(params=sorted(STANDS))
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    """Return each knob's machine, planted."""
    with STANDS[request.param].served() as found:
        found.plant(tmp_path)
        yield found


@pytest.fixture
def bench(stand: Stand, tmp_path: Path, gpus: VirtualGpus) -> Iterator[Bench]:
    """Return a writer with the knob."""
    gpus.set_load(0, 600)
    made = Bench(tmp_path, stand.name, lambda: stand.open(tmp_path))
    yield made
    made.close()


def test_a_target_says_who_it_is_and_how_far_it_goes(bench: Bench, stand: Stand) -> None:
    """A range, a unit and labels; what it is at lies inside."""
    for target in bench.hands.probe(stand.name).targets:
        reading = bench.observe(target.name)

        assert stand.name == target.knob
        assert 0 <= target.low < target.high
        assert target.labels
        assert reading.current is not None
        assert target.low <= reading.current <= target.high
        assert target.unit in {
            *SYMBOLS,
            "weight",
            "cpus",
            "requests",
            "workers",
            "level",
            "replicas",
        }


@pytest.mark.parametrize("seed", range(3))
def test_any_writes_end_where_they_began(
    bench: Bench, stand: Stand, tmp_path: Path, gpus: VirtualGpus, seed: int
) -> None:
    """To the letter, whatever was written in between, by whichever process."""
    before, chance = stand.truth(tmp_path, gpus), random.Random(seed)
    target = bench.observe().target
    for _ in range(8):
        done = bench.act(chance.uniform(target.low, target.high))
        assert done.reason in {Reason.APPLIED, Reason.UNCHANGED}
        if chance.random() < 0.3:
            bench.restart()
    bench.writer.restore()

    assert (before, ()) == (stand.truth(tmp_path, gpus), bench.journal.undos())


@pytest.mark.parametrize("far", [-1e12, 1e12])
def test_nothing_is_written_beyond_the_range(bench: Bench, far: float) -> None:
    """Whoever decides, the device's own range is the last word."""
    target = bench.observe().target
    done = bench.act(far)
    reading = bench.observe()

    assert done.reason is Reason.APPLIED
    assert reading.current is not None
    assert target.low - target.resolution < reading.current < target.high + target.resolution


def test_a_machine_without_the_device_has_no_target(stand: Stand, tmp_path: Path) -> None:
    """The note says so in a sentence; nothing fails."""
    if stand.asked is not None:
        pytest.skip("its driver is the test's own")
    probe = stand.open(tmp_path / "nothing").probe()

    assert ((), True) == (probe.targets, " " in probe.note)
