"""What the command line says of recordings. Light: what it needs is imported when it is used."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wattgov_exporter.recording.replay import Replay

Command = Callable[..., None]
PATH = click.Path(path_type=Path, readable=False)
"""Readable or not is found out by reading: access(2), which click asks, goes by the user alone and
not by the capabilities that a service may have."""

replayed = click.option(
    "--replay",
    "replay_file",
    metavar="FILE",
    type=PATH,
    help="A recording (see capture) in place of this machine, whose hardware is not touched.",
)


def captured(command: Command) -> Command:
    """Add the options of a recording: the fields of `command.Wish`."""
    for option in (
        click.option("--force", is_flag=True, help="Replace the file if it is there."),
        click.option("--processes", is_flag=True, help="Also who runs here: names, no arguments."),
        click.option(
            "--interval",
            type=click.FloatRange(0.1, 600),
            default=1.0,
            show_default=True,
            help="Seconds between two moments.",
        ),
        click.option(
            "--seconds",
            type=click.FloatRange(0, 3600),
            default=60.0,
            show_default=True,
            help="How long.",
        ),
        click.option(
            "-o",
            "--output",
            type=PATH,
            default=Path("machine.txt"),
            show_default=True,
            help="Where to write; - is standard output.",
        ),
    ):
        command = option(command)
    return command


def open_replay(path: Path) -> "Replay":
    """Open a recording until the command ends, and say that it is not this machine.

    Invalid and OSError as `replay.opened`.
    """
    from wattgov_exporter.recording.replay import opened  # noqa: PLC0415

    context = click.get_current_context()
    for root in ("sysfs", "procfs"):
        if context.get_parameter_source(root) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--replay has its own files: leave out --path.{root}")
    replay = context.with_resource(opened(path))
    told = f"this is a replay of {path} ({replay.seconds:g} s, again and again), not this machine"
    click.echo(told, err=True)
    return replay
