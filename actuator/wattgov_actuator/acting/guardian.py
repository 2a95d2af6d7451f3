"""The guardian: when nobody renews the lease, it ends the loop that hangs, and puts back."""

import logging
from collections.abc import Callable
from queue import Empty

from wattgov_actuator.acting.journal import JournalError
from wattgov_actuator.acting.lease import LeaseFile
from wattgov_actuator.acting.lock import Busy
from wattgov_actuator.logfmt import line
from wattgov_actuator.orders import RELOAD_ON, Orders
from wattgov_actuator.reading import Clock

LOG = logging.getLogger(__name__)
LOOK_SECONDS, RETRY_SECONDS = 1.0, 10.0


class Guardian:
    """One state folder, watched."""

    def __init__(
        self,
        lease: LeaseFile,
        now: Clock,
        evict: Callable[[], int | None],
        put_back: Callable[[], bool],
    ) -> None:
        """Take what ends the lock's holder, and what restores and tells if something is left."""
        self._lease, self._now, self._evict, self._put_back = lease, now, evict, put_back
        self._left = False  # something could not be put back, and nobody else has seen to it

    def run(self, stop: Orders) -> None:
        """Look until something is put into *stop*; there is nothing that it could read again."""
        wait = 0.0
        while True:
            try:
                word = stop.get(True, wait)
            except Empty:
                wait = LOOK_SECONDS if self.look() else RETRY_SECONDS
                continue
            if word == RELOAD_ON:
                continue
            LOG.info(line("stopping", on=word))
            return

    def look(self) -> bool:
        """Put back if the lease has passed; return False when that has to be tried again.

        Who puts back has a lease himself, which outlasts him. So what was left is tried again
        without looking at it, and then nobody is ended: who holds the lock sees to it.
        """
        passed = self._lease.over(self._now().steady)
        if not (passed or self._left):
            return True
        try:
            if passed:
                LOG.warning(line("lease_passed", killed=self._evict()))
            self._left = self._put_back()
        except (Busy, JournalError, OSError) as error:
            self._left = not isinstance(error, Busy)
            LOG.error(line("not_put_back", detail=error))  # noqa: TRY400 (one line per event)
            return False
        if self._left:
            return False
        self._lease.end()
        LOG.info(line("lease_ended"))
        return True
