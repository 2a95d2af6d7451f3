"""What can be configured; configfile.py reads it from `exporter.yml`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

POLICIES = ("capacity", "dynamic", "full")
CPU_WEIGHTS = ("none", "capacity", "clock")
APPS_BY = ("pod", "container", "unit", "slurm", "command")
KINDS = ("dcgm", "node", "kepler", "scaphandre")


@dataclass(frozen=True, slots=True)
class App:
    """A name and how to know its processes; the first app of the file that fits has them."""

    name: str
    process: str | None = None
    command: re.Pattern[str] | None = None
    cgroup: str | None = None
    unit: str | None = None
    target_joules_per_request: float | None = None
    target_p95_latency_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Budgets:
    """What the whole site may use, by period: day or month; money is in the site's currency."""

    energy_joules: Mapping[str, float] = field(default_factory=dict)
    carbon_grams: Mapping[str, float] = field(default_factory=dict)
    electricity_cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """Facts about the place that no sensor tells; None is published as no series."""

    zone: str = "unknown"
    carbon_intensity_grams_per_kilowatthour: float | None = None
    pue_ratio: float | None = None
    price_per_kilowatthour: float | None = None
    currency: str = "USD"
    contract_power_watts: float | None = None
    budgets: Budgets = field(default_factory=Budgets)


@dataclass(frozen=True, slots=True)
class Embodied:
    """Making this machine: grams of CO2e, written off evenly over its lifetime."""

    carbon_grams: float
    lifetime_seconds: float


@dataclass(frozen=True, slots=True)
class Redfish:
    """A BMC that speaks Redfish; the password is read from a file when it is needed."""

    url: str
    username: str | None = None
    password_file: Path | None = None
    chassis: str | None = None
    ca_file: Path | None = None
    insecure: bool = False
    interval_seconds: float = 10.0
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Ipmi:
    """A BMC that speaks IPMI DCMI; without a host, this machine's own through /dev/ipmi0."""

    host: str | None = None
    port: int = 623
    username: str | None = None
    password_file: Path | None = None
    interval_seconds: float = 10.0
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """Another exporter to take readings from, where direct access is impossible."""

    url: str
    kind: str
    interval_seconds: float = 5.0
    timeout_seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Who tells the names of this node's pods: its kubelet, or the API server with *node*'s name.

    The token is read from a file when it is needed.
    """

    kubelet: str | None = None
    api: str | None = None
    node: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    insecure: bool = False
    interval_seconds: float = 30.0
    timeout_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Which sources to use, and where those are that are not found by themselves."""

    off: tuple[str, ...] = ()
    redfish: Redfish | None = None
    ipmi: Ipmi | None = None
    scrape: tuple[Scrape, ...] = ()
    kubernetes: Kubernetes | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How many apps have series of their own, and how long an automatic name may be, in bytes.

    *series*: apps have fewer names where all series would otherwise be more; None is no limit.
    """

    apps: int = 100
    series: int | None = None
    label_length: int = 128


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file; every field has a default, so no file is needed to start."""

    interval_seconds: float = 1.0
    policy: str = "dynamic"
    cpu_weight: str = "capacity"
    idle_watts: Mapping[str, float] = field(default_factory=dict)
    site: Site = field(default_factory=Site)
    embodied: Embodied | None = None
    sources: Sources = field(default_factory=Sources)
    apps: tuple[App, ...] = ()
    apps_by: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)
    state_file: Path | None = None
