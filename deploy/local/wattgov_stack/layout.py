"""Where the stack's parts listen and keep their files."""

import socket
from dataclasses import dataclass, fields
from pathlib import Path
from random import SystemRandom

from wattgov_stack.trouble import Trouble

CHECKOUT = Path(__file__).parents[3]
LOOPBACK = "127.0.0.1"
UNPICKED = range(10_000, 32_768)  # Linux picks ports above, ip_local_port_range's default


@dataclass(frozen=True, slots=True)
class Ports:
    """One port each, all on loopback; `alerts` is where the stack itself receives notifications."""

    exporter: int = 9470
    actuator: int = 9471
    alerts: int = 9473
    prometheus: int = 9090
    alertmanager: int = 9093

    def url(self, part: str) -> str:
        """Return the base URL of a part."""
        return f"http://{LOOPBACK}:{getattr(self, part)}"


PARTS = tuple(field.name for field in fields(Ports))


@dataclass(frozen=True, slots=True)
class Layout:
    """What this run of the stack is made of."""

    state: Path
    ports: Ports
    exporter_config: Path
    actuator_rules: tuple[Path, ...]
    recording_rules: Path = CHECKOUT / "rules" / "recording"
    alerting: Path = CHECKOUT / "alerting"
    scrape_seconds: int = 5
    enforce: bool = False
    exporter_options: tuple[str, ...] = ()
    actuator_options: tuple[str, ...] = ()


def check_ports(ports: Ports) -> None:
    """Raise Trouble, naming every port that is taken and by whom."""
    taken = [part for part in PARTS if _taken(getattr(ports, part))]
    if taken:
        told = "; ".join(
            f"{part} needs port {getattr(ports, part)}, which {_owner(getattr(ports, part))} has"
            for part in taken
        )
        raise Trouble(f"{told}. Stop that, or move ours: make up UP='--port {taken[0]}=NUMBER'")


def free_ports() -> Ports:
    """Return ports that are free now; for tests, which may run side by side."""
    # Not what the kernel would pick: until the part listens, a connection of another test may
    # get the same port from it.
    drawn = SystemRandom().sample(UNPICKED, 20 * len(PARTS))
    free = [port for port in drawn if not _taken(port)]
    return Ports(**dict(zip(PARTS, free, strict=False)))


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a port that only waits for late packets of the last run is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def _owner(port: int) -> str:
    """Name the process that listens on a port, as far as /proc lets us see."""
    inode = _listening_inode(port)
    for link in Path("/proc").glob("[0-9]*/fd/*") if inode else ():
        try:
            if str(link.readlink()) == f"socket:[{inode}]":
                pid = link.parts[2]
                return f"{(Path('/proc') / pid / 'comm').read_text().strip()} (pid {pid})"
        except OSError:
            continue  # it ended while we looked, or is not ours to see
    return "another program"


def _listening_inode(port: int) -> str:
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields_ = line.split()
            if fields_[1].endswith(f":{port:04X}") and fields_[3] == "0A":
                return fields_[9]
    return ""
