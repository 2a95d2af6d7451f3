"""Who asks, and whether he may change anything."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

FROM_A_PAGE = ("origin", "sec-fetch-site")
RELAYED = ("x-forwarded-for", "forwarded", "via")


@dataclass(frozen=True, slots=True)
class Client:
    """One client; *proven* when everybody who gets in has shown a password or a certificate."""

    host: str
    user: str = ""  # who has logged in
    proven: bool = False

    def __str__(self) -> str:
        """Return who it is, for others to ask back."""
        return f"{self.user} at {self.host}" if self.user else self.host

    def may_change(self, headers: Mapping[str, str]) -> bool:
        """Tell whether the client has proved who he is, or is a program on this host.

        A web page in a browser here, or a proxy here that asks for somebody elsewhere, is neither.
        """
        if any(name in headers for name in FROM_A_PAGE):
            return False
        if self.proven:
            return True
        return not any(name in headers for name in RELAYED) and is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Tell whether an address of a socket is on this machine."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
