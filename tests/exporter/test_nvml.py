"""NVML through the real pynvml on virtual cards: joules, gauges, users, and trouble."""

from pathlib import Path

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.cards import Node
from testbed.nvml import Fault, VirtualGpus
from wattgov_exporter.reading import Anomaly, Method, NoMeter, Reason

pytest_plugins = ["testbed.fixtures"]


@pytest.fixture
def node(gpus: VirtualGpus, tmp_path: Path) -> Node:
    """Return a node at 1 s."""
    return Node(gpus, tmp_path)


def test_joules_are_the_hardwares(node: Node) -> None:
    """A card with a counter is measured: 400 W for 3 s are 1200 J."""
    before = node.joules()
    node.gpus.set_load(0, 400.0)
    node.gpus.advance(3.0)

    after = node.joules()

    assert after.joules - before.joules == pytest.approx(1200.0, abs=0.002)
    assert after.meter.method is Method.MEASURED
    assert after.meter.max_watts == 700.0


def test_without_a_counter_power_is_integrated(node: Node) -> None:
    """A card from before Volta is derived: the trapezoid over its power."""
    node.gpus.set_fault(0, Fault.NO_ENERGY_COUNTER)
    node.gpus.set_load(0, 300.0)
    first = node.joules()
    for watts in (300.0, 400.0, 400.0):
        node.gpus.set_load(0, watts)
        node.gpus.advance(1.0)
        last = node.joules()

    assert first.meter.method is Method.DERIVED
    assert last.joules - first.joules == pytest.approx(300 + 350 + 400, rel=0.01)


def test_the_means_of_seconds_miss_nothing(node: Node) -> None:
    """Of a card without a counter, a burst between two readings a second apart is in the joules."""
    node.gpus.set_fault(0, Fault.NO_ENERGY_COUNTER)
    node.seconds(3)
    before = node.joules()
    node.gpus.advance(0.3)
    node.gpus.set_load(0, 570.0)
    node.gpus.advance(0.4)
    node.gpus.set_load(0, 0.0)
    node.gpus.advance(0.3)
    node.source.read()

    after = node.second()

    assert after.energies[0].joules - before.joules == pytest.approx(2 * 70 + 0.4 * 500, rel=1e-3)


def test_readings_close_together_take_the_instant(node: Node) -> None:
    """Ten readings a second see the power itself; its mean would come half a second late."""
    node.gpus.set_fault(0, Fault.NO_ENERGY_COUNTER)
    node.source.read()
    node.second(0.1)
    before = node.joules()
    node.gpus.set_load(0, 570.0)
    for _ in range(5):
        readings = node.second(0.1)

    assert readings.energies[0].joules - before.joules == pytest.approx(0.5 * 570 - 25, rel=1e-3)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.tuples(st.floats(71, 700), st.floats(0.1, 60)), min_size=1, max_size=20))
def test_any_load_is_counted_whole(
    gpus: VirtualGpus, tmp_path: Path, steps: list[tuple[float, float]]
) -> None:
    """However the load changes between two reads, the joules are the integral."""
    node = Node(gpus, tmp_path)  # made new for each example
    before = node.joules().joules
    truth = 0.0
    for watts, seconds in steps:
        node.gpus.set_load(0, watts)
        node.gpus.advance(seconds)
        truth += watts * seconds

    assert node.joules().joules - before == pytest.approx(truth, rel=1e-4, abs=0.01)


def test_gauges(node: Node) -> None:
    """Power, limits, temperature, clocks and time throttled are in base units."""
    node.gpus.set_load(1, 650.0, busy=0.5)
    node.gpus.set_temperature(1, 66)
    node.gpus.advance(2.0)

    state = node.source.read().gpus[1]

    assert state.power_watts == pytest.approx(650.0)
    assert state.temperature_celsius == 66.0
    assert state.utilization_percent == 50.0
    assert {"current": 700.0, "enforced": 700.0, "default": 700.0, "min": 200.0, "max": 700.0} == (
        dict(state.limits_watts)
    )
    assert dict(state.clocks_hertz)["sm"] > 1e8
    assert {"power_cap", "thermal", "sync", "power_brake"} == set(dict(state.throttle_seconds))


