"""hwmon by the kernel's files: what a chip measures, each joule in one meter, nothing absurd."""

import shutil
from pathlib import Path

import pytest

from plant import machine, plant
from wattgov_exporter.doubt import SOCKET_STILL_SECONDS
from wattgov_exporter.reading import Anomaly, Component, Method, NoMeter, Readings, Reason
from wattgov_exporter.sources.hwmon import SCAN_SECONDS, Hwmon

CARD = "0000:c1:00.0"
GRACE = "Grace Power Socket {0},CPU Power Socket {0},SysIO Power Socket {0},Module Power Socket {0}"


class Bench:
    """A planted machine and a clock that is moved by hand."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "sys/class/hwmon"
        self.now = 100.0
        self.source = Hwmon(root / "sys", lambda: self.now)

    def read(self, seconds: float = 0.0) -> Readings:
        """Read after some seconds."""
        self.now += seconds
        return self.source.read()

    def joules(self, zone: str, seconds: float = 0.0) -> float:
        """Return the joules of a zone after some seconds."""
        (found,) = [one.joules for one in self.read(seconds).energies if one.meter.zone == zone]
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return the recorded EPYC machine."""
    return Bench(machine("epyc-hwmon", tmp_path))


def meters(readings: Readings) -> dict[tuple[str, str], tuple[Component | None, Method]]:
    """Return what each meter is counted as."""
    return {
        (one.meter.package, one.meter.zone): (one.meter.component, one.meter.method)
        for one in readings.energies
    }


def test_what_the_chips_measure(bench: Bench) -> None:
    """Sockets, a card and the node count once each; the rest is published only."""
    derived, measured = Method.DERIVED, Method.MEASURED

    assert {
        ("0", "package"): (Component.CPU, measured),
        ("1", "package"): (Component.CPU, measured),
        ("0", CARD): (Component.GPU, derived),
        ("0000:e5:00.0", "amdgpu:PPT"): (None, derived),  # an APU's power includes the CPU's
        ("hwmon4", "meter"): (Component.PLATFORM, derived),
        ("hwmon5", "supply"): (None, derived),  # the node's meter is there
        ("hwmon5", "pfe1100:pout1"): (None, derived),
        ("hwmon6", "supply"): (None, derived),
        ("hwmon7", "ina3221:VDD_IN"): (None, derived),
    } == meters(bench.read())


def test_two_sensors_with_one_label(bench: Bench) -> None:
    """They are two meters, each with the number that the driver gives it."""
    for number in (1, 2):
        (bench.folder / f"hwmon7/power{number}_input").write_text("5000000\n")
        (bench.folder / f"hwmon7/power{number}_label").write_text("VDD\n")

    found = {zone for device, zone in meters(bench.read()) if device == "hwmon7"}

    assert {"ina3221:VDD:power1", "ina3221:VDD:power2"} == found


def test_a_counter_is_joules(bench: Bench) -> None:
    """Microjoules become joules; the driver's 64 bits do not wrap."""
    found = [one for one in bench.read().energies if one.meter.component is Component.CPU]

    assert [900.0, 800.0] == [one.joules for one in found]
    assert {None} == {one.meter.range_joules for one in found}


def test_a_counter_of_a_socket_that_is_stuck(bench: Bench) -> None:
    """It is no meter, and missed; a card's may rest."""
    bench.read()
    bench.read(seconds=SOCKET_STILL_SECONDS)
    (bench.folder / "hwmon1/energy129_input").write_text("901000000\n")

    readings = bench.read(seconds=1)

    sockets = [one for one in readings.energies if one.meter.component is Component.CPU]
    assert [901.0] == [one.joules for one in sockets]
    (refused,) = [one for one in readings.refused if one.meter.component is Component.CPU]
    assert "its counter is stuck" in refused.detail


def test_power_is_integrated(bench: Bench) -> None:
    """Two seconds from 250 W to 150 W are 400 J by the trapezoid."""
    before = bench.joules(CARD)
    (bench.folder / "hwmon2/power1_average").write_text("150000000\n")

    assert bench.joules(CARD, seconds=2) - before == pytest.approx(400.0)


