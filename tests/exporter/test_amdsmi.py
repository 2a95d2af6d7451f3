"""AMD SMI through a binding that has the real one's traps."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from plant import plant
from wattgov_exporter import cards
from wattgov_exporter.reading import Energy, Method, NoMeter, Reason
from wattgov_exporter.sources.amdsmi import Amdsmi, load
from wattgov_exporter.sources.hwmon import Hwmon

NOT_SUPPORTED, NO_PERM, NOT_FOUND, DRIVER_NOT_LOADED = 2, 10, 31, 34
NA = "N/A"


class LibraryError(Exception):
    """As AmdSmiLibraryException: it carries the library's code and words."""

    def __init__(self, err_code: int) -> None:
        super().__init__(err_code)
        self.err_code = err_code
        self.err_info = f"AMDSMI_STATUS_{err_code}"


@dataclass
class Card:
    """One die: what each call answers; a missing answer is NOT_SUPPORTED."""

    uuid: str
    watts: object = NA
    average: object = 250
    steps: int | None = None
    lost: int | None = None
    temperatures: Mapping[int, int] = field(default_factory=dict)
    processes: Sequence[Mapping[str, Any]] = ()
    pci: str | None = None


class Temperature(IntEnum):
    """Sensors, as AmdSmiTemperatureType."""

    EDGE = 0
    HOTSPOT = 1


class Metric(IntEnum):
    """Which value of a sensor, as AmdSmiTemperatureMetric."""

    CURRENT = 0


class Smi:
    """The binding's edge over planted cards; a handle is a card."""

    AmdSmiTemperatureType = Temperature
    AmdSmiTemperatureMetric = Metric

    def __init__(self, *cards: Card) -> None:
        self.cards: list[object] = list(cards)
        self.refuses: int | None = None
        self.opened = 0

    def amdsmi_init(self) -> None:
        """Open, or refuse."""
        if self.refuses is not None:
            raise LibraryError(self.refuses)
        self.opened += 1

    def amdsmi_shut_down(self) -> None:
        """Close."""
        self.opened -= 1

    def amdsmi_get_processor_handles(self) -> Sequence[object]:
        """Return the cards."""
        return list(self.cards)

    def amdsmi_get_gpu_device_uuid(self, handle: object) -> str:
        """Return a uuid."""
        return card(handle).uuid

    def amdsmi_get_gpu_device_bdf(self, handle: object) -> str:
        """Return a PCI address, which one card does not tell."""
        told = card(handle).pci
        if told is None:
            raise LibraryError(NOT_SUPPORTED)
        return told

    def amdsmi_get_gpu_asic_info(self, handle: object) -> Mapping[str, Any]:
        """Return a name."""
        return {"market_name": "Instinct", "oam_id": card(handle).uuid}

    def amdsmi_get_energy_count(self, handle: object) -> Mapping[str, Any]:
        """Return steps of 15.3 microjoules."""
        steps = card(handle).steps
        if steps is None:
            raise LibraryError(NOT_SUPPORTED)
        return {"energy_accumulator": steps, "counter_resolution": 15.3, "timestamp": 1}

    def amdsmi_get_power_info(self, handle: object) -> Mapping[str, Any]:
        """Return watts."""
        one = card(handle)
        return {"current_socket_power": one.watts, "average_socket_power": one.average}

    def amdsmi_get_power_cap_info(self, handle: object) -> Mapping[str, Any]:
        """Return microwatts."""
        return {
            "power_cap": 500_000_000,
            "default_power_cap": 560_000_000,
            "min_power_cap": 0,
            "max_power_cap": 560_000_000 if card(handle).uuid else NA,
            "dpm_cap": 0,
        }

    def amdsmi_get_temp_metric(self, handle: object, kind: object, metric: object) -> int:
        """Return degrees."""
        found = card(handle).temperatures
        if metric is not Metric.CURRENT or not isinstance(kind, Temperature) or kind not in found:
            raise LibraryError(NOT_SUPPORTED)
        return found[kind]

    def amdsmi_get_gpu_activity(self, handle: object) -> Mapping[str, Any]:
        """Return per cent, which one card does not tell."""
        return {"gfx_activity": 87 if card(handle).uuid != "b" else NA}

    def amdsmi_get_gpu_vram_usage(self, handle: object) -> Mapping[str, Any]:
        """Return mebibytes."""
        return {"vram_total": 65520, "vram_used": 1024 if card(handle).uuid else 0}

    def amdsmi_get_gpu_process_list(self, handle: object) -> Sequence[Mapping[str, Any]]:
        """Return the processes."""
        return card(handle).processes


def card(handle: object) -> Card:
    """Return the card behind a handle; LibraryError when it is lost."""
    assert isinstance(handle, Card)
    if handle.lost is not None:
        raise LibraryError(handle.lost)
    return handle