def test_a_biting_cap_is_seen(node: Node) -> None:
    """Time under a cap that bites counts as throttled; the enforced limit shows an outside one."""
    node.gpus.set_load(0, 650.0)
    node.gpus.set_outside_limit(0, 300.0)
    node.gpus.advance(5.0)

    state = node.source.read().gpus[0]

    assert dict(state.limits_watts)["enforced"] == 300.0
    assert dict(state.throttle_seconds)["power_cap"] == pytest.approx(5.0)


def test_users_of_a_card(node: Node) -> None:
    """A process is known by its memory, and its samples count once."""
    node.gpus.hold(0, 4242, 8 << 30)
    node.source.read()
    node.gpus.advance(1.0)
    node.gpus.sample(0, 4242, 40)
    node.gpus.advance(0.5)

    (use,) = node.source.read().gpu_uses
    (again,) = node.source.read().gpu_uses

    assert (4242, float(8 << 30)) == (use.pid, use.memory_bytes)
    assert use.activity == pytest.approx(0.4)  # SM-seconds: 40 % of the second before
    assert again.activity == 0.0


def test_a_lost_card_takes_no_other_with_it(node: Node) -> None:
    """A card that fell off the bus is missed while it is away, and comes back by itself."""
    before = node.source.read()
    assert () == before.refused
    node.gpus.set_fault(2, Fault.LOST)
    for _ in range(3):
        readings = node.source.read()
        assert {"0", "1", "3"} == {gpu.gpu for gpu in readings.gpus}
        assert [before.energies[2].meter] == [one.meter for one in readings.refused]
        assert readings.refused[0].detail.startswith("GPU 2, GPU-")
    node.gpus.set_fault(2, Fault.LOST, on=False)

    node.source.read()

    after = node.source.read()
    assert {"0", "1", "2", "3"} == {gpu.gpu for gpu in after.gpus}
    assert () == after.refused


def test_no_card_answers(node: Node) -> None:
    """When every card is lost the source says what NVML said."""
    for gpu in range(4):
        node.gpus.set_fault(gpu, Fault.LOST)

    with pytest.raises(NoMeter, match="NVML: GPU is lost") as raised:
        node.source.read()

    assert raised.value.reason is Reason.INVALID


def test_a_field_that_is_not_offered_is_left_empty(node: Node) -> None:
    """NotSupported for one field costs that field only."""
    for function in ("nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage"):
        node.gpus.inject(function, gpu=0, code=pynvml.NVML_ERROR_NOT_SUPPORTED)

    state = node.source.read().gpus[0]

    assert (None, None) == (state.temperature_celsius, state.power_watts)
    assert state.memory_used_bytes is not None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, Reason.ABSENT),
        (pynvml.NVML_ERROR_NO_PERMISSION, Reason.PERMISSION),
        (pynvml.NVML_ERROR_UNKNOWN, Reason.INVALID),
    ],
)
def test_why_there_is_no_meter(node: Node, code: int, reason: Reason) -> None:
    """What NVML answers when asked for its cards is the source's reason."""
    node.gpus.inject("nvmlDeviceGetCount_v2", code=code)

    with pytest.raises(NoMeter) as raised:
        node.source.read()

    assert raised.value.reason is reason


def test_three_figures_of_power(node: Node) -> None:
    """The driver's figure, the instant and the mean of a second are apart."""
    node.gpus.set_load(0, 300.0)
    node.gpus.advance(5.0)
    node.gpus.set_load(0, 500.0)
    node.gpus.advance(0.25)

    state = node.source.read().gpus[0]

    assert state.power_watts == pytest.approx(350.0)
    assert state.power_average_watts == pytest.approx(350.0)
    assert state.power_instant_watts == pytest.approx(500.0)


