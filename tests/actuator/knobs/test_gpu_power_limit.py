"""The GPU power limit, through the real binding, on virtual cards."""

from pathlib import Path

import pynvml
import pytest

from testbed.nvml import Fault as CardFault
from testbed.nvml import VirtualGpus
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.knobs.gpu_power_limit import GpuPowerLimit
from wattgov_actuator.reading import Fault, InForce, KnobError

pytest_plugins = ["testbed.fixtures"]


@pytest.fixture
def power(gpus: VirtualGpus) -> GpuPowerLimit:
    """Return the knob of a node with four cards of 200 to 700 W."""
    assert 4 == gpus.count()
    return GpuPowerLimit()


def uuids(power: GpuPowerLimit) -> list[str]:
    """Return the names of the cards that can be turned."""
    return [target.name for target in power.probe().targets]


def test_each_card_is_a_target_with_its_own_range(power: GpuPowerLimit) -> None:
    """Named by uuid, known to series by uuid or by index, in watts."""
    probe = power.probe()
    second = probe.targets[1]

    assert (4, "") == (len(probe.targets), probe.note)
    assert (200, 700, "watts") == (second.low, second.high, second.unit)
    assert {"uuid": second.name, "gpu": "1"} == second.labels
    assert second.name.startswith("GPU-")


def test_a_limit_is_set_and_reads_back(power: GpuPowerLimit, gpus: VirtualGpus) -> None:
    """On the card that is meant, and on no other."""
    card = uuids(power)[2]
    power.write(card, 412.5)

    assert InForce(412.5, 412.5) == power.read(card)
    assert [700, 700, 412.5, 700] == [gpus.card(each).limit_watts for each in range(4)]


def test_a_lower_limit_from_elsewhere_is_seen(power: GpuPowerLimit, gpus: VirtualGpus) -> None:
    """What the board enforces may be below what is set."""
    gpus.set_outside_limit(0, 350)

    assert InForce(700, 350) == power.read(uuids(power)[0])


def test_a_refusal_is_told_with_what_it_takes(power: GpuPowerLimit, gpus: VirtualGpus) -> None:
    """No permission is the commonest of all."""
    card = uuids(power)[0]
    gpus.set_fault(0, CardFault.READ_ONLY)
    with pytest.raises(KnobError, match="it takes root, and CAP_SYS_ADMIN") as caught:
        power.write(card, 400)

    assert Fault.REFUSED == caught.value.fault


def test_a_value_out_of_range_is_refused_not_rounded(power: GpuPowerLimit) -> None:
    """The driver does not clamp."""
    with pytest.raises(KnobError, match="outside the board's range") as caught:
        power.write(uuids(power)[0], 50)

    assert Fault.REFUSED == caught.value.fault


def test_a_setter_that_lies_shows_in_what_reads_back(
    power: GpuPowerLimit, gpus: VirtualGpus
) -> None:
    """The write succeeds, so only the read can tell."""
    card = uuids(power)[0]
    gpus.set_fault(0, CardFault.LYING_SETTER)
    power.write(card, 400)

    assert 700 == power.read(card).value


def test_a_lost_card_is_no_target_and_its_neighbours_are(
    power: GpuPowerLimit, gpus: VirtualGpus
) -> None:
    """It has fallen off the bus: told, and the others go on."""
    card = uuids(power)[1]
    gpus.set_fault(1, CardFault.LOST)
    probe = power.probe()

    assert 3 == len(probe.targets)
    assert probe.note.startswith("GPU 1: the driver does not answer")
    with pytest.raises(KnobError) as caught:
        power.read(card)
    assert Fault.LOST == caught.value.fault


@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetPowerManagementLimit",
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlDeviceSetPowerManagementLimit",
    ],
)
def test_a_board_without_a_limit_is_unsupported(
    power: GpuPowerLimit, gpus: VirtualGpus, function: str
) -> None:
    """As on many mobile boards; whichever call says so."""
    card = uuids(power)[0]
    use = power.read if "Get" in function else lambda name: power.write(name, 400)
    gpus.inject(function, gpu=0, code=pynvml.NVML_ERROR_NOT_SUPPORTED)
    with pytest.raises(KnobError) as caught:
        use(card)

    assert Fault.UNSUPPORTED == caught.value.fault


def test_a_board_without_a_range_is_no_target(power: GpuPowerLimit, gpus: VirtualGpus) -> None:
    """What cannot be clamped is not written; the note says which card and why."""
    range_of = "nvmlDeviceGetPowerManagementLimitConstraints"
    gpus.inject(range_of, gpu=0, code=pynvml.NVML_ERROR_NOT_SUPPORTED)
    probe = power.probe()

    assert 3 == len(probe.targets)
    assert "GPU 0: no power limit on this board: Not Supported" == probe.note


def test_a_reloaded_driver_is_opened_anew(power: GpuPowerLimit, gpus: VirtualGpus) -> None:
    """The cards are gone while it is away, and back when it is."""
    before = uuids(power)
    gpus.inject("nvmlDeviceGetCount_v2", code=pynvml.NVML_ERROR_DRIVER_NOT_LOADED, count=1)

    assert "there is no NVIDIA driver here: Driver Not Loaded" == power.probe().note
    assert before == uuids(power)


def test_closing_twice_does_no_harm(power: GpuPowerLimit) -> None:
    """An opened driver is let go once."""
    power.probe()
    power.close()
    power.close()

    assert 4 == len(power.probe().targets)


def test_the_table_opens_it(gpus: VirtualGpus) -> None:
    """By the name that rule files use."""
    knob = open_knob("gpu_power_limit")

    assert gpus.count() == len(knob.probe().targets)


def test_the_second_version_of_the_call_is_not_used() -> None:
    """Its binding throws the return code away."""
    source = Path(str(GpuPowerLimit.write.__code__.co_filename)).read_text()

    assert "nvmlDeviceSetPowerManagementLimit(" in source
    assert "nvmlDeviceSetPowerManagementLimit_v2" not in source


def test_the_card_tells_its_own_temperature(power: GpuPowerLimit, gpus: VirtualGpus) -> None:
    """Without Prometheus."""
    card = uuids(power)[1]
    gpus.set_temperature(1, 91)

    assert 91.0 == power.celsius(card)