class Bench:
    """The source over planted cards, and a clock that is moved by hand."""

    def __init__(self, *cards: Card) -> None:
        self.now = 100.0
        self.smi = Smi(*cards)
        self.source = Amdsmi(lambda: self.now, lambda: self.smi)

    def energies(self, seconds: float = 0.0) -> dict[str, Energy]:
        """Return each card's energy after some seconds."""
        self.now += seconds
        return {one.meter.zone: one for one in self.source.read().energies}


def test_joules_are_the_accumulators() -> None:
    """Steps of the accumulator times their microjoules."""
    (energy,) = Bench(Card("a", steps=2_000_000)).energies().values()

    assert energy.joules == pytest.approx(30.6)
    assert Method.MEASURED is energy.meter.method
    assert 560.0 == energy.meter.max_watts


def test_without_an_accumulator_power_is_integrated() -> None:
    """Two seconds from 100 W to 300 W are 400 J by the trapezoid."""
    one = Card("a", average=100)
    bench = Bench(one)
    before = bench.energies()["a"]
    one.average = 300

    after = bench.energies(seconds=2)["a"]

    assert 400.0 == pytest.approx(after.joules - before.joules)
    assert Method.DERIVED is after.meter.method


def test_power_after_a_gap_starts_anew() -> None:
    """Of half a minute and more that nobody read nothing is known; an accumulator goes on."""
    bench = Bench(Card("a", average=100), Card("b", steps=2_000_000))
    bench.energies()

    assert {"a": True, "b": False} == {
        uuid: one.is_start for uuid, one in bench.energies(seconds=31).items()
    }


def test_an_accumulator_that_fails_is_not_replaced_by_the_integral() -> None:
    """The two stand at different joules: the meter is left out until the accumulator is back."""
    one = Card("a", steps=2_000_000)
    bench = Bench(one)
    bench.energies()
    one.steps = None

    assert {} == bench.energies(seconds=1)
    one.steps = 2_000_001
    assert Method.MEASURED is bench.energies(seconds=1)["a"].meter.method


@pytest.mark.parametrize(
    ("current", "average", "watts"),
    [
        (NA, 250, 250.0),
        (310, NA, 310.0),
        (310, 250, 310.0),
        (0, NA, None),
        (NA, 0xFFFFFFFF, None),
        (float("nan"), 250, 250.0),
        (float("inf"), NA, None),
    ],
)
def test_which_power(current: object, average: object, watts: float | None) -> None:
    """Some cards tell the current power, some the average; neither is no power, and 0 W is none."""
    (state,) = Bench(Card("a", watts=current, average=average)).source.read().gpus

    assert watts == state.power_watts


def test_gauges() -> None:
    """Temperature, load, memory and caps are in base units; "N/A" is an empty field."""
    first = Card("a", temperatures={Temperature.EDGE: 41, Temperature.HOTSPOT: 50})
    second = Card("b", temperatures={Temperature.HOTSPOT: 55})

    states = Bench(first, second, Card("c")).source.read().gpus

    assert ["0", "1", "2"] == [one.gpu for one in states]
    assert [41.0, 55.0, None] == [one.temperature_celsius for one in states]
    assert [87.0, None, 87.0] == [one.utilization_percent for one in states]
    assert {float(1 << 30)} == {one.memory_used_bytes for one in states}
    assert {"current": 500.0, "default": 560.0, "min": 0.0, "max": 560.0} == pytest.approx(
        dict(states[0].limits_watts)
    )


def test_the_second_die_of_a_card_is_no_meter() -> None:
    """An MI250 shows its draw at the first die, and 0 W with a dead counter at the second."""
    bench = Bench(Card("a", average=400, steps=10), Card("b", watts=0, average=0, steps=10))

    readings = bench.source.read()

    assert ["a"] == [one.meter.zone for one in readings.energies]
    assert [400.0, None] == [one.power_watts for one in readings.gpus]


def test_a_first_poll_of_nothing() -> None:
    """A card that shows 0 W at first has a meter from its first watt on, without a jump."""
    one = Card("a", average=0)
    bench = Bench(one)
    assert {} == bench.energies()
    one.average = 200

    assert 0.0 == bench.energies(seconds=1)["a"].joules
    assert 200.0 == bench.energies(seconds=1)["a"].joules


CHIPS = """
sys/class/hwmon/hwmon0/name = amdgpu
sys/class/hwmon/hwmon0/power1_average = 150000000
sys/class/hwmon/hwmon0/power1_cap = 300000000
sys/class/hwmon/hwmon0/device/uevent = PCI_SLOT_NAME=0000:03:00.0
sys/class/hwmon/hwmon1/name = amdgpu
sys/class/hwmon/hwmon1/power1_average = 90000000
sys/class/hwmon/hwmon1/power1_cap = 300000000
sys/class/hwmon/hwmon1/device/uevent = PCI_SLOT_NAME=0000:C3:00.0
"""


