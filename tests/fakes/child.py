"""Do something in a process of its own, which may be changed or killed for good."""

import os
from collections.abc import Callable


def in_a_child(work: Callable[[], None]) -> int:
    """Do *work* in a process of its own; return how it ended, as `subprocess` says it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 (the child must not go on as pytest)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
