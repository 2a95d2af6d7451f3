"""`python -m story`: a Prometheus with the story in it, and the pictures of the documentation."""

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from story import server
from story.play import START
from wattgov_grafana.cli import CHECKOUT, draw_all

PICTURES = CHECKOUT / "docs" / "pictures"
HOURS = 4.5
SHOWN_HOURS = 1.5
NOTE = "made-up data: no number here is a measurement"


@click.group()
def main() -> None:
    """Three nodes, made up: no number here is a measurement."""


@main.command()
@click.option("--hours", default=HOURS, show_default=True, help="How long the story is.")
def serve(*, hours: float) -> None:
    """Run a Prometheus with the story in it until Ctrl-C; print its URL and the story's end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or Prometheus would be left behind
    with _told(hours) as url, suppress(KeyboardInterrupt):
        click.echo(json.dumps({"url": url, "end": START + hours * 3600}))
        signal.pause()


@main.command()
@click.option("--into", type=click.Path(path_type=Path), default=PICTURES, help="The folder.")
def draw(*, into: Path) -> None:
    """Draw the pictures of the documentation."""
    with _told(HOURS) as url:
        draw_all(url, into, START + HOURS * 3600, SHOWN_HOURS, note=NOTE)


@contextmanager
def _told(hours: float) -> Iterator[str]:
    program = shutil.which("prometheus")
    if program is None:
        raise click.ClickException(
            "prometheus is not installed (Debian: apt-get install prometheus)"
        )
    with (
        tempfile.TemporaryDirectory() as folder,
        server.prometheus(program, Path(folder), hours * 3600) as url,
    ):
        yield url


if __name__ == "__main__":
    main(prog_name="story")