def test_power_after_a_gap_starts_anew(bench: Bench) -> None:
    """Of half a minute and more that nobody read nothing is known; a counter goes on."""
    bench.read()

    starts = {one.meter.method for one in bench.read(seconds=31).energies if one.is_start}

    assert {Method.DERIVED} == starts
    assert not any(one.is_start for one in bench.read(seconds=1).energies)


def test_the_gauges_of_a_card(bench: Bench) -> None:
    """They are in base units, and what the card has no file for is left out."""
    (card,) = bench.read().gpus

    assert ("0", CARD, 250.0, 51.0, 97.0, float(32 << 30)) == (
        card.gpu,
        card.uuid,
        card.power_watts,
        card.temperature_celsius,
        card.utilization_percent,
        card.memory_used_bytes,
    )
    assert {"current": 300.0, "default": 300.0, "min": 0.0, "max": 300.0} == dict(card.limits_watts)
    assert {"sm": 1.7e9, "memory": 1.6e9} == dict(card.clocks_hertz)


def test_supplies_count_where_nothing_else_sees_the_node(bench: Bench) -> None:
    """Without ACPI's meter the inputs of both supplies are the node."""
    shutil.rmtree(bench.folder / "hwmon4")

    found = meters(bench.read())

    assert {("hwmon5", "supply"), ("hwmon6", "supply")} == {
        key for key, (component, _) in found.items() if component is Component.PLATFORM
    }


def test_two_meters_that_do_not_say_what_they_measure(bench: Bench) -> None:
    """Neither counts, for one may hold the other; the supplies do."""
    shutil.copytree(bench.folder / "hwmon4", bench.folder / "hwmon8")

    found = meters(bench.read())

    assert {("hwmon5", "supply"), ("hwmon6", "supply")} == {
        key for key, (component, _) in found.items() if component is Component.PLATFORM
    }
    assert (None, Method.DERIVED) == found["hwmon8", "meter"]


def test_grace_says_which_meter_is_which(tmp_path: Path) -> None:
    """The socket's holds its memory and its rails; the module's adds the GPU: neither is added."""
    words = [word for socket in (0, 1) for word in GRACE.format(socket).split(",")]
    for index, word in enumerate(words):
        folder = f"sys/class/hwmon/hwmon{index}"
        plant(
            f"{folder}/name = power_meter\n"
            f"{folder}/device/power1_average = 100000000\n"
            f"{folder}/device/power1_oem_info = {word}",
            tmp_path,
        )

    readings = Bench(tmp_path).read()

    counted = [one.meter for one in readings.energies if one.meter.component is not None]
    assert 8 == len(readings.energies)
    assert {("0", "package"), ("1", "package")} == {(one.package, one.zone) for one in counted}
    assert {frozenset({Component.DRAM})} == {one.covers for one in counted}


@pytest.mark.parametrize(
    ("driver", "counted"), [("i915", 1), ("i915_gt0", 0), ("xe", 1), ("coretemp", 0)]
)
def test_a_card_of_intel(tmp_path: Path, driver: str, counted: int) -> None:
    """The card's counter is its energy; a part's is published only."""
    plant(
        f"sys/class/hwmon/hwmon3/name = {driver}\n"
        "sys/class/hwmon/hwmon3/device/uevent = PCI_SLOT_NAME=0000:03:00.0\n"
        "sys/class/hwmon/hwmon3/energy1_input = 7000000\n"
        "sys/class/hwmon/hwmon3/energy2_input = 6000000",
        tmp_path,
    )

    readings = Bench(tmp_path).read()

    assert [7.0, 6.0] == [one.joules for one in readings.energies]
    assert counted == sum(one.meter.component is Component.GPU for one in readings.energies)
    assert counted == len(readings.gpus)


def test_a_device_is_known_by_its_own_name(tmp_path: Path) -> None:
    """The order of chips changes from boot to boot, the name of the device behind one does not."""
    (tmp_path / "devices/1-0058").mkdir(parents=True)
    plant(
        "sys/class/hwmon/hwmon9/name = pfe1100\n"
        "sys/class/hwmon/hwmon9/power1_input = 1000000\n"
        "sys/class/hwmon/hwmon9/power1_label = pin",
        tmp_path,
    )
    (tmp_path / "sys/class/hwmon/hwmon9/device").symlink_to(tmp_path / "devices/1-0058")

    assert {("1-0058", "supply")} == set(meters(Bench(tmp_path).read()))


