"""The limits of NVIDIA GPUs through zeusd, the daemon of Zeus that may set them for who may not.

zeusd numbers the cards by itself, so a card is found by its place on the bus. What is set reads
back through NVML, which takes no privilege. Source: zeusd/src/routes and docs/zeusd/api.md of
ml-energy/zeus 0.16.
"""

from collections.abc import Callable
from urllib.parse import urlencode

import pynvml

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.gpu_clock_lock import MEGA, GpuClockLock, clocks_megahertz
from wattgov_actuator.knobs.gpu_power_limit import MILLI, GpuPowerLimit
from wattgov_actuator.knobs.nvml import told
from wattgov_actuator.knobs.secrets import secret
from wattgov_actuator.knobs.unix_socket import UnixSocket
from wattgov_actuator.knobs.web import Headers, Reply, Web
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, Hidden, InForce, Knob, KnobError, Probe

GROUP = "gpu-control"
OPEN = "see --socket-permissions of zeusd"
FIXES = {
    401: "give a token that it knows",
    403: "the token lacks the scope gpu-control, or zeusd itself is not root",
}
Ask = Callable[[str, str], Reply]
Order = tuple[str, dict[str, int]]  # the end of the path, and what it takes
Ordering = Callable[[str, float], Order]


class Zeusd:
    """What zeusd does for one knob; everything but the writing is *seen*'s."""

    def __init__(self, seen: Knob, ask: Ask, there: Ordering, back: Ordering) -> None:
        """Take what gives the orders for a card and a value, there and *back*."""
        self._seen, self._ask, self._there, self._back = seen, ask, there, back

    def probe(self) -> Probe:
        """Return the cards that NVML shows."""
        return self._seen.probe()

    def read(self, target: str) -> InForce | Hidden:
        """Return what NVML reads."""
        return self._seen.read(target)

    def write(self, target: str, value: float) -> None:
        """Have *value* set."""
        self._do(target, *self._there(target, value))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Have it put back: milliwatts come back exactly, a lock is taken off."""
        self._do(target, *self._back(target, value))

    def close(self) -> None:
        """Let go of NVML."""
        self._seen.close()

    def _do(self, target: str, path: str, values: dict[str, int]) -> None:
        """Give the order, and wait until it is carried out."""
        query = urlencode({"gpu_ids": self._number(target), **values, "block": "true"})
        reply = self._ask("POST", f"/gpu/{path}?{query}")
        if not reply.good:
            raise _fault(reply)

    def _number(self, target: str) -> int:
        """Return which number zeusd has for a card; raises KnobError."""
        reply = self._ask("GET", "/discover")
        if not reply.good:
            raise _fault(reply)
        found = reply.json()
        groups = found.get("enabled_api_groups") if isinstance(found, dict) else None
        cards = found.get("gpus") if isinstance(found, dict) else None
        if not isinstance(cards, list) or not isinstance(groups, list):
            raise KnobError(Fault.LOST, f"{reply.url} names no GPUs: is it zeusd?")
        if GROUP not in groups:
            detail = f"zeusd does not let GPUs be set; run: zeusd serve --enable gpu-read,{GROUP}"
            raise KnobError(Fault.REFUSED, detail)
        with told("place on the bus"):
            handle = pynvml.nvmlDeviceGetHandleByUUID(target)
            bus = str(pynvml.nvmlDeviceGetPciInfo(handle).busId)
        for card in cards:
            if isinstance(card, dict) and _place(str(card.get("pci_address", ""))) == _place(bus):
                return int(card["id"])
        raise KnobError(Fault.LOST, f"zeusd has no card at {bus}; it needs version 0.16 or later")


def _token(way: Connection) -> Headers:
    token = secret(way, "token")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _fault(reply: Reply) -> KnobError:
    """Return what zeusd says: to all, to each card, or as plain text."""
    try:
        found = reply.json()
    except KnobError:
        found = None
    words = ""
    if isinstance(found, dict):
        each = found.get("errors")
        words = " ".join(map(str, each.values())) if isinstance(each, dict) else ""
        words = words or str(found.get("error", ""))
    return reply.fault(FIXES, words)


def _place(address: str) -> tuple[str, ...]:
    """Return a PCI address without the zeros that NVML puts before its domain."""
    domain, *others = address.lower().split(":")
    return (domain.lstrip("0"), *others)


def _limit(_: str, value: float) -> Order:
    return "set_power_limit", {"power_limit_mw": round(value * MILLI)}


def _lock(target: str, value: float) -> Order:
    with told("clock lock"):
        low, _ = clocks_megahertz(pynvml.nvmlDeviceGetHandleByUUID(target))
    return "set_gpu_locked_clocks", {"min_clock_mhz": low, "max_clock_mhz": round(value / MEGA)}


def _free(_: str, __: float) -> Order:
    return "reset_gpu_locked_clocks", {}


def open_knob(_: Machine, way: Connection) -> Zeusd:
    """Return the knob; nobody is asked yet."""
    ask: Ask = Web(way, lambda: _token(way)).ask
    if not way.text("url"):
        daemon = UnixSocket("zeusd", way.text("socket"), way.timeout_seconds, OPEN)
        ask = lambda verb, path: daemon.ask(verb, path, _token(way))  # noqa: E731 (one of two ways)
    if way.knob == "gpu_clock_lock":
        return Zeusd(GpuClockLock(), ask, _lock, _free)
    return Zeusd(GpuPowerLimit(), ask, _limit, _limit)
