"""Build the fake libnvidia-ml.so.1, and hold the virtual GPUs behind it in the hand.

pynvml loads `libnvidia-ml.so.1` by that name only. In this process, making a `VirtualGpus` loads
the fake first, and glibc then matches its SONAME. A child needs `VirtualGpus.environment()`.
"""

import ctypes
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.curves import A40, CapCurve

SONAME = "libnvidia-ml.so.1"
SOURCES = Path(__file__).with_name("driver")
CFLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
LIBRARIES = ("-lpthread", "-lm")

REFUSALS = {
    1: "no node is attached",
    2: "an argument is out of range",
    6: "there is no such process or instance on that card",
    9: "the state file cannot be opened",
    18: "the state file was made by another version",
    23: "a table is full",
}


class Fault(IntEnum):
    """Ways in which a card misbehaves for every caller."""

    LOST = 0
    """It has fallen off the bus: every call answers GPU_IS_LOST."""
    READ_ONLY = 1
    """Setting its limit answers NO_PERMISSION."""
    NO_ENERGY_COUNTER = 2
    """It has no energy counter: NOT_SUPPORTED, as before Volta."""
    LYING_SETTER = 3
    """Setting its limit answers SUCCESS and changes nothing."""
    OLD_FIELDS = 4
    """One field or scope that its driver is too old for makes the whole list fail."""
    NO_GPM = 5
    """It is older than Hopper: nobody measures the activity of its MIG instances."""
    PRIVATE_LISTS = 6
    """In MIG mode only the privileged see the whole card's processes: NO_PERMISSION."""


class Kind(IntEnum):
    """What a process does on a card."""

    COMPUTE = 0
    GRAPHICS = 1
    MPS = 2


NO_INSTANCE = 2**32 - 1
"""The id of a process's instance on a card that is not in MIG mode."""

NOT_AVAILABLE = 2**64 - 1
"""The memory of a process that the driver does not tell."""


@dataclass(frozen=True, slots=True)
class Card:
    """One card at this moment."""

    draw_watts: float
    demand_watts: float
    """What its work would draw with no limit; 0 when idle."""
    limit_watts: float
    enforced_watts: float
    relative_throughput: float
    """1.0 when no limit bites."""
    celsius: float
    energy_millijoules: int
    set_calls: int
    """How often anyone tried to set its limit."""
    visits: int
    """How many NVML calls were about it."""


class _View(ctypes.Structure):
    """`struct view` of driver/control.c."""

    _fields_ = (
        ("draw_watts", ctypes.c_double),
        ("demand_watts", ctypes.c_double),
        ("limit_watts", ctypes.c_double),
        ("enforced_watts", ctypes.c_double),
        ("relative_throughput", ctypes.c_double),
        ("celsius", ctypes.c_double),
        ("energy_millijoules", ctypes.c_uint64),
        ("set_calls", ctypes.c_uint64),
        ("visits", ctypes.c_uint64),
    )


