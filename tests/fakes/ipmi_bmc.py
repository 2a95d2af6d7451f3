"""A BMC on loopback that answers DCMI's power commands: pyghmi's, as a process of its own.

It prints its port. Each line on its standard input is JSON that changes what it answers, and is
confirmed with a line, `{"show": true}` with all that it holds; at the end of the input it ends.
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
GET_LIMIT, SET_LIMIT, ACTIVATE = 0x03, 0x04, 0x05
USER_PRIVILEGE, OPERATOR_PRIVILEGE = 2, 3
LIMITING = {GET_LIMIT, SET_LIMIT, ACTIVATE}
ASKED_LIMIT = bytes([0xDC, 0x00, 0x00])
LIMIT = struct.Struct("<B3xBHI2xH")

OPEN_BYTES = 47
HMAC_SHA1 = 1
NO_SUCH_AUTHENTICATION = 4
"""IPMI 2.0, 13.17: Open Session Request and the status codes of its answer."""


def main() -> None:
    """Serve until the input ends."""
    state: dict[str, Any] = {"watts": 344, "code": 0, "active": True, "silent": False}
    state |= {"limit": 0, "limited": False, "exception": 0, "correction": 3000, "sampling": 5}
    state |= {"lowest": 100, "highest": 1000, "bare": False}
    # A mapped address: pyghmi wakes itself through a socket of the IPv6 family.
    bmc = import_module("pyghmi.ipmi.bmc").Bmc(
        {"meter": "correct horse"}, port=0, address="::ffff:127.0.0.1"
    )
    bmc.port = bmc.serversocket.getsockname()[1]

    def handle(request: dict[str, Any], session: Any) -> None:  # noqa: ANN401  pyghmi is untyped
        if state["silent"]:
            return
        if request["netfn"] == NETFN_GROUP and request["command"] in LIMITING:
            privilege = getattr(session, "clientpriv", 0)
            code, body = limiting(state, request["command"], bytes(request["data"]), privilege)
            session.send_ipmi_response(data=list(body), code=code)
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
    obey(state)
    # pyghmi's threads do not end.
    os._exit(0)


def obey(state: dict[str, Any]) -> None:
    """Change what is answered, line by line, until the input ends."""
    for line in sys.stdin:
        state.update(json.loads(line))
        tell(json.dumps(state) if state.pop("show", False) else "changed")


def limiting(state: dict[str, Any], command: int, data: bytes, level: int) -> tuple[int, bytes]:
    """Return the completion code and the body of an answer about the limit (DCMI 1.5, 6.6)."""
    needed = USER_PRIVILEGE if command == GET_LIMIT else OPERATOR_PRIVILEGE
    if state["code"] or level < needed:
        return state["code"] or 0xD4, b""
    if command == GET_LIMIT:
        held = (state["exception"], state["limit"], state["correction"], state["sampling"])
        code = 0 if state["limited"] else 0x80
        body = b"" if code and state["bare"] else struct.pack("<B2xBHI2xH", 0xDC, *held)
        return (code, body) if data == ASKED_LIMIT else (0xCC, b"")
    if command == ACTIVATE:
        good = data in {b"\xdc\x00\x00\x00", b"\xdc\x01\x00\x00"}
        state["limited"] = data[1] == 1 if good else state["limited"]
        return (0, b"\xdc") if good else (0xCC, b"")
    group, exception, watts, correction, sampling = LIMIT.unpack(data)
    if group != 0xDC or not state["lowest"] <= watts <= state["highest"]:
        return 0x84, b"\xdc"
    state |= {"exception": exception, "limit": watts}
    state |= {"correction": correction, "sampling": sampling}
    return 0, b"\xdc"


def reading(watts: int, active: bool) -> bytes:
    """Return the body of an answer: now, least, most, mean, time, period in ms, state."""
    return struct.pack("<BHHHHIIB", 0xDC, watts, 90, 700, 300, 1700000000, 60000, active << 6)


def tell(word: object) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
