"""A replay: each moment as it was, counters that go on over the seam, nothing of this machine."""

import threading
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant import recorded
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config, Sources
from wattgov_exporter.doctor import Finding, report
from wattgov_exporter.poll import Answer, read
from wattgov_exporter.reading import (
    Anomaly,
    Component,
    Energy,
    GpuState,
    Meter,
    Method,
    Readings,
    Reason,
)
from wattgov_exporter.recording import laps
from wattgov_exporter.recording.format import Fact, Facts, Moment, Recording, changes, parse
from wattgov_exporter.recording.replay import Recorded, Replay, opened
from wattgov_exporter.recording.words import Word, facts
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import configured
from wattgov_web.mistakes import Invalid

ZONE = "sys/class/powercap/intel-rapl:0"
CPUS = b"cpu  %d 0 0 %d 0 0 0 0 0 0\ncpu0 %d 0 0 %d 0 0 0 0 0 0\n"
PATIENT = Config(interval_seconds=60.0, apps=(App("chat", process="vllm"),))
STEPS = st.lists(st.integers(0, 400), min_size=1, max_size=6)


def take(*moments: Facts) -> Recording:
    """Return a recording of whole moments, a second apart."""
    taken = [Moment(0.0, moments[0])]
    taken += [
        Moment(float(at), changes(before, after))
        for at, (before, after) in enumerate(pairwise(moments), start=1)
    ]
    return Recording(tuple(taken))


def sources(replay: Replay, off: tuple[str, ...] = ()) -> dict[str, Recorded]:
    """Return the replay's sources by name."""
    found = configured(replay.machine(lambda: 7.0, lambda: 1.7e9), Sources(off=off))
    assert all(isinstance(one, Recorded) for one in found)
    return {one.name: one for one in found if isinstance(one, Recorded)}


def answer(replay: Replay, name: str) -> Answer:
    """Read one source at the moment that is shown."""
    return read(sources(replay)[name], lambda: 7.0)


def zone(joules: float, busy: int = 0) -> dict[str, Fact]:
    """Return the files of one package that wraps after 1000 J, and of one CPU."""
    return {
        f"{ZONE}/name": Fact(b"package-0\n"),
        f"{ZONE}/energy_uj": Fact(b"%d\n" % round(joules * 1e6)),
        f"{ZONE}/max_energy_range_uj": Fact(b"1000000000\n"),
        "proc/stat": Fact(CPUS % (busy, busy, busy, busy)),
        "proc/cpuinfo": Fact(b"vendor_id\t: GenuineIntel\n"),
        "proc/meminfo": Fact(b"MemTotal: 1000 kB\nMemAvailable: 500 kB\n"),
    }


@given(st.integers(0, 999), STEPS, st.integers(1, 4))
def test_a_counter_of_files_goes_on_over_the_seam(
    start: int, steps: list[int], rounds: int
) -> None:
    """Each lap counts the same joules again, and the counter wraps where the hardware's does."""
    shown = [zone(one % 1000) for one in accumulate(steps, initial=start)]
    seen = [
        int(laps.files(shown[index], shown[0], shown[-1], lap)[f"{ZONE}/energy_uj"].content)
        for lap in range(rounds)
        for index in range(len(steps))
    ]

    counted = [(after - before) % 10**9 for before, after in pairwise(seen)]

    assert all(0 <= one < 10**9 for one in seen)
    assert [one * 10**6 for one in (steps * rounds)[:-1]] == counted


@given(STEPS, st.integers(1, 4))
def test_cpu_time_goes_on_over_the_seam(steps: list[int], rounds: int) -> None:
    """So does the time of each CPU, and of a process that is there at both ends."""

    def moment(used: int) -> dict[str, Fact]:
        stat = f"5 (a) b) S 1 {'0 ' * 9}{used} 0 {used} 0 0 0 0 0 100 0\n"
        return {**zone(0, used), "proc/5/stat": Fact(stat.encode())}

    shown = [moment(used) for used in accumulate(steps, initial=7)]
    seen = [
        laps.files(shown[index], shown[0], shown[-1], lap)
        for lap in range(rounds)
        for index in range(len(steps))
    ]

    expected = list(accumulate((steps * rounds)[:-1], initial=7))
    assert [moment(used) for used in expected] == seen


