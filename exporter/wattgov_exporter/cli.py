"""The command `wattgov-exporter`: the only wiring, and the only real clocks."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wattgov_exporter import __version__
from wattgov_exporter.recording import flags

if TYPE_CHECKING:  # the heavy half is imported when it is used: `--help` answers at once
    from wattgov_exporter.loop import Loaded
    from wattgov_exporter.recording.replay import Replay
    from wattgov_exporter.sources import Machine
    from wattgov_web.web import WatchedWeb, Web

BAD_INPUT = 2
HIGHEST_PORT = 65535


def _roots(command: Callable[..., None]) -> Callable[..., None]:
    """Add the two options that say where the machine is."""
    for root, meaning in (("sys", "a host's tree in a container, or a recorded one"), ("proc", "")):
        command = click.option(
            f"--path.{root}fs",
            f"{root}fs",
            type=flags.PATH,
            default=Path(f"/{root}"),
            show_default=True,
            help=f"Root of {root}fs: {meaning}." if meaning else f"Root of {root}fs.",
        )(command)
    return command


@contextmanager
def hangup_waits() -> Iterator[None]:
    """Let SIGHUP wait until there is a handler, which takes it: without one it ends a process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="wattgov-exporter")
def main() -> None:
    """Publish the power and energy of this machine, and of the apps on it, for Prometheus."""


@main.command()
@click.option(
    "--config",
    "config_file",
    type=flags.PATH,
    help="exporter.yml: apps, site, interval. Without it every process is in _other.",
)
@click.option(
    "--listen",
    default=lambda: f"127.0.0.1:{os.environ.get('PORT', '9470')}",
    show_default="127.0.0.1:9470; the port may come from $PORT",
    help="Address and port to serve on.",
)
@_roots
@flags.replayed
@click.option(
    "--web.config.file",
    "web_file",
    type=flags.PATH,
    help="TLS, client certificates and passwords, in the format of the Prometheus exporters.",
)
@click.option(
    "--web.allowed-host",
    "web_names",
    multiple=True,
    metavar="NAME",
    help="A name besides localhost by which a browser or a reverse proxy may ask a listener on "
    "loopback that has no logins.",
)
@click.option(
    "--web.max-connections",
    "connections",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    help="Scrapers and browsers at once; when all are taken, who is idle longest makes room.",
)
@hangup_waits()
def run(
    *,
    config_file: Path | None,
    listen: str,
    sysfs: Path,
    procfs: Path,
    replay_file: Path | None,
    web_file: Path | None,
    web_names: tuple[str, ...],
    connections: int,
) -> None:
    """Sample the meters in the background and serve /metrics.

    SIGHUP, or POST to /-/reload by root, the same user or with a login, reads the configuration
    again; a bad one is told and not used, and no total is lost.
    """
    loaded = _load(config_file)
    host, port = _address(listen)
    replay = _replay(replay_file)
    from wattgov_exporter import daemon  # noqa: PLC0415  the heavy half, see above
    from wattgov_exporter.procfs import own_pid  # noqa: PLC0415

    machine = _machine(sysfs, procfs, replay)
    wish = daemon.Wish(
        address=(host, port),
        names=web_names,
        connections=connections,
        config_file=config_file,
        machine=machine,
        own_pid=own_pid(machine.proc),
        replay=replay.name if replay else None,
        cpu_seconds=time.process_time,
        log=_log,
    )
    try:
        with replay.playing(time.monotonic) if replay else nullcontext():
            daemon.run(wish, loaded, _web(web_file))
    except daemon.CannotListen as error:
        raise click.ClickException(
            f"cannot listen on {listen}: {error}; stop what listens there, "
            "or choose another address with --listen"
        ) from error


@main.command()
@click.option(
    "--config",
    "config_file",
    type=flags.PATH,
    help="exporter.yml, if there is one.",
)
@_roots
@flags.replayed
def doctor(
    *, config_file: Path | None, sysfs: Path, procfs: Path, replay_file: Path | None
) -> None:
    """Say what can be metered here, and what is missing.

    Each source is tried: what is on and how far off it may be, what is off and what would help.
    """
    config = _load(config_file).config
    replay = _replay(replay_file)
    from wattgov_exporter.doctor import Finding, examined, report  # noqa: PLC0415
    from wattgov_exporter.sources import configured  # noqa: PLC0415

    sources = configured(_machine(sysfs, procfs, replay), config.sources)
    if replay:
        answers = replay.examined(sources, time.monotonic)
    else:
        answers = examined(sources, time.monotonic, time.sleep)
    findings = [Finding(*one) for one in zip(sources, *answers, strict=True)]
    for line in report(findings, config.interval_seconds):
        click.echo(line)


