"""Show the live table while something goes on."""

import signal
from collections.abc import Callable
from contextlib import nullcontext
from queue import Empty, SimpleQueue

from rich.console import Console
from rich.live import Live

from wattgov_stack.ask import direct, look
from wattgov_stack.stack import Stack
from wattgov_stack.table import render

FIRST_LOOK_SECONDS = 0.5
REFRESH_SECONDS = 2.0
PLAIN_SECONDS = 15.0
"""Without a terminal the table is printed anew, so less often."""


class Stop:
    """Set by Ctrl-C or SIGTERM, and then for good.

    A queue and no Event: an Event's lock may be held by the very wait that the signal interrupts.
    """

    def __init__(self) -> None:
        self._signals: SimpleQueue[int] = SimpleQueue()
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: self._signals.put(number))

    def wait(self, seconds: float) -> bool:
        """Return whether to stop, after *seconds* at the latest."""
        try:
            self._signals.get(timeout=max(seconds, 0.0))
        except Empty:
            return self.asked
        self.asked = True
        return True


def show(
    stack: Stack,
    console: Console,
    heading: Callable[[], str],
    stop: Stop,
    done: Callable[[], bool] = lambda: False,
) -> None:
    """Redraw until told to stop or *done*; Trouble when a part of the stack ends by itself."""
    session = direct()
    console.print("waiting for the first two samples ...")
    while not look(session, stack.layout.ports).answers.get("watts"):
        stack.check()
        if stop.wait(FIRST_LOOK_SECONDS):
            return
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or nullcontext():
        while not (stop.asked or done()):
            stack.check()
            table = render(look(session, stack.layout.ports), stack.notices, heading())
            if live is not None:
                live.update(table, refresh=True)
            else:
                console.print(table)
            stop.wait(REFRESH_SECONDS if live else PLAIN_SECONDS)
