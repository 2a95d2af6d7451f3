"""Run `python -m wattgov_stack`."""

from wattgov_stack.cli import main

main()
