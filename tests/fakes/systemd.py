"""The manager of systemd on a private D-Bus: a unit's name is the file that its state is in.

After src/core/dbus-unit.c and dbus-manager.c of systemd, and org.freedesktop.systemd1(5).
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = DBusAddress(PATH, NAME, f"{NAME}.Manager")
LOOK_SECONDS = 0.05
UNIT = {"LoadState": "loaded", "ActiveState": "active", "FreezerState": "running"}
CONFIG = """\
<busconfig><type>session</type><listen>unix:path={socket}</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""


class Refusal(Exception):
    """What a call is answered with instead: the name of an error, and its words."""


@dataclass
class Manager:
    """The manager; a test turns its knobs while it serves."""

    refusal: tuple[str, str] | None = None  # of every order: an error's name, and its words
    result: str = "done"  # of every job
    lost: bool = False  # it says that a freeze failed, which it did not
    subscribed: bool = False
    paths: dict[str, str] = field(default_factory=dict)  # names of units, by their objects
    jobs: int = 0

    def answer(self, bus: DBusConnection, message: Message) -> None:
        """Answer one call, with the signal of a job before the answer."""
        method = message.header.fields[HeaderFields.member]
        try:
            signature, body = getattr(self, CALLS[method])(bus, message)
        except Refusal as refusal:
            name, words = refusal.args
            bus.send(new_error(message, name, "s", (words,)))
        else:
            bus.send(new_method_return(message, signature, body))

    def _subscribe(self, _: DBusConnection, __: Message) -> tuple[str | None, tuple[()]]:
        self.subscribed = True
        return None, ()

    def _load(self, _: DBusConnection, message: Message) -> tuple[str, tuple[str]]:
        (name,) = message.body
        escaped = "".join(each if each.isalnum() else f"_{ord(each):02x}" for each in name)
        self.paths[f"{PATH}/unit/{escaped}"] = name
        return "o", (f"{PATH}/unit/{escaped}",)

    def _properties(self, _: DBusConnection, message: Message) -> tuple[str, tuple[Any]]:
        assert message.body == (f"{NAME}.Unit",)
        file = Path(self.paths[message.header.fields[HeaderFields.path]])
        found = json.loads(file.read_text()) if file.exists() else {"LoadState": "not-found"}
        return "a{sv}", ({key: ("s", value) for key, value in found.items()},)

    def _freeze(self, _: DBusConnection, message: Message) -> tuple[None, tuple[()]]:
        return self._freezer(message, "frozen")

    def _thaw(self, _: DBusConnection, message: Message) -> tuple[None, tuple[()]]:
        return self._freezer(message, "running")

    def _stop(self, bus: DBusConnection, message: Message) -> tuple[str, tuple[str]]:
        return self._job(bus, message, "inactive")

    def _start(self, bus: DBusConnection, message: Message) -> tuple[str, tuple[str]]:
        return self._job(bus, message, "active")

    def _freezer(self, message: Message, state: str) -> tuple[None, tuple[()]]:
        (name,) = message.body
        unit = self._unit(name)
        if unit["ActiveState"] != "active":
            raise Refusal(f"{NAME}.UnitInactive", "Unit is inactive.")
        _keep(Path(name), {**unit, "FreezerState": state})
        if self.lost:
            raise Refusal("org.freedesktop.DBus.Error.Failed", "still in progress.")
        return None, ()

    def _job(self, bus: DBusConnection, message: Message, state: str) -> tuple[str, tuple[str]]:
        name, mode = message.body
        assert mode in {"replace", "fail", "isolate"}
        unit = self._unit(name)
        if self.result == "done":
            _keep(Path(name), {**unit, "ActiveState": state, "FreezerState": "running"})
        self.jobs += 1
        job = f"{PATH}/job/{self.jobs}"
        if self.subscribed:
            for number, path in ((99999, f"{PATH}/job/99999"), (self.jobs, job)):
                body = (number, path, name, self.result)
                bus.send(new_signal(MANAGER, "JobRemoved", "uoss", body))
        return "o", (job,)

    def _unit(self, name: str) -> dict[str, str]:
        if self.refusal is not None:
            raise Refusal(*self.refusal)
        if not Path(name).exists():
            raise Refusal(f"{NAME}.NoSuchUnit", f"Unit {name} not found.")
        found: dict[str, str] = json.loads(Path(name).read_text())
        return found


CALLS = {
    "Subscribe": "_subscribe",
    "LoadUnit": "_load",
    "GetAll": "_properties",
    "FreezeUnit": "_freeze",
    "ThawUnit": "_thaw",
    "StopUnit": "_stop",
    "StartUnit": "_start",
}


def _keep(file: Path, unit: dict[str, str]) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(unit, sort_keys=True))
    new.replace(file)


@contextmanager
def serving(manager: Manager, folder: Path) -> Iterator[str]:
    """Serve on a bus of its own while the context lasts; give the bus' socket."""
    program = shutil.which("dbus-daemon")
    if program is None:
        pytest.skip("there is no dbus-daemon; on Debian: apt install dbus-daemon")
    socket, config = folder / "bus.sock", folder / "bus.conf"
    config.write_text(CONFIG.format(socket=socket))
    words = [program, f"--config-file={config}", "--nofork", "--print-address"]
    daemon = subprocess.Popen(words, stdout=subprocess.PIPE)
    done = threading.Event()
    thread = threading.Thread(target=_serve, args=(manager, socket, done), daemon=True)
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline()  # it listens
        thread.start()
        _named(socket)
        yield str(socket)
    finally:
        done.set()
        if thread.ident is not None:
            thread.join()
        daemon.kill()
        daemon.communicate()


def _serve(manager: Manager, socket: Path, done: threading.Event) -> None:
    with open_dbus_connection(f"unix:path={socket}") as bus:
        Proxy(message_bus, bus).RequestName(NAME)
        while not done.is_set():
            try:
                message = bus.receive(timeout=LOOK_SECONDS)
            except TimeoutError:
                continue
            if message.header.message_type is MessageType.method_call:
                manager.answer(bus, message)


def _named(socket: Path) -> None:
    """Wait until somebody has the manager's name."""
    with open_dbus_connection(f"unix:path={socket}") as bus:
        while not Proxy(message_bus, bus).NameHasOwner(NAME)[0]:
            pass
