"""Ways in which the virtual driver can be made to fail, as the real pynvml tells them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pynvml
import pytest

from testbed.nvml import Fault, VirtualGpus

pytest_plugins = ["testbed.fixtures"]

LONG_MS = 30_000


@pytest.fixture
def cards(gpus: VirtualGpus) -> Iterator[list[object]]:
    """Return pynvml's handles."""
    gpus.reset(clock_ns=10**9)
    pynvml.nvmlInit()
    yield [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(4)]
    pynvml.nvmlShutdown()


def test_an_injected_error_comes_as_often_as_asked(gpus: VirtualGpus, cards: list[object]) -> None:
    """An error for two calls of one function on one card touches nothing else."""
    gpus.inject("nvmlDeviceGetPowerUsage", gpu=2, code=pynvml.NVML_ERROR_TIMEOUT, count=2)
    for _ in range(2):
        with pytest.raises(pynvml.NVMLError_Timeout):
            pynvml.nvmlDeviceGetPowerUsage(cards[2])

        assert pynvml.nvmlDeviceGetPowerUsage(cards[1]) > 0
        assert pynvml.nvmlDeviceGetTotalEnergyConsumption(cards[2]) >= 0
    assert pynvml.nvmlDeviceGetPowerUsage(cards[2]) > 0


def test_an_error_without_a_count_stays_until_it_is_cleared(
    gpus: VirtualGpus, cards: list[object]
) -> None:
    """`*` on every card fails each call, those about the system too, until `clear`."""
    gpus.inject("*", code=pynvml.NVML_ERROR_UNKNOWN)
    for _ in range(3):
        with pytest.raises(pynvml.NVMLError_Unknown):
            pynvml.nvmlDeviceGetUUID(cards[0])
        with pytest.raises(pynvml.NVMLError_Unknown):
            pynvml.nvmlDeviceGetCount()
    gpus.clear()

    assert 4 == pynvml.nvmlDeviceGetCount()


def test_opening_the_driver_can_fail(gpus: VirtualGpus, cards: list[object]) -> None:
    """Even nvmlInit takes an error, as while a driver is being upgraded."""
    assert cards
    gpus.inject("nvmlInitWithFlags", code=pynvml.NVML_ERROR_DRIVER_NOT_LOADED, count=1)
    with pytest.raises(pynvml.NVMLError_DriverNotLoaded):
        pynvml.nvmlInit()


def test_one_field_can_fail_alone(gpus: VirtualGpus, cards: list[object]) -> None:
    """A field's error is in its own code; the call and the other field succeed."""
    gpus.inject("field:186", gpu=0, code=pynvml.NVML_ERROR_NO_DATA)
    codes = [
        value.nvmlReturn
        for value in pynvml.nvmlDeviceGetFieldValues(
            cards[0], [pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_POWER_AVERAGE]
        )
    ]

    assert [pynvml.NVML_ERROR_NO_DATA, pynvml.NVML_SUCCESS] == codes


def test_a_lost_card_answers_nothing_and_can_come_back(
    gpus: VirtualGpus, cards: list[object]
) -> None:
    """A lost card is still counted, refuses every call, and has used energy when it is back."""
    gpus.set_load(3, 500.0)
    before = pynvml.nvmlDeviceGetTotalEnergyConsumption(cards[3])
    gpus.set_fault(3, Fault.LOST)
    gpus.advance(10)
    for call in (
        pynvml.nvmlDeviceGetUUID,
        pynvml.nvmlDeviceGetPowerUsage,
        pynvml.nvmlDeviceGetTotalEnergyConsumption,
        pynvml.nvmlDeviceGetComputeRunningProcesses,
    ):
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            call(cards[3])
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetHandleByIndex(3)

    assert 4 == pynvml.nvmlDeviceGetCount()
    assert pynvml.nvmlDeviceGetPowerUsage(cards[2]) > 0

    gpus.set_fault(3, Fault.LOST, on=False)

    assert before + 5_000_000 == pynvml.nvmlDeviceGetTotalEnergyConsumption(cards[3])


def test_a_read_only_card_says_so(gpus: VirtualGpus, cards: list[object]) -> None:
    """Without permission nothing changes, in range or out of it, and the tries are counted."""
    gpus.set_fault(0, Fault.READ_ONLY)
    for milliwatts in (300_000, 1):
        with pytest.raises(pynvml.NVMLError_NoPermission):
            pynvml.nvmlDeviceSetPowerManagementLimit(cards[0], milliwatts)

    assert 700.0 == gpus.card(0).limit_watts
    assert 2 == gpus.card(0).set_calls


def test_a_lying_setter_reports_success(gpus: VirtualGpus, cards: list[object]) -> None:
    """A setter that lies returns success; only reading back shows that nothing changed."""
    gpus.set_fault(0, Fault.LYING_SETTER)
    pynvml.nvmlDeviceSetPowerManagementLimit(cards[0], 300_000)

    assert 700_000 == pynvml.nvmlDeviceGetPowerManagementLimit(cards[0])


def test_a_card_without_an_energy_counter(gpus: VirtualGpus, cards: list[object]) -> None:
    """The call and the field are not supported; power still is."""
    gpus.set_fault(0, Fault.NO_ENERGY_COUNTER)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetTotalEnergyConsumption(cards[0])
    (value,) = pynvml.nvmlDeviceGetFieldValues(
        cards[0], [pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION]
    )

    assert pynvml.NVML_ERROR_NOT_SUPPORTED == value.nvmlReturn
    assert 70_000 == pynvml.nvmlDeviceGetPowerUsage(cards[0])


def test_a_wedged_card_holds_up_nobody_else(gpus: VirtualGpus, cards: list[object]) -> None:
    """A call that hangs holds no lock, and `clear` lets it go with its error."""
    gpus.inject("*", gpu=1, code=pynvml.NVML_ERROR_TIMEOUT, count=1, delay_ms=LONG_MS)
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(pynvml.nvmlDeviceGetPowerUsage, cards[1])
        while not gpus.hanging():
            continue
        others = [pynvml.nvmlDeviceGetPowerUsage(cards[index]) for index in (0, 2, 3)]
        waiting = not hung.done()
        gpus.clear()

        with pytest.raises(pynvml.NVMLError_Timeout):
            hung.result()

    assert [70_000] * 3 == others
    assert waiting


def test_the_table_of_faults_is_finite(gpus: VirtualGpus) -> None:
    """Past the table's end the node says that it is full."""
    for _ in range(32):
        gpus.inject("nvmlDeviceGetName", code=1)
    with pytest.raises(ValueError, match="a table is full"):
        gpus.inject("nvmlDeviceGetName", code=1)


def test_a_card_that_is_not_there_cannot_be_changed(gpus: VirtualGpus) -> None:
    """The control refuses a card past the end, and a process that nobody put there."""
    with pytest.raises(ValueError, match="out of range"):
        gpus.set_load(4, 100.0)
    with pytest.raises(ValueError, match="out of range"):
        gpus.set_load(0, float("nan"))
    with pytest.raises(ValueError, match="no such process"):
        gpus.sample(0, 123, 10)
