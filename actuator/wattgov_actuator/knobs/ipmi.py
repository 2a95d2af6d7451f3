"""The power limit of a whole machine, in watts, that its BMC keeps, over IPMI's DCMI.

Source: DCMI 1.5, 6.6.2 to 6.6.4. A limit that is set is not in force before it is activated. What
else belongs to it (what happens on a breach, how soon it corrects, over what it averages) is given
back as it was read.
"""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.ipmi_lan import asking
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

RESOLUTION_WATTS = 1.0
NETFN_GROUP, GROUP_DCMI = 0x2C, 0xDC
GET_LIMIT, SET_LIMIT, ACTIVATE = 0x03, 0x04, 0x05
NO_LIMIT = 0x80  # a completion code that is none of an error
POWER_OFF = 0x01  # an exception action
_GOT = struct.Struct("<B2xBHI2xH")
_SET = struct.Struct("<B3xBHI2xH")

COMPLETIONS = {
    0x84: (Fault.REFUSED, "the limit is out of its range"),
    0x85: (Fault.REFUSED, "the correction time is out of its range"),
    0x89: (Fault.REFUSED, "the sampling period is out of its range"),
    0xC0: (Fault.LOST, "it is busy"),
    0xC1: (Fault.UNSUPPORTED, "it knows no DCMI power limit"),
    0xC9: (Fault.REFUSED, "a value is out of its range"),
    0xCC: (Fault.REFUSED, "it does not take such a request"),
    0xD4: (Fault.REFUSED, "the account needs the privilege Operator"),
    0xD5: (Fault.UNSUPPORTED, "it cannot do that in its present state"),
    0xD6: (Fault.UNSUPPORTED, "the power limit is switched off in the BMC"),
}
"""By completion code: what is wrong (DCMI 1.5, IPMI 2.0 table 5-2)."""

Ask = Callable[[int, int, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Limit:
    """What Get Power Limit tells."""

    watts: int
    active: bool
    exception: int = 0
    correction_milliseconds: int = 1000
    sampling_seconds: int = 1


class Ipmi:
    """The limit of one BMC; each call is a session of its own, so that none is held for long."""

    def __init__(self, way: Connection) -> None:
        """Take the connection."""
        self._way = way

    def probe(self) -> Probe:
        """Return the one target; DCMI tells no range, the entry does."""
        way = self._way
        low, high = way.number("low"), way.number("high")
        if not 0 < low < high:
            raise KnobError(Fault.UNSUPPORTED, f"low {low:g} and high {high:g} are no range")
        found = Target(way.knob, way.name, way.labels, low, high, "watts", RESOLUTION_WATTS)
        return Probe((found,))

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return the limit, and all that belongs to it as text."""
        with asking(self._way) as ask:
            limit = _get(ask)
        value = float(limit.watts) if limit.active else self._way.number("high")
        return InForce(value, text=json.dumps(asdict(limit)))

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Set the limit in whole watts, and activate it."""
        with asking(self._way) as ask:
            limit = _get(ask)
            if limit.exception == POWER_OFF:
                detail = "its exception action is Hard Power Off: a limit could end the machine"
                raise KnobError(Fault.REFUSED, f"{detail}; set it to No Action in the BMC")
            _set(ask, replace(limit, watts=round(value)))
            _activate(ask, on=True)

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put back what was read; a limit that was not active is not again."""
        before = Limit(**json.loads(text))
        with asking(self._way) as ask:
            if before.active:
                _set(ask, before)
                _activate(ask, on=True)
                return
            _activate(ask, on=False)
            with suppress(KnobError):  # one that was never set, 0 W, need not be one to set
                _set(ask, before)

    def close(self) -> None:
        """Nothing is open."""


def _get(ask: Ask) -> Limit:
    """Return the limit; raises KnobError."""
    answer = ask(NETFN_GROUP, GET_LIMIT, bytes([GROUP_DCMI, 0, 0]))
    if answer[0] not in {0, NO_LIMIT}:
        raise _fault(answer[0])
    body = answer[1:]
    if len(body) < _GOT.size or body[0] != GROUP_DCMI:
        if answer[0] == NO_LIMIT:  # some tell no more where there is none
            return Limit(0, active=False)
        detail = f"the BMC answered {len(body)} bytes that are no power limit"
        raise KnobError(Fault.LOST, detail)
    _, exception, watts, correction, sampling = _GOT.unpack_from(body)
    return Limit(watts, answer[0] == 0, exception, correction, sampling)


def _set(ask: Ask, limit: Limit) -> None:
    body = _SET.pack(
        *(GROUP_DCMI, limit.exception, limit.watts),
        *(limit.correction_milliseconds, limit.sampling_seconds),
    )
    _good(ask(NETFN_GROUP, SET_LIMIT, body))


def _activate(ask: Ask, *, on: bool) -> None:
    _good(ask(NETFN_GROUP, ACTIVATE, bytes([GROUP_DCMI, on, 0, 0])))


def _good(answer: bytes) -> None:
    if answer[0]:
        raise _fault(answer[0])


def _fault(code: int) -> KnobError:
    fault, words = COMPLETIONS.get(code, (Fault.REFUSED, "it refuses"))
    return KnobError(fault, f"the BMC answered DCMI with 0x{code:02X}: {words}")


def open_knob(_: Machine, way: Connection) -> Ipmi:
    """Return the knob."""
    return Ipmi(way)