@main.command()
@click.option(
    "--config",
    "config_file",
    type=flags.PATH,
    help="exporter.yml, if there is one: its BMC and its scraped exporters are recorded too.",
)
@_roots
@flags.captured
def capture(config_file: Path | None, sysfs: Path, procfs: Path, **wished: Any) -> None:  # noqa: ANN401  the fields of Wish
    """Record this machine's meters into a text file.

    Attach it to an issue: it is replayed as a test, and by `run --replay`. It holds no names of
    hosts or users, no serial numbers, no UUIDs; read it before you share it. Ctrl-C ends it early.
    """
    used = _load(config_file).config.sources
    from wattgov_exporter.recording.command import Wish, record  # noqa: PLC0415

    try:
        record(Wish(**wished), _machine(sysfs, procfs, None), used)
    except OSError as error:
        place = error.filename or wished["output"]
        raise click.ClickException(f"{place}: {error.strerror}") from error


@main.command()
@click.argument("config_file", metavar="FILE", type=flags.PATH)
def check(config_file: Path) -> None:
    """Check an exporter.yml.

    Every mistake is told with its line and column; the exit status is 2 if there is one.
    """
    config = _load(config_file).config
    from wattgov_exporter.pace import of_config  # noqa: PLC0415

    for sentence in of_config(config):
        click.echo(f"{config_file}: warning: {sentence}")
    click.echo(
        f"{config_file}: good; {len(config.apps)} apps, every {config.interval_seconds:g} s, "
        f"policy {config.policy}"
    )


@main.command()
@click.argument("folder", metavar="DIR", type=flags.PATH)
@click.option(
    "--site",
    "site_file",
    metavar="FILE",
    type=flags.PATH,
    help="YAML: PUE, price, zone, budgets, and who is scraped. Without it: this machine alone.",
)
def assets(folder: Path, site_file: Path | None) -> None:
    r"""Write into DIR what Prometheus, Alertmanager and Grafana need.

    Recording rules, alerts, dashboards and a scrape configuration, with your site's facts and
    targets filled in, rule files for the actuator, and a README.txt that says where all of it goes.

    \b
      wattgov-exporter assets first                         a first look, on this machine
      edit first/site.yml                                   your PUE, price, nodes, engines
      wattgov-exporter assets mine --site first/site.yml    yours

    Nothing is written over: a DIR that has one of the files is left as it is.
    """
    from wattgov_exporter.assets.site import Place, load  # noqa: PLC0415  no templates, no YAML
    from wattgov_exporter.assets.write import write  # noqa: PLC0415
    from wattgov_web.mistakes import Invalid, mistakes_of  # noqa: PLC0415

    try:
        place = load(site_file) if site_file else Place()
        own = site_file.read_bytes() if site_file else None
    except (Invalid, OSError) as error:
        raise _bad_input(mistakes_of(site_file or Path(), error)) from error
    try:
        written = write(folder, place, own)
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.strerror else str(error)
        raise click.ClickException(told) from error
    click.echo(f"{len(written)} files written; {folder / 'README.txt'} says where they go:\n")
    click.echo((folder / "README.txt").read_text(encoding="utf-8"), nl=False)


def _replay(path: Path | None) -> "Replay | None":
    from wattgov_web.mistakes import Invalid, mistakes_of  # noqa: PLC0415

    try:
        return None if path is None else flags.open_replay(path)
    except (Invalid, OSError) as error:
        raise _bad_input(mistakes_of(path or Path(), error)) from error


def _machine(sysfs: Path, procfs: Path, replay: "Replay | None") -> "Machine":
    from wattgov_exporter.sources import Machine  # noqa: PLC0415

    if replay:
        return replay.machine(time.monotonic, time.time)
    return Machine(sysfs, procfs, time.monotonic, time.time)


def _load(path: Path | None) -> "Loaded":
    from wattgov_exporter.loop import Loaded, read  # noqa: PLC0415
    from wattgov_exporter.sources import SOURCES  # noqa: PLC0415
    from wattgov_web.mistakes import Invalid, mistakes_of  # noqa: PLC0415

    if path is None:
        return Loaded()
    try:
        return read(path, SOURCES)
    except (Invalid, OSError) as error:
        raise _bad_input(mistakes_of(path, error)) from error


def _read_web(path: Path) -> "Web":
    from wattgov_web.webfile import load  # noqa: PLC0415  no file, no YAML

    return load(path)


def _web(path: Path | None) -> "WatchedWeb":
    from wattgov_web.mistakes import Invalid, mistakes_of  # noqa: PLC0415
    from wattgov_web.web import WatchedWeb  # noqa: PLC0415

    try:
        return WatchedWeb(path, _read_web, time.monotonic, _log)
    except (Invalid, OSError) as error:
        raise _bad_input(mistakes_of(path or Path(), error)) from error


def _bad_input(mistakes: list[str]) -> SystemExit:
    for mistake in mistakes:
        _log(mistake)
    return SystemExit(BAD_INPUT)


def _log(line: str) -> None:
    click.echo(line, err=True)


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise click.BadParameter(f"expected ADDRESS:PORT, found {listen!r}", param_hint="--listen")
    if int(port) > HIGHEST_PORT:
        raise click.BadParameter(
            f"port {port} is outside 0 to {HIGHEST_PORT}", param_hint="--listen"
        )
    return host.strip("[]"), int(port)
