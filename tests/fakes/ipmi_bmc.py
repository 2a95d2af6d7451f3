"""A BMC on loopback that answers DCMI Get Power Reading: pyghmi's, as a process of its own.

It prints its port. Each line on its standard input is JSON that changes what it answers, and is
confirmed with a line; at the end of the input it ends.
"""

import json
import os
import struct
import sys
import threading
from importlib import import_module
from typing import Any

NETFN_GROUP = 0x2C
GET_POWER_READING = 0x02
REQUEST = bytes([0xDC, 0x01, 0x00, 0x00])
USER_PRIVILEGE = 2

OPEN_BYTES = 47
HMAC_SHA1 = 1
NO_SUCH_AUTHENTICATION = 4
"""IPMI 2.0, 13.17: Open Session Request and the status codes of its answer."""


def main() -> None:
    """Serve until the input ends."""
    state: dict[str, Any] = {"watts": 344, "code": 0, "active": True, "silent": False}
    # A mapped address: pyghmi wakes itself through a socket of the IPv6 family.
    bmc = import_module("pyghmi.ipmi.bmc").Bmc(
        {"meter": "correct horse"}, port=0, address="::ffff:127.0.0.1"
    )
    bmc.port = bmc.serversocket.getsockname()[1]

    def handle(request: dict[str, Any], session: Any) -> None:  # noqa: ANN401  pyghmi is untyped
        if state["silent"]:
            return
        known = (request["netfn"], request["command"]) == (NETFN_GROUP, GET_POWER_READING)
        if not known:
            session.send_ipmi_response(code=0xC1)
        elif getattr(session, "clientpriv", 0) < USER_PRIVILEGE:
            session.send_ipmi_response(code=0xD4)
        elif bytes(request["data"]) != REQUEST:
            session.send_ipmi_response(code=0xCC)
        elif state["code"]:
            session.send_ipmi_response(code=state["code"])
        else:
            session.send_ipmi_response(data=list(reading(state["watts"], state["active"])))

    def open_or_refuse(packet: bytes, address: object) -> None:
        # pyghmi's server takes any proposal for its own SHA-1; a real one refuses what it lacks.
        if len(packet) > OPEN_BYTES and packet[4:6] == b"\x06\x10" and packet[28] != HMAC_SHA1:
            body = bytes([packet[16], NO_SUCH_AUTHENTICATION, 0, 0]) + packet[20:24]
            header = b"\x06\x00\xff\x07\x06\x11" + bytes(8) + struct.pack("<H", len(body))
            bmc.serversocket.sendto(header + body, address)
        else:
            admit(packet, address)

    # Attributes and not a subclass: the base has no types.
    admit, bmc.sessionless_data = bmc.sessionless_data, open_or_refuse
    bmc.handle_raw_request = handle
    threading.Thread(target=bmc.listen, daemon=True).start()
    tell(bmc.port)
    for line in sys.stdin:
        state.update(json.loads(line))
        tell("changed")
    # pyghmi's threads do not end.
    os._exit(0)


def reading(watts: int, active: bool) -> bytes:
    """Return the body of an answer: now, least, most, mean, time, period in ms, state."""
    return struct.pack("<BHHHHIIB", 0xDC, watts, 90, 700, 300, 1700000000, 60000, active << 6)


def tell(word: object) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
