"""`test`: what rules decide in scenarios, on a machine that is not there."""

from pathlib import Path

import click

from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.exits import BAD_INPUT, FAILED, told
from wattgov_actuator.flags import PATH
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.laws import LAWS
from wattgov_actuator.scenarios.file import read
from wattgov_actuator.scenarios.run import report, trial
from wattgov_actuator.simulation import scratch


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
def test(files: tuple[Path, ...]) -> None:
    """Run scenarios: what rules decide on a simulated machine, tick by tick.

    FILE names rule files, what Prometheus answers over time, the devices and what is expected;
    docs/testing-rules.md has the form. Neither Prometheus nor a device is needed.

    Exit status: 0 when all is as expected, 1 when something is not, 2 for a mistake in a file.
    """
    status = 0
    for file in files:
        click.echo(f"{file}")
        try:
            suite = read(file, LAWS, KNOBS)
        except Invalid as error:
            click.echo(str(error), err=True)
            status = BAD_INPUT
            continue
        for scenario in suite.scenarios:
            with told(), scratch() as folder:
                verdict = trial(scenario, suite.rules, Path(folder))
            click.echo(report(verdict))
            status = max(status, FAILED if verdict.misses else 0)
    raise SystemExit(status)
