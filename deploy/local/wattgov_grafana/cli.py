"""`python -m wattgov_grafana`: draw the dashboards, or try them in a Grafana."""

import json
import os
import time
from pathlib import Path
from typing import Any

import click
import requests

from wattgov_grafana import trial

CHECKOUT = Path(__file__).parents[3]
DASHBOARDS = CHECKOUT / "grafana" / "dashboards"


@click.group()
def main() -> None:
    """Draw the dashboards, or try them in a Grafana."""


@main.command()
@click.argument("prometheus", metavar="PROMETHEUS_URL")
@click.option(
    "--name", "names", multiple=True, help="A dashboard, such as overview.  [default: all]"
)
@click.option("--end", type=float, help="Unix time at the right edge.  [default: now]")
@click.option("--hours", default=1.0, show_default=True, help="How long a range is shown.")
@click.option("--width", default=1500, show_default=True, help="Pixels.")
@click.option("--svg", is_flag=True, help="Draw SVG instead of PNG.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=CHECKOUT / ".state" / "pictures",
    help="Folder for the pictures.  [default: .state/pictures]",
)
def preview(
    *,
    prometheus: str,
    names: tuple[str, ...],
    end: float | None,
    hours: float,
    width: int,
    svg: bool,
    into: Path,
) -> None:
    """Draw dashboards with what a Prometheus answers: a preview, no Grafana."""
    draw_all(prometheus, into, end or time.time(), hours, names=names, width=width, svg=svg)


def draw_all(
    prometheus: str,
    into: Path,
    end: float,
    hours: float,
    *,
    names: tuple[str, ...] = (),
    width: int = 1500,
    svg: bool = False,
    note: str = "",
) -> None:
    """Draw the dashboards, all or the named, into a folder; say which panels had no data.

    The *note* is written beside each title.
    """
    from wattgov_grafana.ask import Asker  # noqa: PLC0415  (matplotlib is an extra)
    from wattgov_grafana.preview import draw, span  # noqa: PLC0415

    pages = _pages()
    unknown = set(names) - set(pages)
    if unknown:
        raise click.BadParameter(f"no dashboard {', '.join(sorted(unknown))}", param_hint="--name")
    titles = {name: page["title"].removeprefix("Wattgov / ") for name, page in pages.items()}
    asker, shown = Asker(prometheus), span(end, hours * 3600)
    into.mkdir(parents=True, exist_ok=True)
    for name in names or pages:
        others = [title for other, title in titles.items() if other != name]
        try:
            canvas, empty = draw(pages[name], asker, shown, width=width, others=others, note=note)
        except (requests.RequestException, ValueError) as error:
            raise click.ClickException(f"{prometheus} does not answer: {error}") from error
        path = into / f"{name}.{'svg' if svg else 'png'}"
        canvas.save(path)
        told = f"  without data: {', '.join(empty)}" if empty else ""
        click.echo(f"{path}  {path.stat().st_size // 1000} kB{told}")


@main.command()
@click.option("--grafana", envvar="GRAFANA_URL", help="Grafana's URL; else $GRAFANA_URL.")
def check(*, grafana: str | None) -> None:
    """Load the dashboards into a Grafana, compare, and remove them; $GRAFANA_TOKEN logs in."""
    if not grafana:
        click.echo(
            "dashboards not tried: set GRAFANA_URL (and GRAFANA_TOKEN) to try them in a Grafana"
        )
        return
    server = trial.Grafana(grafana, os.environ.get("GRAFANA_TOKEN"))
    try:
        wrong = trial.check(server, _pages(), click.echo)
    except trial.Refused as refused:
        raise click.ClickException(str(refused)) from refused
    if wrong:
        raise click.ClickException("; ".join(wrong))


def _pages() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}
