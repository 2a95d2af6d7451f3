"""Words to systemd, as sd_notify(3) has them: a datagram to the socket that it names."""

import socket
from collections.abc import Mapping

READY, ALIVE, GOING = "READY=1", "WATCHDOG=1", "STOPPING=1"


class Notify:
    """Tells systemd how we are; tells nobody where there is none."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        given = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{given[1:]}" if given.startswith("@") else given

    def __call__(self, word: str) -> None:
        """Send one word. A manager that does not take it is not waited for: it will miss it."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
            end.setblocking(False)
            try:
                end.sendto(word.encode(), self._address)
            except OSError:  # without its sign of life systemd restarts us, which puts back
                return
