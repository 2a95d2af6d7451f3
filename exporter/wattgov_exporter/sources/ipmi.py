"""Power of the whole node by IPMI DCMI, from this machine's own BMC or one on the network.

Source: DCMI specification v1.5, 6.6.1 Get Power Reading. Little-endian, watts in 16 bits.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wattgov_exporter.config import Ipmi as Settings
from wattgov_exporter.integral import Integral, wrong
from wattgov_exporter.reading import (
    Anomaly,
    Clock,
    Component,
    Energy,
    Meter,
    Method,
    NoMeter,
    Readings,
    Reason,
)
from wattgov_exporter.sources.ipmi_device import Device
from wattgov_exporter.sources.ipmi_lan import Lan

DEVICE = Path("/dev/ipmi0")
MAX_WATTS = 20_000.0
"""A node's plausible power: above any one chassis."""

BRIDGED_INTERVALS = 3

NETFN_GROUP = 0x2C
GROUP_DCMI = 0xDC
GET_POWER_READING = 0x02
SYSTEM_POWER = bytes([GROUP_DCMI, 0x01, 0x00, 0x00])
"""Mode 1, system power statistics; no attributes."""

_READING = struct.Struct("<BHHHHIIB")
_ACTIVE = 1 << 6

COMPLETIONS: Mapping[int, tuple[Reason, str]] = {
    0xC0: (Reason.INVALID, "the BMC is busy"),
    0xC1: (Reason.UNSUPPORTED, "the BMC does not know the command: it has no DCMI power reading"),
    0xC2: (Reason.UNSUPPORTED, "the BMC does not take the command on this LUN"),
    0xC3: (Reason.TIMEOUT, "the BMC ran out of time over the command"),
    0xC7: (Reason.UNSUPPORTED, "the BMC expects a request of another length"),
    0xC9: (Reason.UNSUPPORTED, "the BMC has no system power statistics"),
    0xCB: (Reason.UNSUPPORTED, "the BMC has no power sensor"),
    0xCC: (Reason.UNSUPPORTED, "the BMC has no system power statistics"),
    0xCE: (Reason.INVALID, "the BMC could not answer"),
    0xD1: (Reason.INVALID, "the BMC is updating its firmware"),
    0xD2: (Reason.INVALID, "the BMC is still starting"),
    0xD3: (Reason.INVALID, "the BMC cannot reach its power sensor"),
    0xD4: (Reason.PERMISSION, "the account needs the User privilege, or a firewall is in between"),
    0xD5: (Reason.UNSUPPORTED, "the BMC cannot do that in its present state"),
    0xD6: (Reason.UNSUPPORTED, "the power reading is switched off in the BMC"),
    0xFF: (Reason.INVALID, "the BMC does not say why"),
}
"""IPMI 2.0 table 5-2, as far as Get Power Reading may answer."""


class Way(Protocol):
    """How a BMC is reached."""

    def ask(self, netfn: int, command: int, data: bytes) -> bytes:
        """Return the answer, completion code first; NoMeter when there is none."""
        ...

    def close(self) -> None:
        """Let go of the BMC."""
        ...


@dataclass(frozen=True, slots=True)
class PowerReading:
    """What Get Power Reading tells of this moment; its statistics are left out."""

    watts: int
    active: bool


class Ipmi:
    """The trapezoid over the BMC's power: DCMI counts no energy."""

    name = "ipmi"
    expected_error = (
        "what its maker states for the sensor, in whole watts and already averaged; no public "
        "comparison"
    )

    def __init__(self, settings: Settings, clock: Clock, way: Way | None = None) -> None:
        self.interval_seconds = settings.interval_seconds
        self._clock = clock
        self._zone = settings.host or "local"
        self._integral = Integral(BRIDGED_INTERVALS * settings.interval_seconds)
        near = settings.host is None
        self._way = way or (
            Device(DEVICE, settings.timeout_seconds) if near else Lan(settings, clock)
        )

    def read(self) -> Readings:
        """Read the power; NoMeter says in words why it cannot be."""
        reading = parse(self._way.ask(NETFN_GROUP, GET_POWER_READING, SYSTEM_POWER))
        if not reading.active:
            raise NoMeter(Reason.UNSUPPORTED, "DCMI: the BMC's power measurement is not active")
        # Nor 0: this very node is running. 65535 is "no reading".
        anomaly = wrong(reading.watts, MAX_WATTS) if reading.watts else Anomaly.SENTINEL
        if anomaly is not None:
            raise NoMeter(Reason.INVALID, f"DCMI: {reading.watts} W cannot be", anomaly)
        now = self._clock()
        meter = Meter(
            source=self.name,
            component=Component.PLATFORM,
            package="",
            zone=self._zone,
            method=Method.DERIVED,
            max_watts=MAX_WATTS,
        )
        joules = self._integral.add(reading.watts, now)
        return Readings((Energy(meter, joules, now, self._integral.is_start),))

    def close(self) -> None:
        """Log out."""
        self._way.close()


def parse(answer: bytes) -> PowerReading:
    """Read an answer to Get Power Reading, completion code first; NoMeter when it is none."""
    if not answer:
        raise NoMeter(Reason.INVALID, "DCMI: the BMC answered nothing")
    code, body = answer[0], answer[1:]
    if code:
        reason, words = COMPLETIONS.get(code, (Reason.INVALID, "the BMC refused"))
        raise NoMeter(reason, f"DCMI: {words} (completion code 0x{code:02X})")
    if len(body) < _READING.size or body[0] != GROUP_DCMI:
        raise NoMeter(
            Reason.INVALID,
            f"DCMI: {len(body)} bytes that are no power reading: {body[:24].hex(' ')}",
        )
    _, watts, *_, state = _READING.unpack_from(body)
    return PowerReading(watts, bool(state & _ACTIVE))
