"""This machine's own BMC, through the kernel's IPMI device.

Source: include/uapi/linux/ipmi.h; the request numbers are those of asm-generic (x86, arm64,
riscv).
"""

import ctypes
import fcntl
import os
import select
from collections.abc import Callable
from pathlib import Path

from wattgov_exporter.reading import NoMeter, Reason

Ioctl = Callable[[int, int, ctypes.Structure], int]

SYSTEM_INTERFACE = 0x0C
BMC_CHANNEL = 0x0F
RESPONSE = 1
MAX_ANSWER = 272
"""IPMI_MAX_MSG_LENGTH of the kernel."""


class Address(ctypes.Structure):
    """`struct ipmi_system_interface_addr`."""

    _fields_ = (
        ("addr_type", ctypes.c_int),
        ("channel", ctypes.c_short),
        ("lun", ctypes.c_ubyte),
    )


class Message(ctypes.Structure):
    """`struct ipmi_msg`."""

    _fields_ = (
        ("netfn", ctypes.c_ubyte),
        ("cmd", ctypes.c_ubyte),
        ("data_len", ctypes.c_ushort),
        ("data", ctypes.c_void_p),
    )


class Request(ctypes.Structure):
    """`struct ipmi_req`."""

    _fields_ = (
        ("addr", ctypes.c_void_p),
        ("addr_len", ctypes.c_uint),
        ("msgid", ctypes.c_long),
        ("msg", Message),
    )


class Received(ctypes.Structure):
    """`struct ipmi_recv`."""

    _fields_ = (
        ("recv_type", ctypes.c_int),
        ("addr", ctypes.c_void_p),
        ("addr_len", ctypes.c_uint),
        ("msgid", ctypes.c_long),
        ("msg", Message),
    )


def _number(direction: int, number: int, structure: type[ctypes.Structure]) -> int:
    return direction << 30 | ctypes.sizeof(structure) << 16 | ord("i") << 8 | number


SEND_COMMAND = _number(2, 13, Request)
RECEIVE_MSG_TRUNC = _number(3, 11, Received)


class Device:
    """Opened for each question, so that no late answer to an earlier one can come."""

    def __init__(self, path: Path, timeout_seconds: float, ioctl: Ioctl = fcntl.ioctl) -> None:
        self._path = path
        self._seconds = timeout_seconds
        self._ioctl = ioctl

    def ask(self, netfn: int, command: int, data: bytes) -> bytes:
        """Return the answer, completion code first; NoMeter when there is none."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise self._no_meter(error) from error
        try:
            return self._exchange(descriptor, netfn, command, data)
        except OSError as error:
            raise self._no_meter(error) from error
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Nothing is held between questions."""

    def _exchange(self, descriptor: int, netfn: int, command: int, data: bytes) -> bytes:
        address = Address(SYSTEM_INTERFACE, BMC_CHANNEL, 0)
        out = ctypes.create_string_buffer(data, len(data))
        request = Request(
            ctypes.addressof(address),
            ctypes.sizeof(address),
            0,
            Message(netfn, command, len(data), ctypes.addressof(out)),
        )
        self._ioctl(descriptor, SEND_COMMAND, request)
        if not select.select([descriptor], [], [], self._seconds)[0]:
            raise NoMeter(
                Reason.TIMEOUT, f"{self._path}: the BMC did not answer within {self._seconds:g} s"
            )
        into = ctypes.create_string_buffer(MAX_ANSWER)
        received = Received(
            0,
            ctypes.addressof(address),
            ctypes.sizeof(address),
            0,
            Message(0, 0, MAX_ANSWER, ctypes.addressof(into)),
        )
        self._ioctl(descriptor, RECEIVE_MSG_TRUNC, received)
        kind = received.recv_type, received.msg.netfn, received.msg.cmd
        if kind != (RESPONSE, netfn + 1, command):
            raise NoMeter(Reason.INVALID, f"{self._path}: an answer to something else: {kind}")
        return into.raw[: min(received.msg.data_len, MAX_ANSWER)]

    def _no_meter(self, error: OSError) -> NoMeter:
        if isinstance(error, PermissionError):
            return NoMeter(
                Reason.PERMISSION,
                f"{self._path} is open to root only: run as root, or give this user's group the "
                'device by a udev rule: KERNEL=="ipmi*", GROUP="wattgov", MODE="0660"',
            )
        if isinstance(error, FileNotFoundError):
            return NoMeter(
                Reason.ABSENT,
                f"no {self._path}: `modprobe -a ipmi_si ipmi_devintf` makes it, if this machine "
                "has a BMC",
            )
        return NoMeter(Reason.INVALID, f"{self._path}: {error.strerror}")
