"""A BMC on the network: IPMI 2.0 over UDP, through `pyghmi` (the optional extra `ipmi`)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Event, Timer
from typing import Any

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.secrets import secret
from wattgov_actuator.reading import Fault, KnobError

OPERATOR_PRIVILEGE = 3
LOOK_SECONDS = 0.2
REFUSED = ("password", "Unauthorized", "role", "username", "integrity check", "privelege")
"""Words in pyghmi's errors that mean the account, the password or the privilege (its spelling)."""
SILENT = ("timeout", "failed to initialize")

Answers = list[dict[str, Any]]


@contextmanager
def asking(way: Connection) -> Iterator[Callable[[int, int, bytes], bytes]]:
    """Log in and give what asks; it returns an answer, completion code first. Raises KnobError.

    pyghmi's callbacks are used and not its blocking calls: those wait for 40 s.
    """
    where = f"{way.text('host')}:{way.number('port'):.0f}"
    session: Any = None
    try:
        session = _session(way, where)

        def ask(netfn: int, command: int, data: bytes) -> bytes:
            answers: Answers = []
            session.raw_command(
                netfn=netfn, command=command, data=tuple(data), callback=answers.append
            )
            answer = _answer(session, answers, way, where)
            _release(session)
            return bytes([answer["code"], *answer["data"]])

        yield ask
    except KnobError:
        raise
    except Exception as error:  # noqa: BLE001 (pyghmi lets out whatever its parser meets)
        detail = f"{where}: pyghmi: {type(error).__name__}: {error}"
        raise KnobError(Fault.LOST, detail) from None
    finally:
        if session is not None:
            _release(session)
            session.logout(False)


def _session(way: Connection, where: str) -> Any:  # noqa: ANN401 (pyghmi is untyped)
    try:
        pyghmi = import_module("pyghmi.ipmi.command")
    except ImportError:
        detail = "IPMI over the network needs: pip install 'wattgov[ipmi]'"
        raise KnobError(Fault.UNSUPPORTED, detail) from None
    password = secret(way, "password")
    answers: Answers = []
    try:
        command = pyghmi.Command(
            bmc=way.text("host"),
            port=int(way.number("port")),
            # Bytes: pyghmi finds text again as bytes only, and would revive a dead session.
            userid=way.text("username").encode(),
            password=password.encode(),
            privlevel=OPERATOR_PRIVILEGE,
            onlogon=lambda answer, _: answers.append(answer),
        )
    except OSError as error:
        raise KnobError(Fault.LOST, f"{where}: {error.strerror or error}") from None
    session = command.ipmi_session
    try:
        _answer(session, answers, way, where)
    except KnobError:
        _release(session)
        session.logout(False)
        raise
    return session


def _answer(session: Any, answers: Answers, way: Connection, where: str) -> dict[str, Any]:  # noqa: ANN401 (pyghmi is untyped)
    """Return the first answer; raises KnobError when it is an error, or late."""
    late = Event()
    timer = Timer(way.timeout_seconds, late.set)
    timer.daemon = True
    timer.start()
    while not answers and not late.is_set():
        session.wait_for_rsp(LOOK_SECONDS)
    timer.cancel()
    error = answers[0].get("error") if answers else "timeout"
    if error is None:
        return answers[0]
    if any(word in error for word in SILENT):
        detail = f"did not answer within {way.timeout_seconds:g} s: is IPMI over LAN switched on"
        raise KnobError(Fault.LOST, f"{where} (UDP) {detail}, and the username known to it?")
    if any(word in error for word in REFUSED):
        raise KnobError(Fault.REFUSED, f"{where}: {error}; check username and password")
    raise KnobError(Fault.LOST, f"{where}: {error}")


def _release(session: Any) -> None:  # noqa: ANN401 (pyghmi is untyped)
    """Free the session for its next command: pyghmi leaves that to whoever gives a callback."""
    session.incommand = False
    while session.evq:
        session.evq.popleft().set()