@pytest.mark.parametrize(
    ("pci", "counted"),
    [
        # The library shows one card of two: hwmon meters the other one, and not the first again.
        ("0000:c3:00.0", [("amdsmi", "a"), ("hwmon", "0000:03:00.0")]),
        # Which of the two it is cannot be told: hwmon's might be the same card.
        (None, [("amdsmi", "a")]),
        (NA, [("amdsmi", "a")]),
    ],
)
def test_beside_hwmon_a_card_counts_once(
    tmp_path: Path, pci: str | None, counted: list[tuple[str, str]]
) -> None:
    """Its PCI address tells which of hwmon's cards it is, in joules and in gauges."""
    hwmon = Hwmon(plant(CHIPS, tmp_path) / "sys", lambda: 1.0)
    said = {"amdsmi": Bench(Card("a", pci=pci)).source.read(), "hwmon": hwmon.read()}

    assert counted == [(one.source, one.zone) for one in cards.meters(said)]
    assert counted == [(name, gpu.uuid) for name, gpu in cards.states(said)]


def test_users_of_a_card() -> None:
    """A process holds memory and compute units; a count that is not told is none."""
    held = {"pid": 7, "memory_usage": {"vram_mem": 4096}, "cu_occupancy": 52}
    quiet = {"pid": 8, "memory_usage": {"vram_mem": 1024}, "cu_occupancy": NA}

    uses = Bench(Card("a", processes=(held, quiet))).source.read().gpu_uses

    assert [(7, 52.0, 4096.0), (8, 0.0, 1024.0)] == [
        (one.pid, one.activity, one.memory_bytes) for one in uses
    ]


def test_a_lost_card_takes_no_other_with_it() -> None:
    """It is left out while it is away, and found when it is back."""
    lost = Card("b", lost=NOT_FOUND)
    bench = Bench(Card("a"), lost)
    assert ["a"] == list(bench.energies())
    lost.lost = None

    assert ["a", "b"] == list(bench.energies(seconds=1))
    assert 1 == bench.smi.opened


def test_a_card_that_gets_lost_is_missed() -> None:
    """One that was metered is told of while it is away."""
    other = Card("b")
    bench = Bench(Card("a"), other)
    bench.energies()
    other.lost = NOT_FOUND
    refused = bench.source.read().refused
    other.lost = None

    assert ["b"] == [one.meter.zone for one in refused]
    assert () == bench.source.read().refused


def test_no_card_answers() -> None:
    """The library's own words are told."""
    with pytest.raises(NoMeter, match="AMDSMI_STATUS_10") as raised:
        Bench(Card("a", lost=NO_PERM)).source.read()

    assert raised.value.reason is Reason.PERMISSION


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (DRIVER_NOT_LOADED, Reason.ABSENT),
        (NO_PERM, Reason.PERMISSION),
        (NOT_SUPPORTED, Reason.UNSUPPORTED),
        (8, Reason.TIMEOUT),
        (43, Reason.INVALID),
    ],
)
def test_why_there_is_no_meter(code: int, reason: Reason) -> None:
    """What the library answers when it is opened is the source's reason."""
    bench = Bench(Card("a"))
    bench.smi.refuses = code

    with pytest.raises(NoMeter, match=f"AMDSMI_STATUS_{code}") as raised:
        bench.source.read()

    assert raised.value.reason is reason


def test_no_card() -> None:
    """A driver without cards is no meter."""
    with pytest.raises(NoMeter, match="shows no GPU") as raised:
        Bench().source.read()

    assert raised.value.reason is Reason.ABSENT


def test_a_fault_of_ours_is_not_taken_for_the_librarys() -> None:
    """An exception without a code is told as what it is."""
    bench = Bench(Card("a"))
    bench.smi.cards.append("no card")

    with pytest.raises(AssertionError):
        bench.source.read()


@pytest.fixture
def unimported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder from which modules are imported, and forget what was."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "amdsmi", raising=False)
    yield tmp_path
    sys.modules.pop("amdsmi", None)


def test_a_package_without_its_library(
    unimported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real package prints and raises KeyError then: said in a sentence, and nothing printed."""
    (unimported / "amdsmi.py").write_text(
        "print('Unable to find libamd_smi.so')\n{}['libamd_smi.so']\n"
    )

    with pytest.raises(NoMeter, match="install ROCm's amd-smi-lib") as raised:
        Amdsmi(lambda: 0.0).read()

    assert raised.value.reason is Reason.ABSENT
    assert "" == capsys.readouterr().out


def test_no_package(unimported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the optional package is not installed, the source says how to install it."""
    assert not list(unimported.iterdir())
    monkeypatch.setitem(sys.modules, "amdsmi", None)

    with pytest.raises(NoMeter, match=r"pip install 'wattgov\[amdsmi\]'") as raised:
        Amdsmi(lambda: 0.0).read()

    assert raised.value.reason is Reason.ABSENT


def test_the_module_is_the_binding(unimported: Path) -> None:
    """What is imported is what is called."""
    (unimported / "amdsmi.py").write_text("")

    assert Path(unimported, "amdsmi.py") == Path(str(getattr(load(), "__file__", "")))
