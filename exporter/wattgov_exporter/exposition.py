"""Every metric in one table, from snapshots to series; the only file that spells their names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wattgov_exporter import rows
from wattgov_exporter.reading import Reason
from wattgov_exporter.rows import Row, View


@dataclass(frozen=True, slots=True)
class Series:
    """One metric: its name (a counter's ends in `_total`), what it means, where its values are."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    read: Callable[[View], Iterable[Row]]


SERIES: tuple[Series, ...] = (
    Series(
        "node_cpu_energy_joules_total",
        "Energy of a CPU zone; core and uncore are inside package, psys holds them all.",
        ("package", "zone", "source"),
        lambda view: rows.meters(view, joules=True),
    ),
    Series(
        "node_cpu_power_watts",
        "Mean power of a CPU zone over the last sampling interval.",
        ("package", "zone", "source"),
        lambda view: rows.meters(view, joules=False),
    ),
    Series(
        "node_gpu_energy_joules_total",
        "Energy of a GPU: its hardware counter, or the integral of its power where it has none.",
        ("gpu", "uuid", "source"),
        rows.gpu_joules,
    ),
    Series(
        "node_gpu_power_watts",
        "Power of a GPU as its driver shows it (a 1 s average on Ampere and later).",
        ("gpu", "uuid", "source"),
        rows.gpu_watts,
    ),
    Series(
        "node_gpu_power_instant_watts",
        "Power of a GPU at the moment of the reading, in the sensor's own short window.",
        ("gpu", "uuid"),
        rows.gpu("power_instant_watts"),
    ),
    Series(
        "node_gpu_power_average_watts",
        "Mean power of a GPU over the last second, as its driver computes it.",
        ("gpu", "uuid"),
        rows.gpu("power_average_watts"),
    ),
    Series(
        "node_gpu_power_limit_watts",
        "Power limits of a GPU: current, enforced (the least of all limiters), default, min, max.",
        ("gpu", "uuid", "limit"),
        rows.gpu_each("limits_watts"),
    ),
    Series(
        "node_gpu_temperature_celsius",
        "Core temperature of a GPU.",
        ("gpu", "uuid"),
        rows.gpu("temperature_celsius"),
    ),
    Series(
        "node_gpu_utilization_percent",
        "Share of time in which a kernel ran on the GPU.",
        ("gpu", "uuid"),
        rows.gpu("utilization_percent"),
    ),
    Series(
        "node_gpu_memory_used_bytes",
        "Memory in use on a GPU.",
        ("gpu", "uuid"),
        rows.gpu("memory_used_bytes"),
    ),
    Series(
        "node_gpu_clock_hertz",
        "Clock of a GPU: sm, memory.",
        ("gpu", "uuid", "clock"),
        rows.gpu_each("clocks_hertz"),
    ),
    Series(
        "node_gpu_throttle_seconds_total",
        "Time that a GPU spent throttled: power_cap, thermal, power_brake, sync.",
        ("gpu", "uuid", "reason"),
        rows.gpu_each("throttle_seconds"),
    ),
    Series(
        "node_gpu_processes",
        "Processes on a GPU; known false: not in /proc, as the exporter is not in the host's pids.",
        ("gpu", "uuid", "known"),
        rows.gpu_each("processes"),
    ),
    Series(
        "node_gpu_read_interval_seconds",
        "Time between the last two readings of a GPU; one at rest is read less often.",
        ("gpu", "uuid"),
        rows.gpu("read_interval_seconds"),
    ),
    Series(
        "node_gpu_instance_info",
        "A part of a GPU that is cut up (MIG); mig is its GPU and its compute instance.",
        ("gpu", "uuid", "mig", "mig_uuid"),
        rows.gpu_instances,
    ),
    Series(
        "node_gpu_instance_slice_ratio",
        "Part of a GPU's compute that an instance has.",
        ("gpu", "uuid", "mig"),
        rows.gpu_instance("slice_ratio"),
    ),
    Series(
        "node_gpu_instance_memory_bytes",
        "Memory of a GPU that an instance has.",
        ("gpu", "uuid", "mig"),
        rows.gpu_instance("memory_bytes"),
    ),
    Series(
        "node_gpu_instance_activity_ratio",
        "Busy part of the multiprocessors of an instance's GPU instance since the last reading.",
        ("gpu", "uuid", "mig"),
        rows.gpu_instance("activity_ratio"),
    ),
    Series(
        "node_sensor_energy_joules_total",
        "Energy by a sensor that is no component's meter: a rail, a supply beside a better meter.",
        ("device", "sensor", "source"),
        lambda view: rows.sensors(view, joules=True),
    ),
    Series(
        "node_sensor_power_watts",
        "Power by a sensor that is no component's meter.",
        ("device", "sensor", "source"),
        lambda view: rows.sensors(view, joules=False),
    ),
    Series(
        "node_platform_energy_joules_total",
        "Energy of the whole node as its BMC or power supplies see it.",
        ("source",),
        lambda view: rows.platform(view, joules=True),
    ),
    Series(
        "node_platform_power_watts",
        "Power of the whole node as its BMC or power supplies see it.",
        ("source",),
        lambda view: rows.platform(view, joules=False),
    ),
    Series(
        "node_meter_ratio",
        "Energy by meter a over energy by meter b, which cover the same, over ten minutes or so.",
        ("a", "b"),
        rows.meter_ratio,
    ),
    Series(
        "node_energy_joules_total",
        "Energy of the node by component, each joule once: what the apps' joules add up to.",
        ("component",),
        lambda view: (((key.value,), value) for key, value in view.snapshot.node_joules.items()),
    ),
    Series(
        "node_total_power_watts",
        "Power of the node; basis platform (its BMC), psys, sum (of metered parts), model.",
        ("basis",),
        rows.total_watts,
    ),
    Series(
        "node_idle_power_watts",
        "Power at rest; basis configured, model, or observed (learned here).",
        ("component", "basis"),
        lambda view: (
            ((key.value, idle.basis), idle.watts) for key, idle in view.snapshot.idle.items()
        ),
    ),
    Series(
        "app_energy_joules_total",
        "Energy of an app; _other: of none or beyond the budget, _unattributed: nobody's.",
        ("app", "component", "share"),
        lambda view: (
            ((app, component.value, share), value)
            for (app, component, share), value in view.snapshot.app_joules.items()
        ),
    ),
    Series(
        "app_cpu_seconds_total",
        "CPU time of an app's processes.",
        ("app",),
        rows.by_app("cpu_seconds"),
    ),
    Series("app_processes", "Processes of an app.", ("app",), rows.by_app("processes")),
    Series(
        "app_memory_resident_bytes",
        "Memory that an app's processes hold resident; pages that several share count in each.",
        ("app",),
        rows.by_app("memory_bytes"),
    ),
    Series(
        "app_gpu_memory_used_bytes",
        "GPU memory held by an app.",
        ("app",),
        rows.by_app("gpu_memory_bytes"),
    ),
    Series(
        "app_last_active_timestamp_seconds",
        "When an app last used a GPU or more than 1 % of one CPU.",
        ("app",),
        rows.by_app("last_active"),
    ),
    Series(
        "app_target_joules_per_request",
        "Energy objective of an app, from the configuration.",
        ("app",),
        rows.targets("target_joules_per_request"),
    ),
    Series(
        "app_target_p95_latency_seconds",
        "Latency objective of an app, from the configuration.",
        ("app",),
        rows.targets("target_p95_latency_seconds"),
    ),
    Series(
        "grid_carbon_intensity_grams_per_kilowatthour",
        "Carbon intensity of the grid; source static: the configuration.",
        ("zone", "source", "signal", "basis", "estimated"),
        rows.site(
            "carbon_intensity_grams_per_kilowatthour",
            "zone",
            "static",
            "average",
            "lifecycle",
            "true",
        ),
    ),
    Series(
        "grid_electricity_price_per_kilowatthour",
        "Price of electricity, from the configuration.",
        ("zone", "currency"),
        rows.site("price_per_kilowatthour", "zone", "currency"),
    ),
    Series(
        "site_pue_ratio",
        "Power usage effectiveness of the site, from the configuration.",
        (),
        rows.site("pue_ratio"),
    ),
    Series(
        "site_contract_power_watts",
        "Power that the whole site may draw, from the configuration.",
        (),
        rows.site("contract_power_watts"),
    ),
    Series(
        "site_budget_energy_joules",
        "Energy that the whole site may use in a period (day, month), from the configuration.",
        ("period",),
        rows.budgets("energy_joules"),
    ),
    Series(
        "site_budget_carbon_grams",
        "Carbon that the whole site may emit in a period (day, month), from the configuration.",
        ("period",),
        rows.budgets("carbon_grams"),
    ),
    Series(
        "site_budget_electricity_cost",
        "Money that the whole site may spend in a period (day, month), from the configuration.",
        ("period", "currency"),
        rows.budgets("electricity_cost", "currency"),
    ),
    Series(
        "node_embodied_carbon_grams",
        "Carbon of making this machine, from the configuration.",
        (),
        rows.embodied("carbon_grams"),
    ),
    Series(
        "node_expected_lifetime_seconds",
        "Time over which making this machine is written off, from the configuration.",
        (),
        rows.embodied("lifetime_seconds"),
    ),
    Series(
        "energy_source_info",
        "The source that meters a component, and how: measured, derived or estimated.",
        ("component", "source", "method"),
        lambda view: (
            ((key.value, source, method.value), 1.0)
            for key, one in view.snapshot.chosen.items()
            for source, method in one.sources
        ),
    ),
    Series(
        "energy_source_up",
        "Whether a source reads all its meters; reason ok, partial (it lacks one that should "
        "count), absent, permission, unsupported, invalid, timeout.",
        ("source", "reason"),
        lambda view: (
            ((one.name, one.reason.value), float(one.reason is Reason.OK))
            for one in view.snapshot.sources
        ),
    ),
    Series(
        "energy_source_last_sample_timestamp_seconds",
        "When a source was last read well; it stays when the source is stale.",
        ("source",),
        lambda view: (
            ((one.name,), one.last_good)
            for one in view.snapshot.sources
            if one.last_good is not None
        ),
    ),
    Series(
        "energy_source_read_seconds",
        "How long the last read of a source took.",
        ("source",),
        lambda view: (((one.name,), one.read_seconds) for one in view.snapshot.sources),
    ),
    Series(
        "energy_source_anomalies_total",
        "Readings left out: reset, wrap_ambiguous, spike, sentinel, negative, nan.",
        ("source", "kind"),
        lambda view: ((key, float(count)) for key, count in view.snapshot.anomalies.items()),
    ),
    Series(
        "wattgov_exporter_cpu_seconds_total",
        "CPU time of the exporter itself.",
        (),
        lambda view: (((), view.own.cpu_seconds),),
    ),
    Series(
        "wattgov_exporter_energy_joules_total",
        "CPU energy of the exporter itself, by its share of the CPU time.",
        (),
        lambda view: (((), view.snapshot.own_joules),),
    ),
    Series(
        "wattgov_exporter_series_dropped_total",
        "Series that apps had to do without when the budget was full; their joules are in _other.",
        (),
        lambda view: (((), float(view.snapshot.series_dropped)),),
    ),
    Series(
        "wattgov_exporter_config_last_reload_successful",
        "Whether the last loading of exporter.yml went well; if not, the one before is in force.",
        (),
        rows.reloads(lambda one: ((), float(one.successful))),
    ),
    Series(
        "wattgov_exporter_config_last_reload_success_timestamp_seconds",
        "When exporter.yml was last loaded well.",
        (),
        rows.reloads(lambda one: ((), one.success_at)),
    ),
    Series(
        "wattgov_exporter_config_hash",
        "The exporter.yml in force: the first 12 digits of its SHA-256; two nodes can be compared.",
        ("sha256",),
        rows.reloads(lambda one: ((one.sha256[:12],), 1.0) if one.sha256 else None),
    ),
    Series(
        "wattgov_exporter_web_config_failures_total",
        "Changes of the web.config.file or its certificates that were bad and not used.",
        (),
        rows.reloads(
            lambda one: None if one.web_failures is None else ((), float(one.web_failures))
        ),
    ),
    Series(
        "wattgov_exporter_web_config_last_reload_successful",
        "Whether the web.config.file was taken as it is now; if not, the one before is in force.",
        (),
        rows.reloads(lambda one: None if one.web_good is None else ((), float(one.web_good))),
    ),
    Series(
        "wattgov_exporter_build_info",
        "The exporter's version.",
        ("version",),
        lambda view: (((view.own.version,), 1.0),),
    ),
    Series(
        "wattgov_exporter_replay_info",
        "There only when this is a recording of another machine, not the one that serves it.",
        ("recording",),
        lambda view: (((view.own.replay,), 1.0),) if view.own.replay else (),
    ),
)
