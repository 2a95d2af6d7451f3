"""NVML through the real pynvml on virtual cards: joules, gauges, users, and trouble."""

from collections.abc import Iterator

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.nvml import Fault, VirtualGpus
from wattgov_exporter.reading import Energy, Method, NoMeter, Reason
from wattgov_exporter.sources.nvml import Nvml

pytest_plugins = ["testbed.fixtures"]


class Node:
    """Virtual cards on a virtual clock, and the source that reads them."""

    def __init__(self, gpus: VirtualGpus) -> None:
        self.gpus = gpus
        gpus.reset()
        gpus.set_clock(10**9)
        self.source = Nvml(lambda: gpus.now_ns() / 1e9, lambda: gpus.now_ns() / 1e9)

    def joules(self, gpu: int = 0) -> Energy:
        """Read one card's energy now."""
        return self.source.read().energies[gpu]


@pytest.fixture
def node(gpus: VirtualGpus) -> Iterator[Node]:
    """Return a node at 1 s."""
    yield Node(gpus)
    gpus.clear()


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


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.tuples(st.floats(71, 700), st.floats(0.1, 60)), min_size=1, max_size=20))
def test_any_load_is_counted_whole(gpus: VirtualGpus, steps: list[tuple[float, float]]) -> None:
    """However the load changes between two reads, the joules are the integral."""
    node = Node(gpus)  # made new for each example
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

    assert (4242, 40.0, float(8 << 30)) == (use.pid, use.activity, use.memory_bytes)
    assert again.activity == 0.0


def test_a_lost_card_takes_no_other_with_it(node: Node) -> None:
    """A card that fell off the bus is left out while it is away, and comes back by itself."""
    node.gpus.set_fault(2, Fault.LOST)
    assert {"0", "1", "3"} == {gpu.gpu for gpu in node.source.read().gpus}
    node.gpus.set_fault(2, Fault.LOST, on=False)

    node.source.read()

    assert {"0", "1", "2", "3"} == {gpu.gpu for gpu in node.source.read().gpus}


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