@given(STEPS, st.integers(1, 4), st.sampled_from([None, 500.0]))
def test_what_a_source_counted_goes_on_over_the_seam(
    steps: list[int], rounds: int, turn: float | None
) -> None:
    """Joules, their times, and the seconds that a card was throttled."""
    meter = Meter("nvml", Component.GPU, "0", "GPU-1", Method.MEASURED, 700.0, turn)

    def said(at: int, joules: float) -> Readings:
        shown = joules % turn if turn else joules
        card = GpuState("0", "GPU-1", "card", throttle_seconds=(("thermal", joules),))
        return Readings((Energy(meter, shown, float(at)),), (card,))

    shown = [said(at, one) for at, one in enumerate(accumulate(steps, initial=3))]
    seen = [
        laps.readings(shown[index], shown[0], shown[-1], (lap, float(len(steps))))
        for lap in range(rounds)
        for index in range(len(steps))
    ]

    expected = accumulate((steps * rounds)[:-1], initial=3)
    assert [said(at, one) for at, one in enumerate(expected)] == seen


def laps_of(replay: Replay, rounds: int) -> list[Snapshot]:
    """Have a collector look at each moment, twice, for some laps."""
    now = [1000.0]
    where = replay.machine(lambda: now[0], lambda: 1.7e9 + now[0])
    collector = Collector(PATIENT, where, own_pid=0)
    snapshots = []
    for lap in range(rounds):
        for index in range(replay.moments - 1):
            replay.show(lap, index)
            snapshots += [collector.tick(), collector.tick()]
            now[0] += 1.0
    collector.close()
    return snapshots


def test_the_exporter_sees_one_long_run(tmp_path: Path) -> None:
    """Over three laps no joule is missing or invented, and nothing looks like a fault."""
    joules = [900.0, 950.0, 40.0, 90.0]  # wraps on its way
    replay = Replay(take(*(zone(one, 50 * at) for at, one in enumerate(joules))), tmp_path)

    snapshots = laps_of(replay, 3)

    assert {} == snapshots[-1].anomalies
    counted = [one.node_joules[Component.CPU] for one in snapshots]
    assert counted == sorted(counted)
    # 190 J a lap; the last moment that is seen is one before the third seam.
    assert counted[-1] == pytest.approx(3 * 190.0 - 50.0)


def test_nothing_of_this_machine(tmp_path: Path) -> None:
    """A source that is not in the recording is not asked, whatever the configuration says of it."""
    replay = Replay(take(zone(1), zone(2)), tmp_path)

    assert ["hwmon", "rapl", "cpu_model", "dram_model"] == list(sources(replay))
    assert "rapl" not in sources(replay, off=("rapl",))


def test_sources_keep_their_rank(tmp_path: Path) -> None:
    """Those that spoke stand where the exporter would have them; unknown ones come last."""
    word = Word(Reason.ABSENT, "no")
    said = facts("tomorrow", word) | facts("scrape_dcgm_2", word) | facts("redfish", word)
    replay = Replay(take(zone(1) | said), tmp_path)

    names = list(sources(replay))

    assert ["redfish", "hwmon", "rapl", "scrape_dcgm_2"] == names[:4]
    assert "tomorrow" == names[-1]
    assert "scrape_dcgm_2" not in sources(replay, off=("scrape",))


def test_a_refusal_is_replayed(tmp_path: Path) -> None:
    """A file that was root's only cannot be planted so; its source says what it said then."""
    said = "/sys/class/powercap/intel-rapl:0/energy_uj is readable by root only"
    refused = zone(1) | {f"{ZONE}/energy_uj": Fact(error="EACCES")}
    words = facts("rapl", Word(Reason.PERMISSION, said))
    replay = Replay(take(refused | words, zone(5)), tmp_path)

    first = answer(replay, "rapl")
    replay.show(0, 1)

    assert (Reason.PERMISSION, said) == (first.reason, first.detail)
    assert Reason.OK is answer(replay, "rapl").reason


def test_an_unreadable_file_is_unreadable(tmp_path: Path) -> None:
    """For root too; the others are read, and it comes back."""
    other = {path.replace("rapl:0", "rapl:1"): fact for path, fact in zone(3).items()}
    broken = {**zone(1), **other, f"{ZONE}/energy_uj": Fact(error="EIO")}
    replay = Replay(take(broken, zone(1) | other, broken), tmp_path)

    def zones() -> int:
        readings = answer(replay, "rapl").readings
        return len(readings.energies) if readings else 0

    seen = [zones()]
    for index in (1, 2):
        replay.show(0, index)
        seen.append(zones())

    assert [1, 2, 1] == seen


