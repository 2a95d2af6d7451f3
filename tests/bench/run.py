"""`make bench`: what the meter costs, how well it counts, and how well the governor searches."""

from rich.console import Console

import accuracy
import cost
import forecast
import rules
import search

if __name__ == "__main__":
    console = Console(width=100)
    cost.show(console)
    accuracy.show(console)
    rules.show(console)
    forecast.show(console)
    search.show(console)
