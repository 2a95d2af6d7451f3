"""The clock lock, through the real binding, on virtual cards."""

from pathlib import Path

import pynvml
import pytest

from actuator.bench import Bench
from testbed.nvml import Fault as CardFault
from testbed.nvml import VirtualGpus
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.knobs.gpu_clock_lock import NAME, GpuClockLock
from wattgov_actuator.reading import Fault, Hidden, KnobError

pytest_plugins = ["testbed.fixtures"]


@pytest.fixture
def clocks(gpus: VirtualGpus) -> GpuClockLock:
    """Return the knob of a node with four cards of 345 to 1980 MHz."""
    assert 4 == gpus.count()
    return GpuClockLock()


@pytest.fixture
def bench(tmp_path: Path, gpus: VirtualGpus) -> Bench:
    """Return a writer with this knob."""
    gpus.set_load(0, 600)
    return Bench(tmp_path, NAME, GpuClockLock)


def test_each_card_is_a_target_with_its_own_range(clocks: GpuClockLock) -> None:
    """Named by uuid, from the lowest clock to the highest, in hertz."""
    first, *others = clocks.probe().targets

    assert 3 == len(others)
    assert (345e6, 1980e6, "hertz") == (first.low, first.high, first.unit)
    assert {"uuid": first.name, "gpu": "0"} == first.labels


def test_a_lock_holds_the_clock_down(clocks: GpuClockLock, gpus: VirtualGpus) -> None:
    """On the card that is meant; the driver takes the step below."""
    gpus.set_load(1, 600)
    card = clocks.probe().targets[1].name

    assert Hidden(1980e6) == clocks.read(card)

    clocks.write(card, 1501e6)

    assert Hidden(1500e6) == clocks.read(card)
    assert [None, 1500, None, None] == [gpus.lock_megahertz(each) for each in range(4)]


def test_putting_back_takes_the_lock_off(clocks: GpuClockLock, gpus: VirtualGpus) -> None:
    """A lock at the highest clock would be one still."""
    card = clocks.probe().targets[0].name
    clocks.write(card, 1500e6)
    clocks.restore(card, 1980e6, "")

    assert gpus.lock_megahertz(0) is None


def test_what_is_in_force_comes_from_the_journal(bench: Bench, gpus: VirtualGpus) -> None:
    """Also in another process, which could read nothing of it from the driver."""
    done = bench.act(1500e6)

    assert (Reason.APPLIED, 1980e6) == (done.reason, done.prior)

    bench.restart()
    reading = bench.observe()

    assert (1500e6, 1980e6, None) == (reading.current, reading.prior, reading.trouble)
    (back,) = bench.writer.restore()
    assert (Reason.RESTORED, None) == (back.reason, gpus.lock_megahertz(0))
    bench.close()


def test_a_refused_lock_leaves_no_undo(bench: Bench, gpus: VirtualGpus) -> None:
    """It takes root; nothing is believed to be locked."""
    gpus.set_fault(0, CardFault.READ_ONLY)
    done = bench.act(1500e6)

    assert Reason.REFUSED == done.reason
    assert "it takes root, and CAP_SYS_ADMIN" in done.detail
    assert (1980e6, None) == (bench.observe().current, bench.observe().prior)
    bench.close()


def test_a_lock_that_may_have_taken_is_kept_to_be_undone(bench: Bench, gpus: VirtualGpus) -> None:
    """The driver answers nothing of use, so the undo stays open until it can be put back."""
    setter = "nvmlDeviceSetGpuLockedClocks"
    gpus.inject(setter, gpu=0, code=pynvml.NVML_ERROR_UNKNOWN, count=1)
    done = bench.act(1500e6)

    assert (Reason.LOST, 1980e6) == (done.reason, bench.observe().prior)
    (back,) = bench.writer.restore()
    assert (Reason.RESTORED, ()) == (back.reason, bench.journal.undos())
    bench.close()


def test_a_card_above_its_lock_is_told(bench: Bench, gpus: VirtualGpus) -> None:
    """The driver was loaded anew, or somebody took the lock off; the undo stays."""
    bench.act(1500e6)
    gpus.reload_driver()
    trouble = bench.observe().trouble

    assert trouble is not None
    assert "the device runs at 1980 MHz, above the 1500 MHz that we set" in trouble.detail
    bench.close()


@pytest.mark.parametrize(
    "function", ["nvmlDeviceGetSupportedMemoryClocks", "nvmlDeviceGetSupportedGraphicsClocks"]
)
def test_a_board_without_clocks_is_no_target(
    clocks: GpuClockLock, gpus: VirtualGpus, function: str
) -> None:
    """As before Volta; its neighbours still are."""
    gpus.inject(function, gpu=0, code=pynvml.NVML_ERROR_NOT_SUPPORTED)
    probe = clocks.probe()

    assert (3, "GPU 0: no clock lock on this board: Not Supported") == (
        len(probe.targets),
        probe.note,
    )


def test_a_lost_card_cannot_be_read(clocks: GpuClockLock, gpus: VirtualGpus) -> None:
    """It has fallen off the bus."""
    card = clocks.probe().targets[0].name
    gpus.set_fault(0, CardFault.LOST)
    with pytest.raises(KnobError) as caught:
        clocks.read(card)

    assert Fault.LOST == caught.value.fault
    clocks.close()


def test_the_table_opens_it(gpus: VirtualGpus) -> None:
    """By the name that rule files use."""
    assert gpus.count() == len(open_knob(NAME).probe().targets)
