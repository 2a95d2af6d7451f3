"""`python -m wattgov_stack up`: what `make up` runs."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from wattgov_stack import configs
from wattgov_stack.layout import CHECKOUT, PARTS, Layout, Ports
from wattgov_stack.live import Stop, show
from wattgov_stack.stack import Stack
from wattgov_stack.trouble import Trouble


@click.group()
def main() -> None:
    """Run the whole of Wattgov on this machine."""


@main.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=CHECKOUT / ".state" / "up",
    help="Folder for data, configurations and logs.  [default: .state/up]",
)
@click.option(
    "--exporter-config",
    type=click.Path(path_type=Path, exists=True),
    default=CHECKOUT / "deploy" / "local" / "exporter.yml",
    help="exporter.yml with your apps.  [default: deploy/local/exporter.yml]",
)
@click.option(
    "--rules",
    "rules",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    default=(CHECKOUT / "rules" / "actuator" / "balanced.yml",),
    help="Rule file of the actuator, may be repeated.  [default: balanced.yml]",
)
@click.option(
    "--scrape",
    "scrapes",
    metavar="APP=HOST:PORT",
    multiple=True,
    help="Scrape this app's /metrics too, may be repeated.",
)
@click.option(
    "--port",
    "moved",
    metavar="PART=NUMBER",
    multiple=True,
    help=f"Move a port; parts: {', '.join(PARTS)}.",
)
@click.option("--enforce", is_flag=True, help="Let the actuator write; the default is a dry run.")
def up(
    *,
    state: Path,
    exporter_config: Path,
    rules: tuple[Path, ...],
    scrapes: tuple[str, ...],
    moved: tuple[str, ...],
    enforce: bool,
) -> None:
    """Start exporter, Prometheus, Alertmanager and actuator, and show a live table; Ctrl-C ends."""
    console = Console()
    stop = Stop()
    layout = Layout(
        state=state,
        ports=_ports(moved),
        exporter_config=exporter_config,
        actuator_rules=rules,
        enforce=enforce,
    )
    began = time.monotonic()
    try:
        with Stack(layout, os.environ, console.print) as stack:
            for scrape in scrapes:
                configs.target(layout, *_pair(scrape, "--scrape"))
            stack.start_actuator()
            console.print(f"all ready after {time.monotonic() - began:.1f} s; Ctrl-C ends\n")
            mode = "enforcing" if enforce else "dry run"
            heading = f"Wattgov on {socket.gethostname()}, {mode}; {layout.ports.url('prometheus')}"
            show(stack, console, lambda: heading, stop)
            console.print("stopping: the actuator puts back what it changed ...")
    except Trouble as trouble:
        raise click.ClickException(str(trouble)) from trouble
    console.print("all stopped")


def _ports(moved: tuple[str, ...]) -> Ports:
    changes: dict[str, int] = {}
    for one in moved:
        part, number = _pair(one, "--port")
        if part not in PARTS or not number.isdigit():
            raise click.BadParameter(
                f"expected PART=NUMBER with a part of {', '.join(PARTS)}, found {one!r}",
                param_hint="--port",
            )
        changes[part] = int(number)
    return replace(Ports(), **changes)


def _pair(text: str, option: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left and equals and right):
        raise click.BadParameter(f"expected NAME=VALUE, found {text!r}", param_hint=option)
    return left, right