@pytest.mark.parametrize("milliwatts", [0, 2**32 - 1])
def test_a_sentinel_is_no_power(node: Node, milliwatts: int) -> None:
    """No card that runs draws 0 W, and all ones mean "not known": absent, and counted."""
    node.gpus.set_sensor(0, milliwatts)

    readings = node.source.read()

    state = readings.gpus[0]
    assert (None, None, None) == (
        state.power_watts,
        state.power_instant_watts,
        state.power_average_watts,
    )
    assert (Anomaly.SENTINEL,) == readings.anomalies


def test_a_sentinel_is_not_integrated(node: Node) -> None:
    """Where power is integrated, a reading that is none is bridged."""
    node.gpus.set_fault(0, Fault.NO_ENERGY_COUNTER)
    node.gpus.set_load(0, 300.0)
    node.gpus.advance(2.0)
    before = node.joules()
    for second in range(10):
        node.gpus.set_sensor(0, 0 if second == 5 else None)
        node.gpus.advance(1.0)
        readings = node.source.read()
        assert (4 if second != 5 else 3) == len(readings.energies)

    assert readings.energies[0].joules - before.joules == pytest.approx(3000.0)


def test_power_after_a_gap_starts_anew(node: Node) -> None:
    """Of a minute and more that nobody read nothing is known; a counter goes on."""
    node.gpus.set_fault(0, Fault.NO_ENERGY_COUNTER)
    node.source.read()
    node.gpus.advance(61.0)

    starts = {one.meter.package: one.is_start for one in node.source.read().energies}

    assert {"0": True, "1": False, "2": False, "3": False} == starts


def test_a_counter_that_is_silent_is_waited_for(node: Node) -> None:
    """A counter that fails once leaves a gap, which its next value fills; nothing is integrated."""
    node.gpus.set_load(0, 300.0)
    before = node.joules()
    node.gpus.set_fault(0, Fault.NO_ENERGY_COUNTER)
    node.gpus.advance(1.0)
    assert {"1", "2", "3"} == {one.meter.package for one in node.source.read().energies}
    node.gpus.set_fault(0, Fault.NO_ENERGY_COUNTER, on=False)
    node.gpus.advance(1.0)

    after = node.joules()

    assert after.meter.method is Method.MEASURED
    assert after.joules - before.joules == pytest.approx(600.0, abs=0.002)


def test_an_old_driver_refuses_a_list_of_fields(node: Node) -> None:
    """What it knows is asked for alone, and then together again; joules come from the old call."""
    node.gpus.set_fault(0, Fault.OLD_FIELDS)
    node.gpus.set_load(0, 300.0)
    before = node.source.read()
    visits = node.gpus.card(0).visits
    node.gpus.advance(2.0)

    after = node.source.read()

    assert {"power_cap", "thermal", "sync"} == set(dict(after.gpus[0].throttle_seconds))
    assert (None, None) == (after.gpus[0].power_instant_watts, after.gpus[0].power_average_watts)
    assert after.energies[0].joules - before.energies[0].joules == pytest.approx(600.0, abs=0.002)
    assert node.gpus.card(0).visits - visits < 25


def test_a_superchips_module_is_apart(node: Node) -> None:
    """Module and memory are sensors, no part of any sum: the module holds the CPU, too."""
    node.gpus.set_scopes(0, module_watts=800.0, memory_watts=60.0)
    before = node.source.read()
    node.gpus.advance(10.0)

    after = node.source.read()

    first, then = (
        {one.meter.zone: one for one in readings.energies if one.meter.component is None}
        for readings in (before, after)
    )
    assert {"module", "memory"} == set(then)
    assert {Method.DERIVED} == {one.meter.method for one in then.values()}
    assert then["module"].joules - first["module"].joules == pytest.approx(8000.0)
    assert 4 == len([one for one in after.energies if one.meter.component is not None])
    uuid = after.gpus[0].uuid
    assert {uuid} == {one.meter.package for one in then.values()}


def test_a_card_has_an_address(node: Node) -> None:
    """It is written as the kernel writes it, by which two sources see that they meter one card."""
    readings = node.source.read()

    assert "0000:11:00.0" == readings.gpus[1].pci == readings.energies[1].meter.pci
