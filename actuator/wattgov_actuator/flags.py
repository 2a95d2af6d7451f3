"""The options that several commands share."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from wattgov_actuator.document.quantity import seconds_of
from wattgov_actuator.reading import Clock
from wattgov_actuator.when import LONGEST_SECONDS, in_calendar, moment_of

LAST_PORT = 65535
PATH = click.Path(path_type=Path, readable=False)  # access(2) knows nothing of capabilities
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LEASE = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def address(_: click.Context, __: click.Parameter, value: str) -> Address:
    """Return the parts; a host is needed, since leaving it out must not mean everywhere."""
    host, _colon, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > LAST_PORT:
        raise click.BadParameter(f"'{value}' is not HOST:PORT, such as 127.0.0.1:9471")
    return Address(host.strip("[]"), int(port))


def url(_: click.Context, __: click.Parameter, value: str) -> str:
    """Return an http or https URL."""
    try:
        parts = urlsplit(value)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket or a port that is none
        known = False
    if not known:
        raise click.BadParameter(f"'{hidden(value)}' is not a URL, such as http://127.0.0.1:9090")
    return value


def hidden(text: str) -> str:
    """Return what may be a URL without what may be a password in it, however it is spelt."""
    return text.rpartition("@")[2]


def state_dir() -> Path:
    """Return systemd's state folder, else the user's.

    Root's is where our unit has it: who is called to a machine types `restore`, and no more.
    """
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/wattgov")
    return Path.home() / ".local" / "state" / "wattgov"


def run_dir() -> Path:
    """Return systemd's runtime folder, else one that no other user can write."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/run/wattgov")
    users = os.environ.get("XDG_RUNTIME_DIR", "")
    # Not $TMPDIR: all of a user's actuators have to meet there.
    shared = f"/tmp/wattgov-{os.geteuid()}"  # noqa: S108 (whose it is gets checked by the lock)
    return Path(users) / "wattgov" if users else Path(shared)


Command = Callable[..., Any]


def rule_options(command: Command) -> Command:
    """Add --rules, which takes one file or more."""
    command = click.argument("more", nargs=-1, type=PATH, metavar="[FILE]...")(command)
    return click.option(
        "--rules", "rules", multiple=True, required=True, type=PATH, help="Rule files."
    )(command)


prometheus_option = click.option(
    "--prometheus",
    metavar="URL",
    callback=url,
    envvar=["PROMETHEUS_URL", "PROM_URL"],
    default="http://127.0.0.1:9090",
    show_default=True,
    show_envvar=True,
    help="Prometheus, or what speaks its API.",
)


def service_options(command: Command) -> Command:
    """Add where the service listens, and who gets in."""
    command = click.option(
        "--web.config.file",
        "web_file",
        type=PATH,
        metavar="FILE",
        help="TLS and logins, in the format of Prometheus' exporters. Without it nobody logs in, "
        "and only programs of the same user or root on this host may change anything.",
    )(command)
    command = click.option(
        "--web.allowed-host",
        "web_names",
        multiple=True,
        metavar="NAME",
        help="A name besides localhost by which a browser or a reverse proxy may ask a listener "
        "on loopback that has no logins.",
    )(command)
    return click.option(
        "--listen",
        metavar="HOST:PORT",
        callback=address,
        default="127.0.0.1:9471",
        show_default=True,
        help="Where pages, API and metrics are served.",
    )(command)


def _lease(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return NAMESPACE/NAME."""
    if value is not None and not LEASE.fullmatch(value):
        raise click.BadParameter(f"'{value}' is not NAMESPACE/NAME, such as wattgov/actuator")
    return value


elect_option = click.option(
    "--elect",
    metavar="NAMESPACE/NAME",
    callback=_lease,
    help="A Lease of Kubernetes. Of all actuators with the same one, one turns what they share: "
    "the knobs with an entry of the backends kubernetes and kubernetes_node. Without it this one "
    "does.",
)


def _namespace(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not NAMESPACE.fullmatch(value):
        raise click.BadParameter(f"'{value}' is no namespace of Kubernetes, such as inference")
    return value


policies_option = click.option(
    "--energy-policies",
    metavar="NAMESPACE",
    callback=_namespace,
    help="Watch the EnergyPolicy objects of a namespace, and have those in force, too, that say "
    "that they are enabled. Whether this enforces is for the rule files to say, or --enforce.",
)


def machine_options(command: Command) -> Command:
    """Add --sysfs and --procfs, for a machine that is mounted elsewhere, as in a container."""
    for name in ("procfs", "sysfs"):
        text = f"Where /{name.removesuffix('fs')} of the machine is mounted."
        place = f"/{name.removesuffix('fs')}"
        option = click.option(f"--{name}", type=PATH, default=place, show_default=True, help=text)
        command = option(command)
    return command


state_option = click.option(
    "--state-dir",
    type=PATH,
    default=state_dir,
    help="Folder of the journal. [default: $STATE_DIRECTORY, /var/lib/wattgov for root, or "
    "~/.local/state/wattgov]",
)

run_option = click.option(
    "--run-dir",
    type=PATH,
    default=run_dir,
    help="Folder of the lock by which one actuator enforces on a machine. [default: "
    "$RUNTIME_DIRECTORY, /run/wattgov for root, or $XDG_RUNTIME_DIR/wattgov]",
)


def pass_clock(command: Command) -> Command:
    """Give a command the clock, which only the command line may read."""
    return click.pass_obj(command)


def span(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Return a length of time in seconds, such as that of 30m."""
    seconds = None if value is None else seconds_of(value)
    if value is not None and not seconds:
        raise click.BadParameter(f"'{value}' is no length of time, such as 30m, 2h or 1d")
    if seconds is not None and seconds > LONGEST_SECONDS:
        raise click.BadParameter(f"'{value}' is more than {LONGEST_SECONDS / 86_400:g}d")
    return seconds


def moment(context: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Return unix seconds: of a moment, or of so long ago."""
    if value is None:
        return None
    ago, clock = seconds_of(value), context.find_root().obj
    found = moment_of(value) if ago is None else _unix(clock) - ago
    if found is None or not in_calendar(found):
        raise click.BadParameter(
            f"'{value}' is no moment, such as 2026-01-31T06:30, and no length of time, such as 2h"
        )
    return found


def since_option(name: str, text: str) -> Callable[[Command], Command]:
    """Return an option that takes a moment."""
    return click.option(name, metavar="WHEN", callback=moment, help=text)


def _unix(clock: Clock) -> float:
    return clock().unix
