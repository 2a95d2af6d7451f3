"""The command `wattgov-exporter`: the only wiring, and the only real clocks."""

import os
import signal
import threading
import time
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # the heavy half is imported when it is used: `--help` answers at once
    from wattgov_exporter.config import Config

BAD_INPUT = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wattgov")
def main() -> None:
    """Publish the power and energy of this machine, and of the apps on it, for Prometheus."""


@main.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="exporter.yml: apps, site, interval. Without it every process is in _other.",
)
@click.option(
    "--listen",
    default=lambda: f"127.0.0.1:{os.environ.get('PORT', '9470')}",
    show_default="127.0.0.1:9470; the port may come from $PORT",
    help="Address and port to serve on.",
)
@click.option(
    "--path.sysfs",
    "sysfs",
    type=click.Path(path_type=Path),
    default=Path("/sys"),
    show_default=True,
    help="Root of sysfs: a host's tree in a container, or a recorded one.",
)
@click.option(
    "--path.procfs",
    "procfs",
    type=click.Path(path_type=Path),
    default=Path("/proc"),
    show_default=True,
    help="Root of procfs.",
)
def run(config_file: Path | None, listen: str, sysfs: Path, procfs: Path) -> None:
    """Sample the meters in the background and serve /metrics."""
    config = _load(config_file)
    host, port = _address(listen)
    from wattgov_exporter.collect import Collector  # noqa: PLC0415  see above
    from wattgov_exporter.exposition import Own, View  # noqa: PLC0415
    from wattgov_exporter.server import Pages, Server  # noqa: PLC0415
    from wattgov_exporter.sources import Machine  # noqa: PLC0415

    # Not an Event: its lock may be held by the very wait that the signal interrupts.
    stop: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stop.put(number))
    pages = Pages()
    sampled = [-1e9]
    try:
        server = Server(
            (host, port), pages, lambda: time.monotonic() - sampled[0] < 3 * config.interval_seconds
        )
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {listen}: {error.strerror}; stop what listens there, "
            "or choose another address with --listen"
        ) from error
    machine = Machine(sysfs, procfs, time.monotonic, time.time)
    collector = Collector(config, machine, os.getpid())
    threading.Thread(target=server.serve_forever, daemon=True, name="http").start()
    click.echo(f"wattgov-exporter serves http://{host}:{server.server_port}/metrics", err=True)
    due = time.monotonic()
    while True:
        try:
            snapshot = collector.tick()
        except OSError as error:
            click.echo(f"tick skipped: cannot read {procfs}: {error}", err=True)
        else:
            pages.publish(View(snapshot, config, Own(version("wattgov"), time.process_time())))
            sampled[0] = time.monotonic()
        # After a pause (suspend, a stopped process) go on from now; do not catch up.
        due = max(due + config.interval_seconds, time.monotonic())
        try:
            stop.get(timeout=max(due - time.monotonic(), 0.0))
        except Empty:
            continue
        break
    server.shutdown()


@main.command()
@click.argument("config_file", metavar="FILE", type=click.Path(path_type=Path))
def check(config_file: Path) -> None:
    """Check an exporter.yml; every mistake is told with its line and column."""
    config = _load(config_file)
    click.echo(
        f"{config_file}: good; {len(config.apps)} apps, every {config.interval_seconds:g} s, "
        f"policy {config.policy}"
    )


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def assets(folder: Path) -> None:
    """Write the recording rules, alerts, dashboards and starter rule files into DIR."""
    from wattgov_exporter.assets import write  # noqa: PLC0415

    try:
        written = write(folder)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    for path in written:
        click.echo(path)


def _load(path: Path | None) -> "Config":
    from wattgov_exporter.config import Config, load  # noqa: PLC0415
    from wattgov_exporter.fields import Invalid  # noqa: PLC0415
    from wattgov_exporter.sources import SOURCES  # noqa: PLC0415

    if path is None:
        return Config()
    try:
        return load(path, SOURCES)
    except Invalid as invalid:
        for mistake in invalid.mistakes:
            click.echo(mistake, err=True)
    except OSError as error:
        click.echo(f"{path}: cannot be read: {error.strerror}", err=True)
    raise SystemExit(BAD_INPUT)


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise click.BadParameter(f"expected ADDRESS:PORT, found {listen!r}", param_hint="--listen")
    return host.strip("[]"), int(port)
