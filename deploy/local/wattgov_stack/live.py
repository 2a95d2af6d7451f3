"""Show the live table while something goes on."""

import threading
from collections.abc import Callable
from contextlib import nullcontext

import requests
from rich.console import Console
from rich.live import Live

from wattgov_stack.ask import look
from wattgov_stack.stack import Stack
from wattgov_stack.table import render

REFRESH_SECONDS = 2.0
PLAIN_SECONDS = 15.0
"""Without a terminal the table is printed anew, so less often."""


def show(
    stack: Stack,
    console: Console,
    heading: Callable[[], str],
    stop: threading.Event,
    done: Callable[[], bool] = lambda: False,
) -> None:
    """Redraw until told to stop or *done*; Trouble when a part of the stack ends by itself."""
    session = requests.Session()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or nullcontext():
        while not (stop.is_set() or done()):
            stack.check()
            table = render(look(session, stack.layout.ports), stack.notices, heading())
            if live is not None:
                live.update(table, refresh=True)
            else:
                console.print(table)
            stop.wait(REFRESH_SECONDS if live else PLAIN_SECONDS)
