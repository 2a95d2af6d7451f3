"""A card in MIG mode: its instances, how busy each is, and who is in it.

The driver counts no process's SM time here, and no instance's joules. An instance has the part of
the card that its slices are, times how busy they were; in it, processes by the memory they hold.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from wattgov_exporter.reading import NOBODY_PID, GpuInstance, GpuUse
from wattgov_exporter.sources.nvml_calls import attempt_part
from wattgov_exporter.sources.nvml_gpm import Gpm
from wattgov_exporter.sources.nvml_processes import Held, Place, held

LOOK_SECONDS = 60.0
"""How often instances are looked for; a handle costs 50 to 100 ms on a real card (Kepler)."""

CHANGE_SECONDS = 5.0
"""How soon they are looked for again when one that is known fails or a process is in an unknown."""


@dataclass(frozen=True, slots=True)
class Device:
    """A compute instance in its GPU instance, as NVML's MIG device."""

    handle: Any
    place: Place
    uuid: str
    slices: int
    compute_slices: int
    memory_bytes: float


class Instances:
    """The instances of one card."""

    def __init__(self, slices: int) -> None:
        self._slices = slices
        self._devices: tuple[Device, ...] = ()
        self._looked: float | None = None
        self._changed = False
        self._gpm = Gpm()

    def look(self, handle: object, now: float) -> None:
        """Find out which instances there are, if it is time to."""
        patience = CHANGE_SECONDS if self._changed else LOOK_SECONDS
        if self._looked is None or now - self._looked >= patience:
            self._devices = tuple(_devices(handle, self._slices))
            self._looked, self._changed = now, False
            self._gpm.keep(handle, {device.place[0] for device in self._devices})

    def held(self, handle: object) -> dict[int, Held]:
        """Return who holds memory, and where; the whole card's list is for the privileged."""
        found = held(handle)
        if found is None:
            found = {}
            for device in self._devices:
                found.update(attempt_part(held, device.handle) or {})
        self._changed |= not {one.place for one in found.values()} <= {
            device.place for device in self._devices
        }
        return found

    def activity(self, handle: object) -> dict[int, float | None]:
        """Return how busy each GPU instance was since the last call, 0 to 1."""
        found = {gpu: self._gpm.read(handle, gpu) for gpu in self._gpm.instances}
        self._changed |= self._gpm.failed
        return found

    def shown(self, activity: Mapping[int, float | None]) -> tuple[GpuInstance, ...]:
        """Return what is published of each."""
        return tuple(
            GpuInstance(
                mig=f"{device.place[0]}/{device.place[1]}",
                uuid=device.uuid,
                slice_ratio=device.compute_slices / self._slices,
                memory_bytes=device.memory_bytes,
                activity_ratio=activity.get(device.place[0]),
            )
            for device in self._devices
        )

    def utilisation(self, activity: Mapping[int, float | None]) -> float | None:
        """Return the busy part of the whole card, 0 to 1; None unless all of it is known."""
        sizes = {device.place[0]: device.slices for device in self._devices}
        parts = [(size, activity.get(gpu)) for gpu, size in sizes.items()]
        if any(busy is None for _, busy in parts):
            return None
        return sum(size * (busy or 0.0) for size, busy in parts) / self._slices

    def uses(
        self,
        uuid: str,
        found: Mapping[int, Held],
        activity: Mapping[int, float | None],
        seconds: float,
    ) -> list[GpuUse]:
        """Return each process's use of the card, and nobody's: busy or idle slices without one.

        Without figures of activity (before Hopper) every instance with a process counts as busy.
        """
        measured = self.utilisation(activity) is not None
        places: dict[Place, dict[int, float]] = defaultdict(dict)
        for pid, one in found.items():
            places[one.place][pid] = one.memory_bytes
        inside: dict[int, list[Device]] = defaultdict(list)
        for device in self._devices:
            inside[device.place[0]].append(device)
        uses = []
        nobody_active, nobody_idle = 0.0, 1.0
        for gpu, devices in inside.items():
            part = devices[0].slices / self._slices
            taken = [device for device in devices if places.get(device.place)]
            busy = (activity.get(gpu) or 0.0) if measured else float(bool(taken))
            if not taken:
                nobody_active += part * busy * seconds
                continue
            nobody_idle -= part
            total = sum(device.compute_slices for device in taken)
            for device in taken:
                share = part * device.compute_slices / total
                for pid, weight in _weights(places[device.place]).items():
                    active = share * busy * seconds * weight
                    memory = found[pid].memory_bytes
                    uses.append(GpuUse(uuid, pid, active, memory, share * weight))
        uses.append(GpuUse(uuid, NOBODY_PID, nobody_active, 0.0, max(nobody_idle, 0.0)))
        return uses

    def close(self) -> None:
        """Free what the driver lent."""
        self._gpm.keep(None, set())


def _weights(memory: Mapping[int, float]) -> dict[int, float]:
    """Return each process's part of an instance; equal ones where nobody's memory is known."""
    total = sum(memory.values())
    return {pid: own / total if total > 0 else 1 / len(memory) for pid, own in memory.items()}


def _devices(handle: object, places: int) -> Iterator[Device]:
    """Yield the MIG devices; their indices have holes, and one may go while it is asked."""
    for index in range(places):
        mig = attempt_part(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        if mig is None:
            continue
        gpu = attempt_part(pynvml.nvmlDeviceGetGpuInstanceId, mig)
        compute = attempt_part(pynvml.nvmlDeviceGetComputeInstanceId, mig)
        uuid = attempt_part(pynvml.nvmlDeviceGetUUID, mig)
        about = attempt_part(pynvml.nvmlDeviceGetAttributes_v2, mig)
        if None in {gpu, compute, uuid} or about is None or not about.gpuInstanceSliceCount:
            continue
        yield Device(
            handle=mig,
            place=(gpu, compute),
            uuid=uuid,
            slices=about.gpuInstanceSliceCount,
            compute_slices=about.computeInstanceSliceCount or about.gpuInstanceSliceCount,
            memory_bytes=about.memorySizeMB * 2.0**20,
        )
