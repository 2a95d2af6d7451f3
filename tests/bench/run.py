"""`make bench`: what the meter costs, how well it counts, how well and fast the governor acts."""

from rich.console import Console

import accuracy
import admission
import asleep
import cost
import decide
import forecast
import heat
import rules
import search

if __name__ == "__main__":
    console = Console(width=100)
    cost.show(console)
    accuracy.show(console)
    rules.show(console)
    forecast.show(console)
    search.show(console)
    decide.show(console)
    heat.show(console)
    admission.show(console)
    asleep.show(console)
