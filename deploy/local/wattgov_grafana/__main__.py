"""Run `python -m wattgov_grafana`."""

from wattgov_grafana.cli import main

main()