def build(folder: Path) -> Path:
    """Compile the fake driver into *folder* unless it is newer than its sources; return its path.

    RuntimeError when there is no C compiler, or with its words when it does not compile.
    """
    library = folder.resolve() / SONAME
    sources = sorted(SOURCES.glob("*.[ch]"))
    newest = max(source.stat().st_mtime_ns for source in sources)
    if library.exists() and library.stat().st_mtime_ns > newest:
        return library
    if shutil.which("cc") is None:
        raise RuntimeError("the fake driver needs a C compiler, cc (Debian: apt-get install gcc)")
    library.parent.mkdir(parents=True, exist_ok=True)
    # Two builders may meet here, and others may have the old file loaded: make aside, then rename.
    with tempfile.TemporaryDirectory(dir=library.parent) as aside:
        made = Path(aside, SONAME)
        units = [str(source) for source in sources if source.suffix == ".c"]
        command = ["cc", *CFLAGS, *WARNINGS, f"-Wl,-soname,{SONAME}", "-o", str(made)]
        result = subprocess.run(
            [*command, *units, *LIBRARIES],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise RuntimeError(f"the fake driver does not compile:\n{result.stderr}")
        made.replace(library)
    return library


def _load(library: Path) -> ctypes.CDLL:
    """Return the fake in this process; one that is loaded already, since pynvml holds on to it."""
    try:
        loaded = ctypes.CDLL(SONAME, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return ctypes.CDLL(str(library))
    if not hasattr(loaded, "fake_attach"):
        raise RuntimeError(f"a real {SONAME} is loaded in this process; start another one")
    return loaded


class VirtualGpus:
    """The virtual node of one state file, shared with every process that names the same file.

    A process sees one node at a time: the last one attached. Numbers of cards start at 0.
    """

    def __init__(self, library: Path, state: Path, gpus: int = 4) -> None:
        self._library = library.resolve()
        self._state = state.resolve()
        self._calls = _load(library)
        self._check(self._calls.fake_attach(os.fsencode(self._state), ctypes.c_uint(gpus)))
        self._set_curve(A40, replace=False)

    def __enter__(self) -> Self:
        """Return itself; the node is attached since it was made."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Detach."""
        self.close()

    def close(self) -> None:
        """Take the node away from this process; NVML then answers UNINITIALIZED."""
        self._calls.fake_detach()

    def environment(self) -> dict[str, str]:
        """Return the variables that give a child process this node as its NVIDIA driver."""
        return {
            "LD_LIBRARY_PATH": str(self._library.parent),
            "FAKE_NVML_STATE": str(self._state),
            "FAKE_NVML_GPUS": str(self.count()),
        }

    def count(self) -> int:
        """Return how many cards there are; the process that made the file decided."""
        cards = ctypes.c_uint()
        self._check(self._calls.fake_cards(ctypes.byref(cards)))
        return cards.value

    def card(self, gpu: int) -> Card:
        """Return what *gpu* is doing now."""
        view = _View()
        self._check(self._calls.fake_view(gpu, ctypes.byref(view)))
        return Card(*(getattr(view, name) for name, _ in _View._fields_))

    def lock_megahertz(self, gpu: int) -> int | None:
        """Return the highest graphics clock that *gpu* is locked to, None when it is free."""
        lock = ctypes.c_uint32()
        self._check(self._calls.fake_lock(gpu, ctypes.byref(lock)))
        return lock.value or None

    def reset(self, gpus: int = 4, *, clock_ns: int = 0) -> None:
        """Make the node new: no joule used, default limits, idle, no processes, no trouble.

        Its clock stands at *clock_ns*; 0 means the real clocks.
        """
        self._check(self._calls.fake_reset(gpus, ctypes.c_uint64(clock_ns)))
        self._set_curve(A40, replace=True)

    # ---- time ----

    def now_ns(self) -> int:
        """Return the node's clock: the virtual one once it is set, else CLOCK_MONOTONIC."""
        now = ctypes.c_uint64()
        self._check(self._calls.fake_clock_now(ctypes.byref(now)))
        return now.value

    def set_clock(self, ns: int) -> None:
        """Set the virtual clock, which only goes forward; it is the wall clock too."""
        self._check(self._calls.fake_clock_set(ctypes.c_uint64(ns)))

    def advance(self, seconds: float) -> None:
        """Move the virtual clock forward."""
        self.set_clock(self.now_ns() + round(seconds * 1e9))

    # ---- work ----

    def set_load(self, gpu: int, watts: float, busy: float = 1.0, memory_busy: float = 0.0) -> None:
        """Say what the work on *gpu* would draw without a limit, and the busy fractions."""
        doubles = [ctypes.c_double(value) for value in (watts, busy, memory_busy)]
        self._check(self._calls.fake_load(gpu, *doubles))

    def hold(self, gpu: int, pid: int, memory_bytes: int, *, follow: bool = False) -> None:
        """Put process *pid* on *gpu*; with *follow*, its death takes it and its load away."""
        self._check(self._calls.fake_hold(gpu, pid, ctypes.c_uint64(memory_bytes), int(follow)))

    def place(
        self,
        gpu: int,
        pid: int,
        kind: Kind = Kind.COMPUTE,
        instance: tuple[int, int] = (NO_INSTANCE, NO_INSTANCE),
    ) -> None:
        """Say what process *pid* does, and in which GPU and compute instance."""
        self._check(self._calls.fake_place(gpu, pid, int(kind), *map(ctypes.c_uint32, instance)))

    def release(self, gpu: int, pid: int) -> None:
        """Take process *pid* off *gpu*."""
        self._check(self._calls.fake_release(gpu, pid))

    def sample(self, gpu: int, pid: int, sm_percent: int, memory_percent: int = 0) -> None:
        """Record what *pid* has been doing on *gpu*, as of now."""
        self._check(self._calls.fake_sample(gpu, pid, sm_percent, memory_percent))

    # ---- parts ----

    def plug(self) -> int:
        """Add a card, as hot-plugging does; return its number."""
        self._check(self._calls.fake_plug())
        return self.count() - 1

    def set_mig(self, gpu: int, *, on: bool = True) -> None:
        """Put *gpu* into MIG mode, or out of it; its processes and instances go."""
        self._check(self._calls.fake_mig(gpu, int(on)))

    def create(
        self,
        gpu: int,
        instance: tuple[int, int],
        slices: int,
        memory_mib: int,
        compute_slices: int | None = None,
    ) -> None:
        """Make a MIG device: *instance* is the ids of its GPU and its compute instance."""
        compute = slices if compute_slices is None else compute_slices
        self._check(
            self._calls.fake_instance(gpu, *instance, slices, compute, ctypes.c_uint64(memory_mib))
        )

    def destroy(self, gpu: int, instance: tuple[int, int]) -> None:
        """Take a MIG device away."""
        self._check(self._calls.fake_destroy(gpu, *instance))

    def set_activity(self, gpu: int, instance: tuple[int, int], busy: float) -> None:
        """Say which part of its own SMs a MIG device keeps busy."""
        self._check(self._calls.fake_activity(gpu, *instance, ctypes.c_double(busy)))

    def set_scopes(self, gpu: int, module_watts: float = 0.0, memory_watts: float = 0.0) -> None:
        """Say what the module and the memory draw; 0: they are not metered."""
        watts = [ctypes.c_double(value) for value in (module_watts, memory_watts)]
        self._check(self._calls.fake_scopes(gpu, *watts))

    # ---- trouble ----

    def set_sensor(self, gpu: int, milliwatts: int | None) -> None:
        """Let every reading of the power of *gpu* show this; None: the truth."""
        shown = ctypes.c_uint32(milliwatts or 0)
        self._check(self._calls.fake_sensor(gpu, shown, int(milliwatts is not None)))

    def set_fault(self, gpu: int, fault: Fault, *, on: bool = True) -> None:
        """Break *gpu*, or mend it."""
        self._check(self._calls.fake_fault(gpu, int(fault), int(on)))

    def set_temperature(self, gpu: int, celsius: int | None) -> None:
        """Fix the temperature of *gpu*; None gives it back to the physics."""
        self._check(self._calls.fake_temperature(gpu, celsius or 0, int(celsius is not None)))

    def set_outside_limit(self, gpu: int, watts: float | None) -> None:
        """Limit *gpu* from below the driver, as a BMC does: only the enforced limit shows it."""
        self._check(self._calls.fake_outside_limit(gpu, ctypes.c_double(watts or 0.0)))

    def inject(
        self,
        function: str,
        *,
        gpu: int | None = None,
        code: int = 0,
        count: int | None = None,
        delay_ms: int = 0,
    ) -> None:
        """Make an NVML call hang for *delay_ms*, then answer *code* if that is not 0.

        *function* is its C name, `field:186` for one field value, or `*`; *gpu* None means every
        card and the calls about the system; *count* None means until `clear`. First come, first
        served. A hang is real time, even on the virtual clock.
        """
        card = -1 if gpu is None else gpu
        times = ctypes.c_int64(-1 if count is None else count)
        self._check(self._calls.fake_inject(function.encode(), card, code, times, delay_ms))

    def clear(self) -> None:
        """Forget what was injected, and let go the calls that hang."""
        self._check(self._calls.fake_clear())

    def hanging(self) -> int:
        """Return how many calls hang at this moment, in all processes."""
        calls = ctypes.c_uint()
        self._check(self._calls.fake_hanging(ctypes.byref(calls)))
        return calls.value

    def set_curve(self, curve: CapCurve) -> None:
        """Let caps cost and save what *curve* says, on every card."""
        self._set_curve(curve, replace=True)

    def reload_driver(self) -> None:
        """Start energy and violation counters at zero and limits at their default."""
        self._check(self._calls.fake_reload_driver())

    def _set_curve(self, curve: CapCurve, *, replace: bool) -> None:
        array = ctypes.c_double * len(curve.points)
        columns = [array(*column) for column in zip(*curve.points, strict=True)]
        self._check(self._calls.fake_curve(len(curve.points), *columns, int(replace)))

    def _check(self, code: int) -> None:
        if code:
            raise ValueError(f"the virtual node refused: {REFUSALS.get(code, f'code {code}')}")
