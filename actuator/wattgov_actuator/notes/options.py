"""The options that say where notes go. Secrets come by file or by environment only."""

import click

from wattgov_actuator.flags import PATH, Command, url

TOKEN, WEBHOOK = "GRAFANA_TOKEN", "WATTGOV_WEBHOOK_URL"


def note_options(command: Command) -> Command:
    """Add --grafana-url, --grafana-token-file and --webhook-url-file."""
    command = click.option(
        "--webhook-url-file",
        type=PATH,
        envvar=f"{WEBHOOK}_FILE",
        show_envvar=True,
        help="File with the URL of a webhook, as Slack has them, that is told of every change; "
        f"${WEBHOOK} may hold the URL itself.",
    )(command)
    command = click.option(
        "--grafana-token-file",
        type=PATH,
        envvar=f"{TOKEN}_FILE",
        show_envvar=True,
        help=f"File with Grafana's token; ${TOKEN} may hold the token itself.",
    )(command)
    return click.option(
        "--grafana-url",
        metavar="URL",
        callback=lambda context, option, value: value and url(context, option, value),
        help="Grafana that is to have an annotation of every change.",
    )(command)
