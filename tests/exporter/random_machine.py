"""A machine of planted files and virtual cards that can be built, worked and broken at will.

Its joules are known exactly: whole microjoules, over whole milliseconds. `random_sources` reads it.
"""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from plant import load, process
from wattgov_exporter.reading import Component

AMD_RANGE_MICROJOULES = 65_532_610_987
INTEL_RANGE_MICROJOULES = 262_143_328_850
CPUS = 8
INIT, EXPORTER = 1, 2
FOLDER = "a folder"
"""Shown in place of an energy file: a read gives EISDIR, for root too."""


@dataclass
class Counter:
    """What draws power and counts it. *raw* is what its counter shows, *true* all that it drew.

    *jumps*: how often the counter went elsewhere by itself.
    """

    watts: int
    raw_microjoules: int
    range_microjoules: int | None = None
    true_microjoules: int = 0
    jumps: int = 0

    def draw(self, microjoules: int) -> None:
        """Count."""
        self.true_microjoules += microjoules
        self.raw_microjoules += microjoules
        if self.range_microjoules is not None:
            self.raw_microjoules %= self.range_microjoules

    def jump(self, microjoules: int) -> None:
        """Start anew somewhere: a reset, or a glitch that stays."""
        self.raw_microjoules = microjoules % (self.range_microjoules or 10**15)
        self.jumps += 1


@dataclass
class Zone(Counter):
    """A powercap zone; *shows* is what stands in its file instead of its counter, None if right.

    *there* is whether the kernel has it.
    """

    folder: str = ""
    label: str = ""
    key: tuple[str, str] = ("", "")
    component: Component | None = None
    shows: str | None = None
    there: bool = True

    @property
    def believable(self) -> float | None:
        """What it drew in joules, None while it shows what no counter of its range can."""
        reach = self.range_microjoules or 0
        can_be = self.shows is None or (self.shows.isdigit() and int(self.shows) <= reach)
        return self.true_microjoules / 1e6 if can_be else None


@dataclass
class Card(Counter):
    """A GPU. *counts*: it has a counter, else a power gauge alone; *tells*: its meter answers."""

    uuid: str = ""
    counts: bool = True
    there: bool = True
    tells: bool = True
    percent: float = 50.0


@dataclass
class Process:
    """A process: clock ticks *own* and of children it has waited for; *pace* is ticks a second."""

    pid: int
    comm: str
    unit: str
    parent: int
    started: int
    pace: int = 0
    own: int = 0
    reaped: int = 0
    planted: tuple[str, str, int, int, int] | None = None

    def plant(self, proc: Path) -> None:
        """Write it, if anything is new."""
        now = (self.comm, self.unit, self.parent, self.own, self.reaped)
        if now == self.planted:
            return
        self.planted = now
        facts = {
            "started": str(self.started),
            "parent": str(self.parent),
            "reaped": str(self.reaped),
            "cgroup": f"/system.slice/{self.unit}.service",
            "resident": str(1000 * self.pid),
        }
        process(proc, self.pid, self.comm, self.own, **facts)


