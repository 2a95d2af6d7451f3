"""Run `python -m wattgov_exporter`."""

from wattgov_exporter.cli import main

main()
