"""Whose program is at the other end of a connection within this machine, as the kernel has it."""

import ipaddress
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PROCFS = Path("/proc")
ESTABLISHED = "01"
NO_INODE = "0"  # of a socket that its program has closed; the kernel then gives root as its owner
NOBODY = 65534
"""Also stands for all users whom our user namespace does not know (kernel.overflowuid)."""

MOST_LOOKS = 6

_MAPPED = bytes(10) + b"\xff\xff"  # before an IPv4 address, as an IPv6 one
_REMOTE, _STATE, _OWNER, _INODE = 2, 3, 7, 9  # the columns; proc_pid_net(5)
End = tuple[str, int]
Entry = tuple[str, str]  # owner and inode


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a connection: addresses and ports."""

    peer: End
    here: End

    def owner(self, procfs: Path = PROCFS) -> int | None:
        """Return the user to whom the peer's socket belongs, None where that cannot be told.

        It is read until two looks in a row agree. A client that hangs up meanwhile could pass for
        root: what was still open at the second look was so at the first. And where many sockets
        come and go, the kernel may leave one out that is there all the time.
        """
        entry = agreed(self._entry(procfs) for _ in range(MOST_LOOKS))
        owner = NOBODY if entry is None else int(entry[0])
        return None if owner == NOBODY else owner

    def _entry(self, procfs: Path) -> Entry | None:
        """Return owner and inode of the one open socket at the other end."""
        found = [
            (columns[_OWNER], columns[_INODE])
            for table, peer, here in self._spellings()
            for columns in _rows(procfs / "net" / table, peer)
            if columns[_REMOTE] == here and columns[_STATE] == ESTABLISHED
        ]
        return found[0] if len(found) == 1 and found[0][1] != NO_INODE else None

    def _spellings(self) -> Iterator[tuple[str, str, str]]:
        """Yield the tables that may have the peer's socket, with both ends as each spells them.

        A program may speak IPv4 through a socket of IPv6, whatever we listen on.
        """
        (peer_host, peer_port), (here_host, here_port) = self.peer, self.here
        peer, here = _plain(peer_host), _plain(here_host)
        if isinstance(peer, ipaddress.IPv4Address):
            yield "tcp", _hexed(peer.packed, peer_port), _hexed(here.packed, here_port)
            within = [_MAPPED + each.packed for each in (peer, here)]
            yield "tcp6", _hexed(within[0], peer_port), _hexed(within[1], here_port)
        else:
            yield "tcp6", _hexed(peer.packed, peer_port), _hexed(here.packed, here_port)


def agreed(looks: Iterable[Entry | None]) -> Entry | None:
    """Return the first entry that two looks in a row saw; None when no two did."""
    return next((one for before, one in pairwise(looks) if one is not None and one == before), None)


def _rows(table: Path, local: str) -> Iterator[list[str]]:
    """Yield the columns of the sockets with a local end; none where there is no table."""
    try:
        with table.open(encoding="ascii") as lines:
            yield from (line.split() for line in lines if f" {local} " in line)
    except (OSError, UnicodeDecodeError):
        return


def _plain(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _hexed(packed: bytes, port: int) -> str:
    """Return an end as the kernel prints it: words of four bytes in the machine's own order."""
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"