@pytest.mark.parametrize(
    ("content", "anomalies"),
    [
        ("4294967295000", (Anomaly.SENTINEL,)),
        ("-1000", (Anomaly.NEGATIVE,)),
        ("30000000000", (Anomaly.SPIKE,)),
        ("", (Anomaly.NAN,)),
        ("n/a", (Anomaly.NAN,)),
    ],
)
def test_what_cannot_be_is_not_counted(
    bench: Bench, content: str, anomalies: tuple[Anomaly, ...]
) -> None:
    """A sentinel, a negative or a garbled value leaves that meter out, and the others in."""
    whole = len(bench.read().energies)
    (bench.folder / "hwmon4/device/power1_average").write_text(f"{content}\n")

    readings = bench.read(seconds=1)

    assert whole - 1 == len(readings.energies)
    assert anomalies == readings.anomalies
    assert Component.PLATFORM not in {one.meter.component for one in readings.energies}


def test_nothing_but_a_sentinel(tmp_path: Path) -> None:
    """When nothing else reads, the source says which file shows what."""
    plant(
        "sys/class/hwmon/hwmon0/name = power_meter\n"
        "sys/class/hwmon/hwmon0/power1_average = 4294967295000",
        tmp_path,
    )

    with pytest.raises(NoMeter, match=r"power1_average shows 4\.29497e\+06 W") as raised:
        Bench(tmp_path).read()

    assert raised.value.reason is Reason.INVALID


def test_a_dead_meter_hides_no_supply(tmp_path: Path) -> None:
    """An ACPI meter that never worked leaves the node to the supplies; alive again, it has it."""
    bench = dead_meter_and_two_supplies(tmp_path)

    dead = meters(bench.read())
    (bench.folder / "hwmon0/power1_average").write_text("250000000\n")
    alive = meters(bench.read(seconds=1))

    platform, none = (Component.PLATFORM, Method.DERIVED), (None, Method.DERIVED)
    assert {("0-0058", "supply"): platform, ("1-0058", "supply"): platform} == dead
    assert {
        ("ACPI000D:00", "meter"): platform,
        ("0-0058", "supply"): none,
        ("1-0058", "supply"): none,
    } == alive


def test_a_meter_that_dies_leaves_the_node_to_the_supplies(tmp_path: Path) -> None:
    """One bad moment changes nothing; a scan's time of them does."""
    bench = dead_meter_and_two_supplies(tmp_path)
    meter = bench.folder / "hwmon0/power1_average"
    shown: list[Component | None] = []
    for content, seconds in (("250000000", 0), ("?", 1), ("?", SCAN_SECONDS - 1), ("?", 1)):
        meter.write_text(f"{content}\n")
        supplies = [one for one in bench.read(seconds).energies if one.meter.zone == "supply"]
        shown += {one.meter.component for one in supplies}

    assert [None, None, None, Component.PLATFORM] == shown


def test_a_dead_sensor_has_chips_looked_for_no_more_often(tmp_path: Path) -> None:
    """Only one that begins to fail may mean that chips have new numbers."""
    bench = dead_meter_and_two_supplies(tmp_path)
    bench.read()
    bench.read(seconds=1)  # looked for anew, once
    shutil.copytree(bench.folder / "hwmon1", bench.folder / "hwmon3")

    soon, later = len(bench.read(seconds=1).energies), len(bench.read(SCAN_SECONDS).energies)

    assert (2, 3) == (soon, later)


def dead_meter_and_two_supplies(root: Path) -> Bench:
    """Plant an ACPI meter that shows all ones, and two good supplies; each on its device."""
    devices = ("ACPI000D:00", "0-0058", "1-0058")
    files = ("power1_average = 4294967295000", *["power1_input = 100000000"] * 2)
    for number, (device, file) in enumerate(zip(devices, files, strict=True)):
        chip = f"sys/class/hwmon/hwmon{number}"
        name = "pfe1100" if number else "power_meter"
        label = f"\n{chip}/power1_label = pin" if number else ""
        plant(f"{chip}/name = {name}\n{chip}/{file}{label}", root)
        on_device(root, number, device)
    return Bench(root)


def on_device(root: Path, number: int, device: str) -> None:
    """Let a chip be of a device."""
    place = root / "sys/devices" / device
    place.mkdir(parents=True)
    (root / f"sys/class/hwmon/hwmon{number}/device").symlink_to(place)


