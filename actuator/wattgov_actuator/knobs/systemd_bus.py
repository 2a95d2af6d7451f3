"""What systemd is asked and told about one unit, over D-Bus; its errors in sentences."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from jeepney import DBusAddress, DBusErrorResponse, MatchRule, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.wrappers import unwrap_msg

from wattgov_actuator.knobs.web import plain
from wattgov_actuator.reading import Fault, KnobError

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = DBusAddress(PATH, NAME, f"{NAME}.Manager")
ENDED = MatchRule(type="signal", interface=f"{NAME}.Manager", member="JobRemoved", path=PATH)
LONGEST_SECONDS = 600.0  # for a server that loads a model before it says that it is up
FAULTS = {
    "org.freedesktop.DBus.Error.NotSupported": Fault.UNSUPPORTED,
    "org.freedesktop.DBus.Error.UnknownMethod": Fault.UNSUPPORTED,
    "org.freedesktop.DBus.Error.ServiceUnknown": Fault.LOST,
    "org.freedesktop.DBus.Error.NoReply": Fault.LOST,
    f"{NAME}.NoSuchUnit": Fault.LOST,
    f"{NAME}.UnitBusy": Fault.BUSY,
    f"{NAME}.TransactionIsDestructive": Fault.BUSY,  # another job of it waits already
}
PERMIT = "run as root, or allow manage-units in polkit"
FIXES = {
    "org.freedesktop.DBus.Error.AccessDenied": PERMIT,
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": PERMIT,
    "org.freedesktop.DBus.Error.UnknownMethod": "freezing needs systemd 246 or later",
}


class Manager:
    """The manager, asked about one unit over one connection."""

    def __init__(self, bus: DBusConnection, unit: str, wait_seconds: float) -> None:
        self._bus, self._unit, self._wait_seconds = bus, unit, wait_seconds

    def properties(self) -> Mapping[str, Any]:
        """Return what it knows of the unit, which it loads if it has forgotten it."""
        (path,) = self._call(MANAGER, "LoadUnit", self._unit)
        place = DBusAddress(path, NAME, "org.freedesktop.DBus.Properties")
        (found,) = self._call(place, "GetAll", f"{NAME}.Unit")
        return {name: value for name, (_, value) in found.items()}

    def order(self, method: str) -> None:
        """Give an order that is answered when it is carried out."""
        self._call(MANAGER, method, self._unit, wait_seconds=LONGEST_SECONDS)

    def job(self, method: str) -> None:
        """Have a job done, and wait for its end; raises KnobError when it ends in another way."""
        Proxy(message_bus, self._bus, timeout=self._wait_seconds).AddMatch(ENDED)
        self._call(MANAGER, "Subscribe")
        with self._bus.filter(ENDED, queue=deque()) as ended:
            # `fail`: a job that somebody else has given is not thrown away.
            (job,) = self._call(MANAGER, method, self._unit, "fail")
            path = result = ""
            while path != job:
                signal = self._bus.recv_until_filtered(ended, timeout=LONGEST_SECONDS)
                _, path, _, result = signal.body
        if result != "done":
            raise KnobError(Fault.REFUSED, f"{method} of {self._unit} ended as {plain(result)}")

    def _call(
        self, place: DBusAddress, method: str, *words: str, wait_seconds: float | None = None
    ) -> tuple[Any, ...]:
        message = new_method_call(place, method, "s" * len(words) or None, words)
        wait = self._wait_seconds if wait_seconds is None else wait_seconds
        found: tuple[Any, ...] = unwrap_msg(self._bus.send_and_get_reply(message, timeout=wait))
        return found


@contextmanager
def asking(socket: str, unit: str, wait_seconds: float) -> Iterator[Manager]:
    """Connect; what goes wrong meanwhile becomes a KnobError."""
    try:
        with open_dbus_connection(f"unix:path={quote(socket)}") as bus:
            yield Manager(bus, unit, wait_seconds)
    except DBusErrorResponse as error:
        words = plain(" ".join(each for each in error.data or () if isinstance(each, str)))
        said = f"systemd says of {unit}: {words or error.name}"
        fix = FIXES.get(error.name)
        fault = FAULTS.get(error.name, Fault.REFUSED)
        raise KnobError(fault, f"{said}; {fix}" if fix else said) from None
    except TimeoutError:
        raise KnobError(Fault.BUSY, f"systemd is not done with {unit}") from None
    except OSError as error:
        detail = f"D-Bus at {socket} cannot be asked: {error.strerror or error}"
        raise KnobError(Fault.LOST, detail) from None
