"""`make bench`: what the meter costs and how well it counts, in one run."""

from rich.console import Console

import accuracy
import cost

if __name__ == "__main__":
    console = Console(width=100)
    cost.show(console)
    accuracy.show(console)
