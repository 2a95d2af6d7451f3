"""Who asks, and whether he may change anything."""

import ipaddress
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

ROOT = 0
FROM_A_PAGE = ("origin", "sec-fetch-site")
RELAYED = ("x-forwarded-for", "forwarded", "via")


def _cannot_be_told() -> None:
    """Know nobody."""


@dataclass(frozen=True, slots=True)
class Client:
    """One client; *proven* when everybody who gets in has shown a password or a certificate.

    *owner* finds the user whose program it is, and *owners* are those who may also send us signals.
    """

    host: str
    user: str = ""  # who has logged in
    proven: bool = False
    owner: Callable[[], int | None] = _cannot_be_told
    owners: Collection[int] = (ROOT,)

    def __str__(self) -> str:
        """Return who it is, for others to ask back."""
        return f"{self.user} at {self.host}" if self.user else self.host

    def against_asking(self, headers: Mapping[str, str]) -> str:
        """Return what keeps him from asking for what does no harm: "" for a program on this host.

        A web page in a browser here, or a proxy here that asks for somebody elsewhere, is none.
        """
        if any(name in headers for name in FROM_A_PAGE):
            return "no web page may ask for that"
        relayed = any(name in headers for name in RELAYED)
        if self.proven or (not relayed and is_loopback(self.host)):
            return ""
        return "log in, or be a program on this host"

    def against_changing(self, headers: Mapping[str, str]) -> str:
        """Return what keeps him from changing anything, "" when nothing does.

        Where nobody logs in, he has to be who could as well send us a signal.
        """
        if (said := self.against_asking(headers)) or self.proven:
            return said
        owner = self.owner()
        if owner in self.owners:
            return ""
        whose = "whose program asks cannot be told" if owner is None else f"user {owner} asks"
        return f"{whose}: be root or the user that this runs as, or log in"


def is_loopback(host: str) -> bool:
    """Tell whether an address of a socket is on this machine."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
