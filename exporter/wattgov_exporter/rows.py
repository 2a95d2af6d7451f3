"""The rows of each metric: which labels, which value. Nothing here spells a metric's name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wattgov_exporter.config import Config
from wattgov_exporter.reading import Component, Meter
from wattgov_exporter.snapshot import Snapshot

Row = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Reloads:
    """How the last loading of the configuration went.

    *success_at* is the Unix time of the last that went well; *sha256* is of the file in force, None
    without a file; *web_failures* and *web_good* are None without a web.config.file.
    """

    successful: bool
    success_at: float
    sha256: str | None = None
    web_failures: int | None = None
    web_good: bool | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """What the exporter knows of itself; *replay* is the recording that it shows, if it does."""

    version: str
    cpu_seconds: float
    reloads: Reloads | None = None
    replay: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """All that is rendered."""

    snapshot: Snapshot
    config: Config
    own: Own


CPU_ZONES = (Component.CPU, Component.DRAM)
"""psys goes with them, and RAPL's core and uncore; anybody else's belong to no CPU."""


def meters(view: View, *, joules: bool) -> Iterator[Row]:
    """Yield the CPU zones: joules, or the watts that are known."""
    for state in view.snapshot.meters:
        meter = state.meter
        value = state.joules if joules else state.watts
        is_cpu = meter.component in CPU_ZONES or meter.is_psys or meter.source == "rapl"
        if value is not None and is_cpu:
            yield (meter.package, meter.zone, meter.source), value


def sensors(view: View, *, joules: bool) -> Iterator[Row]:
    """Yield the sensors that are no component's meter: joules, or the watts that are known."""
    for state in view.snapshot.meters:
        meter = state.meter
        value = state.joules if joules else state.watts
        if value is not None and meter.component is None and meter.source != "rapl":
            yield (meter.package, meter.zone, meter.source), value


def platform(view: View, *, joules: bool) -> Iterator[Row]:
    """Yield what BMCs and supplies see: joules, or the watts where all of a source are known."""
    values: dict[str, list[float | None]] = {}
    for state in view.snapshot.meters:
        if _is_platform(state.meter):
            value = state.joules if joules else state.watts
            values.setdefault(state.meter.source, []).append(value)
    for source, each in values.items():
        known = [value for value in each if value is not None]
        if len(known) == len(each):
            yield (source,), sum(known)


def _is_platform(meter: Meter) -> bool:
    """Tell a BMC's meter; psys is the platform too, and is named with the CPU zones."""
    return meter.component is Component.PLATFORM and not meter.is_psys


def gpu_joules(view: View) -> Iterator[Row]:
    """Yield the GPUs' joules."""
    for state in view.snapshot.meters:
        meter = state.meter
        if meter.component is Component.GPU:
            yield (meter.package, meter.zone, meter.source), state.joules


def gpu_watts(view: View) -> Iterator[Row]:
    """Yield the GPUs' watts: the driver's own, else the mean over the last interval."""
    means = {state.meter.zone: state.watts for state in view.snapshot.meters}
    for gpu in view.snapshot.gpus:
        watts = means.get(gpu.uuid) if gpu.power_watts is None else gpu.power_watts
        if watts is not None:
            yield (gpu.gpu, gpu.uuid, view.snapshot.gpu_sources[gpu.uuid]), watts


def gpu(field: str) -> Callable[[View], Iterator[Row]]:
    """Return rows of one gauge of each GPU, where the driver offers it."""

    def rows(view: View) -> Iterator[Row]:
        for gpu in view.snapshot.gpus:
            value = getattr(gpu, field)
            if value is not None:
                yield (gpu.gpu, gpu.uuid), value

    return rows


def gpu_each(field: str) -> Callable[[View], Iterator[Row]]:
    """Return rows of a keyed gauge of each GPU."""

    def rows(view: View) -> Iterator[Row]:
        for gpu in view.snapshot.gpus:
            for key, value in getattr(gpu, field):
                yield (gpu.gpu, gpu.uuid, key), value

    return rows


def gpu_instances(view: View) -> Iterator[Row]:
    """Yield the parts of GPUs that are cut up."""
    for gpu in view.snapshot.gpus:
        for one in gpu.instances:
            yield (gpu.gpu, gpu.uuid, one.mig, one.uuid), 1.0


def gpu_instance(field: str) -> Callable[[View], Iterator[Row]]:
    """Return rows of one gauge of each part of a GPU, where it is known."""

    def rows(view: View) -> Iterator[Row]:
        for gpu in view.snapshot.gpus:
            for one in gpu.instances:
                value = getattr(one, field)
                if value is not None:
                    yield (gpu.gpu, gpu.uuid, one.mig), value

    return rows


def by_app(field: str) -> Callable[[View], Iterator[Row]]:
    """Return rows of a figure that is kept by app."""

    def rows(view: View) -> Iterator[Row]:
        for app, value in getattr(view.snapshot.apps, field).items():
            yield (app,), value

    return rows


def total_watts(view: View) -> Iterator[Row]:
    """Yield the node's watts, with how they are composed."""
    if (total := view.snapshot.total) is not None:
        basis, watts = total
        yield (basis,), watts


def meter_ratio(view: View) -> Iterator[Row]:
    """Yield how much of the platform the parts explain."""
    if view.snapshot.meter_ratio is not None:
        yield ("sum", "platform"), view.snapshot.meter_ratio


def site(field: str, *labels: str) -> Callable[[View], Iterator[Row]]:
    """Return the row of a fact of the site; a label is one of its fields or stands for itself."""

    def rows(view: View) -> Iterator[Row]:
        value = getattr(view.config.site, field)
        if value is not None:
            yield tuple(getattr(view.config.site, label, label) for label in labels), value

    return rows


def budgets(field: str, *labels: str) -> Callable[[View], Iterator[Row]]:
    """Return rows of a budget by period; a label more is a field of the site."""

    def rows(view: View) -> Iterator[Row]:
        more = tuple(getattr(view.config.site, label) for label in labels)
        for period, value in getattr(view.config.site.budgets, field).items():
            yield (period, *more), value

    return rows


def embodied(field: str) -> Callable[[View], Iterator[Row]]:
    """Return the row of what making this machine took, where it is configured."""

    def rows(view: View) -> Iterator[Row]:
        if view.config.embodied is not None:
            yield (), getattr(view.config.embodied, field)

    return rows


def targets(field: str) -> Callable[[View], Iterator[Row]]:
    """Return rows of an objective, for the apps that have it."""

    def rows(view: View) -> Iterator[Row]:
        for app in view.config.apps:
            value = getattr(app, field)
            if value is not None:
                yield (app.name,), value

    return rows


def reloads(row: Callable[[Reloads], Row | None]) -> Callable[[View], Iterator[Row]]:
    """Return the row of a fact of the last reload, where there is one."""

    def rows(view: View) -> Iterator[Row]:
        found = row(view.own.reloads) if view.own.reloads else None
        if found is not None:
            yield found

    return rows