def test_what_goes_is_gone(tmp_path: Path) -> None:
    """A process that ended leaves no folder, a zone no file; both are back on the next lap."""
    process = {"proc/5/stat": Fact(b"5 (a) S\n"), "proc/5/cgroup": Fact(b"0::/\n")}
    replay = Replay(take(zone(1) | process, zone(2)), tmp_path)
    assert (tmp_path / "proc/5/stat").exists()

    replay.show(0, 1)
    gone = not (tmp_path / "proc/5").exists()
    replay.show(1, 0)

    assert gone
    assert (tmp_path / "proc/5/stat").exists()


def test_a_device_has_its_name(tmp_path: Path) -> None:
    """What a link led to is in the meter's labels, so the link is there."""
    text = (
        "sys/class/hwmon/hwmon3/device/power1_average = 5000000\n"
        "sys/class/hwmon/hwmon3/device -> 3-0058\n"
        "sys/class/hwmon/hwmon3/name = pfe1100\n"
    )
    replay = Replay(parse(text, "it"), tmp_path)

    readings = answer(replay, "hwmon").readings

    assert readings
    assert ["3-0058"] == [one.meter.package for one in readings.energies]


def test_places_are_the_machine_s(tmp_path: Path) -> None:
    """A sentence names /sys, not the folder where the recording lies meanwhile."""
    replay = Replay(take({"proc/stat": Fact(b"cpu 1\n")}), tmp_path)

    assert " under /sys/class/powercap:" in answer(replay, "rapl").detail


def test_left_out_values_are_told_once(tmp_path: Path) -> None:
    """A moment that is read again counts no anomaly again."""
    readings = Readings((), anomalies=(Anomaly.SPIKE,))
    replay = Replay(take(zone(1) | facts("nvml", Word(Reason.OK, readings=readings))), tmp_path)
    source = sources(replay)["nvml"]

    assert [1, 0] == [len(source.read().anomalies) for _ in range(2)]


def test_the_doctor_sees_the_whole_recording(tmp_path: Path) -> None:
    """Its watts are the mean from the first moment to the last."""
    replay = Replay(recorded("xeon-2-sockets"), tmp_path)
    asked = list(sources(replay).values())
    answers = replay.examined(asked, lambda: 7.0)

    lines = list(report([Finding(*one) for one in zip(asked, *answers, strict=True)]))

    assert "            0 package: 150.0 W, measured" in lines
    assert "cpu         is metered by rapl, measured" in lines


def test_moments_come_in_their_time(tmp_path: Path) -> None:
    """While it plays, each moment is shown when it is due, and the first again after the last."""
    times = iter([100.0, 100.0, 100.2, 101.1, 101.1, 102.0, 102.0])
    seen: list[float] = []
    played = threading.Event()
    replay = Replay(take(zone(1), zone(2), zone(3)), tmp_path)

    def clock() -> float:
        seen.append(replay.clock())
        if len(seen) == 7:
            played.set()
        return next(times, 102.0)

    with replay.playing(clock):
        assert played.wait(20)

    assert [0.0, 0.0, 0.0, 0.0] == seen[:4]
    assert 1.0 == seen[4]
    assert 2.0 == replay.clock()


def test_a_recording_without_a_load(tmp_path: Path) -> None:
    """What cannot be replayed is told before anything starts."""
    file = tmp_path / "m.txt"
    file.write_text("sys/class/hwmon/hwmon0/name = nvme\n")

    with pytest.raises(Invalid) as invalid, opened(file):
        pass

    assert [f"{file}: no proc/stat in the first moment: nothing tells the load"] == (
        invalid.value.mistakes
    )


def test_the_folder_goes_with_the_replay(tmp_path: Path) -> None:
    """Nothing stays behind."""
    file = tmp_path / "m.txt"
    file.write_text("proc/stat = cpu 1\n")

    with opened(file) as replay:
        folder = replay.machine(lambda: 0.0, lambda: 0.0).sysfs.parent
        there = folder.is_dir()

    assert (True, False) == (there, folder.exists())
