"""A card at rest is not kept awake by being watched; cards come and go while it runs."""

from pathlib import Path

import pytest

from exporter.cards import GIB, Node, active
from testbed.nvml import Fault, Kind, VirtualGpus
from wattgov_exporter.reading import NoMeter, Readings, Reason

pytest_plugins = ["testbed.fixtures"]


@pytest.fixture
def node(gpus: VirtualGpus, tmp_path: Path) -> Node:
    """Return two cards that work, at 1 s."""
    node = Node(gpus, tmp_path, 2)
    for card in (0, 1):
        gpus.set_load(card, 300.0)
    return node


def rest(node: Node, card: int = 0) -> Readings:
    """Let a card do nothing for two minutes, with a read each second."""
    node.source.read()
    node.gpus.set_load(card, 0.0, busy=0.0)
    return node.seconds(120)


def visited(node: Node, card: int = 0, seconds: int = 10) -> list[bool]:
    """Tell for each of some seconds whether the card was asked anything."""
    asked = []
    for _ in range(seconds):
        before = node.gpus.card(card).visits
        node.second()
        asked.append(node.gpus.card(card).visits > before)
    return asked


def test_a_card_at_rest_is_read_seldom(node: Node) -> None:
    """After a minute of nothing it is asked every ten seconds; one that works, every second."""
    rest(node)

    assert [1, 1] == [sum(visited(node)), sum(visited(node))]
    assert 10 == sum(visited(node, card=1))
    assert [10.0, 1.0] == pytest.approx([gpu.read_interval_seconds for gpu in node.second().gpus])


def test_nothing_flaps_meanwhile(node: Node) -> None:
    """Every tick shows the same cards, meters and holders of memory."""
    node.gpus.hold(0, 100, GIB)
    node.gpus.place(0, 100, Kind.GRAPHICS)  # a display server does not keep a card busy
    first = rest(node)

    for _ in range(12):
        readings = node.second()
        assert [one.meter for one in first.energies] == [one.meter for one in readings.energies]
        assert first.gpus[0].limits_watts == readings.gpus[0].limits_watts
        assert {100: 0.0} == active(readings)


def test_the_counter_loses_nothing(node: Node) -> None:
    """Ten seconds at rest are one step of ten seconds, and steps in between add nothing."""
    first = rest(node).energies[0]
    while (last := node.second().energies[0]).at == first.at:
        assert first.joules == last.joules
    start = last
    while (last := node.second().energies[0]).at == start.at:
        pass

    assert last.at - start.at == pytest.approx(10.0)
    assert last.joules - start.joules == pytest.approx(700.0, abs=0.002)


def test_work_brings_the_pace_back(node: Node) -> None:
    """The first look that sees a process, or any use, is followed by one at each tick."""
    rest(node)
    node.gpus.hold(0, 100, GIB)
    visited(node)

    assert 10 == sum(visited(node))

    node.gpus.release(0, 100)
    rest(node)
    node.gpus.set_load(0, 300.0, busy=0.01)
    visited(node)

    assert 10 == sum(visited(node))


def test_warmth_without_use_is_no_rest(node: Node) -> None:
    """A card that draws far more than it can is at work, whatever its utilisation says."""
    node.gpus.set_load(0, 0.0, busy=0.0)
    node.source.read()
    node.gpus.set_load(0, 200.0, busy=0.0)
    node.seconds(120)

    assert 10 == sum(visited(node))


def test_a_card_without_a_counter_does_not_rest(node: Node) -> None:
    """Where power is integrated, what happens between two looks would be lost."""
    node.gpus.set_fault(0, Fault.NO_ENERGY_COUNTER)
    rest(node)

    assert 10 == sum(visited(node))


def test_a_suspended_card_is_not_touched(node: Node) -> None:
    """While the kernel keeps it powered down nothing is asked of it, and it draws nothing known."""
    node.plant(0)
    node.plant(1)
    before = node.source.read()
    node.plant(0, "suspended")

    assert 0 == sum(visited(node, seconds=100))

    asleep = node.second()
    assert before.gpus[0].limits_watts == asleep.gpus[0].limits_watts
    assert (None, 0.0) == (asleep.gpus[0].power_watts, asleep.gpus[0].utilization_percent)
    assert ["1"] == [one.meter.package for one in asleep.energies]

    node.plant(0, "active")
    awake = node.second()

    assert ["0", "1"] == [one.meter.package for one in awake.energies]
    assert awake.gpus[0].power_watts is not None
    assert 10 == sum(visited(node))


def test_cards_that_sleep_are_not_woken_to_be_found(node: Node) -> None:
    """At the start, where all cards sleep, NVML is not even opened: that would wake them."""
    for card in (0, 1):
        node.plant(card, "suspended")

    with pytest.raises(NoMeter, match="all NVIDIA GPUs sleep") as raised:
        node.source.read()

    assert raised.value.reason is Reason.ABSENT
    assert [0, 0] == [node.gpus.card(card).visits for card in (0, 1)]

    node.plant(1, "active")

    assert 2 == len(node.source.read().gpus)


def test_a_card_that_is_plugged_in(node: Node) -> None:
    """A third card is there at the next read, the others go on as they were."""
    before = node.second()
    node.gpus.plug()

    after = node.second()

    assert ["0", "1", "2"] == [gpu.gpu for gpu in after.gpus]
    assert after.energies[0].joules - before.energies[0].joules == pytest.approx(300.0, abs=0.002)


def test_a_change_of_the_bus_opens_nvml_anew(node: Node) -> None:
    """A driver counts its cards when it is opened; the kernel tells that there is a new one."""
    node.plant(0)
    node.plant(1)
    node.source.read()
    initial = node.gpus.card(0).visits
    node.plant(2)
    node.gpus.inject("nvmlInitWithFlags", code=999, count=1)

    with pytest.raises(NoMeter):
        node.second(10.0)

    assert initial == node.gpus.card(0).visits  # it was opened, which failed, before anything else
    assert 2 == len(node.second().gpus)


def test_a_lost_card_has_nvml_opened_anew(node: Node) -> None:
    """A card that stays away is looked for each time, and with a new start once a minute."""
    node.source.read()
    node.gpus.set_fault(1, Fault.LOST)
    node.gpus.inject("nvmlInitWithFlags", code=999, count=1)
    node.seconds(59)

    with pytest.raises(NoMeter):
        node.seconds(2)

    node.gpus.set_fault(1, Fault.LOST, on=False)
    assert 2 == len(node.second().gpus)


def test_close_lets_the_driver_go(node: Node) -> None:
    """After it the library has one user less, so a driver may unload; a read opens it again."""
    node.source.read()
    node.source.close()
    node.source.close()
    node.gpus.inject("nvmlInitWithFlags", code=999, count=1)

    with pytest.raises(NoMeter):
        node.source.read()
