"""Run `python -m wattgov_actuator`."""

from wattgov_actuator.cli import main

main()