@dataclass
class RandomMachine:
    """All of it, at virtual millisecond *now*; *lock* keeps readers and time apart."""

    root: Path
    zones: list[Zone] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    psys: Zone | None = None
    board: Counter = field(default_factory=lambda: Counter(0, 0))
    board_watts: int = 50
    processes: dict[int, Process] = field(default_factory=dict)
    now_milliseconds: int = 1_000_000
    wall_offset: float = 1.7e9
    ticks: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    blind: bool = False

    def __post_init__(self) -> None:
        for pid, comm in ((INIT, "init"), (EXPORTER, "exporter")):
            self.processes[pid] = Process(pid, comm, comm, 0, pid)
        self.proc.mkdir(parents=True)
        (self.proc / "cpuinfo").write_text("processor\t: 0\n")
        (self.proc / "meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n")

    @property
    def proc(self) -> Path:
        """Its /proc."""
        return self.root / "proc"

    def monotonic(self) -> float:
        """Return seconds."""
        return self.now_milliseconds / 1e3

    def wall(self) -> float:
        """Return Unix seconds, which jump."""
        return self.wall_offset + self.now_milliseconds / 1e3

    def add_package(self, range_microjoules: int, raw: int, *, dram: bool) -> None:
        """Add a socket: package, its core inside it, and memory or not."""
        number = len({zone.key[0] for zone in self.zones})
        parts = [("package", Component.CPU), ("core", None)]
        parts += [("dram", Component.DRAM)] if dram else []
        for index, (name, component) in enumerate(parts):
            sub = f":{index - 1}" if index else ""
            self.zones.append(
                Zone(
                    watts=60 if component else 20,
                    raw_microjoules=raw % range_microjoules,
                    range_microjoules=range_microjoules,
                    folder=f"intel-rapl:{number}{sub}",
                    label=name if index else f"package-{number}",
                    key=(str(number), name),
                    component=component,
                )
            )

    def add_psys(self) -> None:
        """Add the zone that holds the whole board."""
        reach = INTEL_RANGE_MICROJOULES
        self.psys = Zone(0, reach - 10**8, reach, folder="intel-rapl:9", label="psys")
        self.psys.key, self.psys.component = ("", "psys"), Component.PLATFORM

    def add_card(self, watts: int, raw: int, *, counts: bool) -> None:
        """Plug a card in."""
        self.cards.append(Card(watts, raw, uuid=f"GPU-{len(self.cards)}", counts=counts))

    @property
    def all_zones(self) -> list[Zone]:
        """The zones, psys with them."""
        return [*self.zones, *([self.psys] if self.psys else [])]

    def pass_time(self, milliseconds: int) -> None:
        """Let everything draw and run on."""
        with self.lock:
            self.now_milliseconds += milliseconds
            parts = 0
            for meter in (*self.zones, *self.cards):
                used = meter.watts * milliseconds * 1000
                meter.draw(used)
                parts += used if getattr(meter, "component", Component.GPU) else 0
            whole = parts + self.board_watts * milliseconds * 1000
            for board in (self.board, self.psys):
                if board is not None:
                    board.draw(whole)
            for one in self.processes.values():
                used = one.pace * milliseconds // 1000
                one.own += used
                self.ticks += used
            self.write()

    def write(self) -> None:
        """Bring the files to this moment."""
        for zone in self.all_zones:
            self._write_zone(zone)
        for one in self.processes.values():
            one.plant(self.proc)
        seconds = self.now_milliseconds / 1e3
        busy = self.ticks / 100 + 0.01 * seconds
        load(self.proc, busy, max(CPUS * seconds - busy, 0.0))
        if self.blind:
            (self.proc / "stat").unlink()

    def _write_zone(self, zone: Zone) -> None:
        folder = self.root / "sys/class/powercap" / zone.folder
        if not zone.there:
            shutil.rmtree(folder, ignore_errors=True)
            return
        if not folder.is_dir():
            folder.mkdir(parents=True)
            (folder / "name").write_text(f"{zone.label}\n")
            (folder / "max_energy_range_uj").write_text(f"{zone.range_microjoules}\n")
        file = folder / "energy_uj"
        if file.is_dir():
            file.rmdir()
        if zone.shows == FOLDER:
            file.unlink(missing_ok=True)
            file.mkdir()
        else:
            file.write_text(zone.shows if zone.shows is not None else f"{zone.raw_microjoules}\n")

    def born(self, comm: str, unit: str, parent: int, pid: int | None = None) -> None:
        """Let a process be born, under a number that was another's if *pid* is given."""
        number = max(self.processes) + 1 if pid is None else pid
        one = Process(number, comm, unit, parent, 100 + self.now_milliseconds // 10)
        self.processes[number] = one

    def killed(self, pid: int) -> None:
        """Let a process end: its parent waits for it, its children go to init."""
        one = self.processes.pop(pid)
        if one.planted:  # who has the file open reads no old life from it
            (self.proc / str(pid) / "stat").write_text(f"{pid} ({one.comm}) X")
            shutil.rmtree(self.proc / str(pid))
        waiter = self.processes.get(one.parent, self.processes[INIT])
        waiter.reaped += one.own + one.reaped
        for child in self.children(pid):
            child.parent = INIT

    def children(self, pid: int) -> Iterator[Process]:
        """Yield who was born of a process."""
        return (one for one in self.processes.values() if one.parent == pid)

    def short_lives(self, parent: int, count: int, ticks: int) -> None:
        """Let many be born, work and end before anybody looks."""
        self.processes[parent].reaped += count * ticks
        self.ticks += count * ticks