def test_two_devices_with_one_name(tmp_path: Path) -> None:
    """Behind two parents they are two meters, each told by as much of its place as it takes."""
    for number, joules in enumerate((5, 777, 9)):
        chip = f"sys/class/hwmon/hwmon{number}"
        plant(f"{chip}/name = ina\n{chip}/energy1_input = {joules}000000", tmp_path)
        on_device(tmp_path, number, ("a/i2c-1/1-0040", "b/i2c-1/1-0040", "b/i2c-1/1-0041")[number])

    energies = Bench(tmp_path).read().energies

    assert {"a/i2c-1/1-0040": 5.0, "b/i2c-1/1-0040": 777.0, "1-0041": 9.0} == {
        one.meter.package: one.joules for one in energies
    }


def test_a_refused_sensor_is_told_of(bench: Bench) -> None:
    """With its meter and its file."""
    (bench.folder / "hwmon4/device/power1_average").write_text("n/a\n")

    (refused,) = bench.read().refused

    assert ("hwmon4", "meter") == (refused.meter.package, refused.meter.zone)
    assert "power1_average" in refused.detail


def test_a_chip_that_vanishes_and_returns(bench: Bench) -> None:
    """It is left out while it is away, and what it did then is not made up."""
    before = bench.joules(CARD)
    shutil.move(bench.folder / "hwmon2", bench.folder / "away")
    assert CARD not in {one.meter.zone for one in bench.read(seconds=60).energies}
    shutil.move(bench.folder / "away", bench.folder / "hwmon2")

    assert bench.joules(CARD, seconds=60) == before


def test_a_chip_that_appears(bench: Bench) -> None:
    """It is found at the next look around."""
    bench.read()
    plant(
        "sys/class/hwmon/hwmon8/name = scmi_sensors\n"
        "sys/class/hwmon/hwmon8/energy1_input = 1000000",
        bench.folder.parents[2],
    )

    assert 1.0 == bench.joules("scmi_sensors:energy1", seconds=SCAN_SECONDS)


def test_a_sleeping_card_is_left_asleep(bench: Bench) -> None:
    """Its files are not read while it sleeps, also when it slept at the first look."""
    (bench.folder / "hwmon2/device/power/runtime_status").write_text("suspended\n")
    assert CARD not in {one.meter.zone for one in bench.read().energies}
    (bench.folder / "hwmon2/device/power/runtime_status").write_text("active\n")

    assert CARD in {one.meter.zone for one in bench.read(seconds=SCAN_SECONDS).energies}

    (bench.folder / "hwmon2/device/power/runtime_status").write_text("suspended\n")
    readings = bench.read(seconds=1)

    assert () == readings.gpus
    assert CARD not in {one.meter.zone for one in readings.energies}


def test_a_card_keeps_its_number_while_another_sleeps(tmp_path: Path) -> None:
    """Cards are counted as they are found, and that once."""
    bench, chip = Bench(tmp_path), "sys/class/hwmon/hwmon{}"
    for card in (0, 1):
        folder = chip.format(card)
        facts = ("name = amdgpu", "power1_average = 9000000", "power1_cap = 300000000")
        plant("\n".join(f"{folder}/{fact}" for fact in facts), tmp_path)
        plant(f"{folder}/device/power/runtime_status = active\n", tmp_path)
    first = {one.uuid: one.gpu for one in bench.read().gpus}
    status = tmp_path / chip.format(0) / "device/power/runtime_status"

    status.write_text("suspended\n")
    other = {one.uuid: one.gpu for one in bench.read(seconds=SCAN_SECONDS).gpus}
    status.write_text("active\n")

    assert {"hwmon0": "0", "hwmon1": "1"} == first
    assert {"hwmon1": "1"} == other
    assert first == {one.uuid: one.gpu for one in bench.read(seconds=SCAN_SECONDS).gpus}


def test_no_sensor(tmp_path: Path) -> None:
    """A machine whose chips know only temperatures says so."""
    plant("sys/class/hwmon/hwmon0/temp1_input = 41850", tmp_path)

    with pytest.raises(NoMeter, match="no chip under") as raised:
        Bench(tmp_path).read()

    assert raised.value.reason is Reason.ABSENT
