"""Signs of life, of who works with a state folder: nobody ends who gives them."""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wattgov_actuator.acting.lease import LeaseFile
from wattgov_actuator.logfmt import line
from wattgov_actuator.notify import ALIVE, Notify
from wattgov_actuator.reading import Clock

LOG = logging.getLogger(__name__)
LEASE_SECONDS = 60.0


def renewing(folder: Path, procfs: Path, now: Clock) -> Callable[[], None]:
    """Return what says that somebody is at work with the folder: nobody ends who does so."""

    def alive() -> None:
        with suppress(OSError):  # a full disk must not keep anybody from putting back
            LeaseFile(folder, procfs).renew(now().steady + LEASE_SECONDS)

    return alive


class Alive:
    """Tells guardian and systemd that we are."""

    def __init__(self, lease: LeaseFile, seconds: float, notify: Notify, now: Clock) -> None:
        self._lease, self._seconds = lease, seconds
        self._notify, self._now = notify, now
        self._trouble = ""

    def __call__(self) -> None:
        """Tell, many times a tick; what is in the way is logged once."""
        trouble = ""
        try:
            self._lease.renew(self._now().steady + self._seconds)
        except OSError as error:  # a guardian will end us; until then, what is to do is done
            trouble = str(error)
        if trouble not in {"", self._trouble}:
            LOG.error(line("lease_not_renewed", detail=trouble))
        self._trouble = trouble
        self._notify(ALIVE)
